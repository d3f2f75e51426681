#!/usr/bin/env bash
# Installs the official clients into e2e/ when they changed, then runs e2e/run.py on the debug binaries, or another of its
# scripts. Usage: e2e.sh [SCRIPT [ARGUMENT...]]
set -euo pipefail
cd "$(dirname "$0")/.."

binaries=${CARGO_TARGET_DIR:-target}/debug
for binary in anyrouter-gateway mock-upstream examples/fill_log; do
  if [ ! -x "$binaries/$binary" ]; then
    echo "$binaries/$binary is missing: type make e2e, which builds it" >&2
    exit 1
  fi
done
binaries=$(cd "$binaries" && pwd)
# Where prepare.sh unpacked Prometheus, if there was none.
export PATH=$PATH:${binaries%/debug}/prometheus/usr/bin
cd e2e

# fresh FOLDER FILE...: whether FOLDER was installed from exactly these files.
stamp_of() { shift && cat "$@" | cksum; }
fresh() { [ -f "$1/.installed" ] && [ "$(<"$1/.installed")" = "$(stamp_of "$@")" ]; }
mark() { stamp_of "$@" >"$1/.installed"; }

if ! fresh .venv requirements.txt requirements-older.txt requirements-compose.txt; then
  echo "Installing the Python SDK, schemathesis and docker-compose ..."
  rm -rf .venv
  python3 -m venv .venv
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off
  .venv/bin/python -m pip install --quiet -r requirements.txt
  .venv/bin/python -m pip install --quiet --target .venv/older -r requirements-older.txt
  .venv/bin/python -m pip install --quiet --target .venv/compose --no-deps -r requirements-compose.txt
  mark .venv requirements.txt requirements-older.txt requirements-compose.txt
fi

if ! fresh node_modules package.json package-lock.json; then
  echo "Installing the JavaScript SDK and Claude Code ..."
  # No install scripts: Claude Code's launcher finds its binary without them.
  npm_ci=(npm ci --ignore-scripts --no-progress --loglevel=error)
  if "${npm_ci[@]}"; then
    mark node_modules package.json package-lock.json
  else
    echo "Trying without Claude Code; its test will be skipped ..."
    "${npm_ci[@]}" --omit=dev
  fi
fi

if ! fresh panel/node_modules panel/package.json panel/package-lock.json; then
  echo "Installing what drives the browser ..."
  (cd panel && npm ci --ignore-scripts --no-progress --no-audit --no-fund --loglevel=error)
  mark panel/node_modules panel/package.json panel/package-lock.json
fi

exec .venv/bin/python "${1:-run.py}" "$binaries" "${@:2}"
