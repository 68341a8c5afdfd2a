#!/usr/bin/env bash
# Sets up .venv with the test extra, then runs the linter and pytest; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh test
.venv/bin/ruff check .
exec .venv/bin/python -m pytest "$@"
