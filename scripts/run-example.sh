#!/usr/bin/env bash
# Sets up .venv if need be and runs a study on its data with the NumPyro backend.
# usage: bash scripts/run-example.sh [STUDY.hdm] [options of `hdsl run`]
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$PWD
prepare run
cd "$here"

study=$root/examples/electric_company/electric_company.hdm
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    study=$1
    shift
fi
exec "$bin/hdsl" run "$study" "$@"
