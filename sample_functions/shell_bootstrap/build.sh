#!/bin/sh
# The deployment package of a script is the script.
set -eu
install -m 755 bootstrap "$1/bootstrap"
