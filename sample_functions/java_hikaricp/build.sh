#!/bin/sh
# Maven only fetches; a class and its archives beside it are all that Lambda wants.
set -eu
mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DoutputDirectory="$1/lib"
(cd "$1" && sha256sum --check --strict --quiet) <lib.sha256
javac --release 17 -cp "$1/lib/*" -d "$1" src/shop/Orders.java
