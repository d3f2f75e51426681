#!/usr/bin/env bash
# Builds the panel into static/dist, where the program takes it from, if anything changed since. Usage: panel.sh [check]
# `check` tests it first, and that src/api/openapi.ts is what `npm run api` makes of docs/openapi.yaml.
#
# Without a Node.js that is new enough the program is built without its panel, and says so on its page.
set -euo pipefail
cd "$(dirname "$0")/../static"

oldest=20.19.0
version=$(node --version 2>/dev/null | tr -d v || true)
if [ -z "$version" ] || [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" != "$oldest" ]; then
  echo "The panel is left out: it needs Node.js $oldest or newer, this is ${version:-none}." >&2
  exit 0
fi

stamp_of() { cat "$@" | cksum; }
if [ "$(stamp_of package.json package-lock.json)" != "$(cat node_modules/.installed 2>/dev/null || true)" ]; then
  npm ci --no-audit --no-fund --no-progress --loglevel=error
  stamp_of package.json package-lock.json >node_modules/.installed
fi

if [ "${1:-}" = check ]; then
  npm run --silent check
fi

sources=$(find . -path ./node_modules -prune -o -path ./dist -prune -o -path ./tests -prune -o -type f -print0 | sort -z | xargs -0 cat | cksum)
if [ "$sources" != "$(cat dist/.built 2>/dev/null || true)" ]; then
  npm run --silent build -- --logLevel warn
  echo "$sources" >dist/.built
fi
