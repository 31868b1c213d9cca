#!/usr/bin/env bash
# Draws the picture of the README anew, with the hdsl of the environment in .venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
study=examples/electric_company/electric_company.hdm
.venv/bin/hdsl run "$study"
.venv/bin/hdsl plot shrinkage "$study" --out docs/pictures/electric_company.png
