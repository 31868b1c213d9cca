#!/usr/bin/env bash
# Renews requirements/*.txt from pyproject.toml. Needs uv. The files carry versions and hashes, no addresses.
# usage: scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # file, extra arguments...
    local file=$1
    shift
    echo hatchling | uv pip compile pyproject.toml - --quiet --universal --python-version 3.12 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --output-file "requirements/$file" "$@"
}

upgrade=("$@")
lock run.txt "${upgrade[@]}"
lock all.txt --extra all --constraint requirements/run.txt "${upgrade[@]}"
lock dev.txt --extra all --extra dev --constraint requirements/all.txt "${upgrade[@]}"
