#!/bin/sh
# A deployment package brings its dependencies along, beside the code.
set -eu
cp app.py "$1"
pip3 install --quiet --disable-pip-version-check --root-user-action ignore --require-hashes --no-deps \
  --target "$1" --requirement requirements.txt
