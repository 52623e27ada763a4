#!/bin/sh
# The deployment package of this function, into the folder that the first argument names.
set -eu

cp index.mjs package.json package-lock.json "$1"
cd "$1"
# Types are for editors, and no install script has to run.
npm ci --omit=dev --omit=peer --ignore-scripts --no-audit --no-fund
