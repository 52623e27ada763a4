#!/bin/sh
# One program without a C library of its own choice: it runs on every Linux of this kind of processor.
set -eu
CGO_ENABLED=0 go build -mod=readonly -trimpath -tags lambda.norpc -ldflags "-s -w" -o "$1/bootstrap" .
