#!/bin/sh
# For this machine and others of its kind, with the C library of this one or a later version.
set -eu
CARGO_TARGET_DIR="${SAMPLE_CACHE:-target}" cargo build --release --locked
install -m 755 "${SAMPLE_CACHE:-target}/release/bootstrap" "$1/bootstrap"
