# Sourced by demo.sh and test.sh: finds a Python, makes .venv, installs the package once.
# Usage: source launch/environment.sh EXTRA...   (for example: source launch/environment.sh test)

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python 3.11 or 3.12 found (Keras 3.15 needs 3.11, tensorflow-io ends at 3.12); install one or set PYTHON=/path/to/python" >&2
  return 1
}

make_environment() {
  local extras python stamp wanted
  extras="$(IFS=,; echo "$*")"
  if [ ! -x .venv/bin/python ]; then
    python="$(find_python)" || exit 1
    echo "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  # The stamp is written last, so a broken installation is tried again.
  stamp=".venv/installed-${extras:-base}"
  wanted="$(cksum setup.py | cut -d' ' -f1,2)"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the package${extras:+ with the extra $extras} (once, a few minutes)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
    echo "$wanted" > "$stamp"
  fi
}

make_environment "$@"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-3}"
