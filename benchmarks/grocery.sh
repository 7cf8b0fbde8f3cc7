#!/usr/bin/env bash
# Real photos: train on train.txt alone, compile to int8, evaluate on the list in $TEST. Lite0 takes 15 minutes on 2 idle cores with bfloat16, and more than half an hour without.
#
#   TEST=/path/to/test.txt benchmarks/grocery.sh [lite0|lite1|lite2]
#
# $GROCERY is the data folder (default ../shared/data/grocery), $PYTHON an interpreter with edgevision[all] installed
# (default .venv/bin/python, which `make test` makes). val.txt is never trained on: it fits the temperature and validates.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m benchmarks.grocery "${1:-lite0}" --test "${TEST:-${GROCERY:-../shared/data/grocery}/val.txt}"
