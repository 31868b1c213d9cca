#!/usr/bin/env bash
# Sets up .venv if need be and runs every check: style, types, import rules, tests.
# usage: bash scripts/test.sh [--slow] [options of pytest]
# Tests that take minutes, or the network, run only with --slow.
set -euo pipefail
source "$(dirname "$0")/env.sh"
prepare dev

tier=()
if [ "${1:-}" = --slow ]; then
    tier=(-m "slow or not slow")
    shift
fi

failed=()
check() { # name, command...
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

check "ruff" "$bin/ruff" check .
check "pyright" "$bin/pyright" --project pyproject.toml --pythonpath "$bin/python"
check "import-linter" "$bin/lint-imports" --no-logo

if [ ${#failed[@]} -gt 0 ]; then echo "== FAILED so far: ${failed[*]}"; fi
echo "== pytest"
"$bin/python" -m pytest -n "${HDSL_TEST_WORKERS:-auto}" "${tier[@]}" "$@" </dev/null || failed+=("pytest")
[ ${#failed[@]} -eq 0 ]
