#!/bin/sh
# The deployment package of this function, into the folder that the first argument names.
set -eu

cp app.py "$1"
pip3 install --quiet --disable-pip-version-check --root-user-action ignore --require-hashes --no-deps \
  --target "$1" --requirement requirements.txt
