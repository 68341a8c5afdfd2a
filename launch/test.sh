#!/usr/bin/env bash
# Sets up .venv with the test extra, then runs the linter and pytest, a process a core up to four
# (each takes some 3 GB). Arguments go to pytest: -m "" for the slow tests, too,
# --numprocesses=0 for a single process.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh test
.venv/bin/ruff check .
exec .venv/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
