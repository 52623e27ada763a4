#!/bin/sh
# What package-lock.json says, without types, which are for editors, and without install scripts, which none needs.
set -eu
cp index.mjs package.json package-lock.json "$1"
cd "$1"
npm ci --omit=dev --omit=peer --ignore-scripts --no-audit --no-fund
