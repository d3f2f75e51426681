#!/usr/bin/env bash
# Builds the panel into static/dist, where the program takes it from, if anything changed since.
# Usage: panel.sh [check|verdict]
# `check` tests it first, and that src/api/openapi.ts is what `npm run api` makes of docs/openapi.yaml. `verdict` only says,
# at the end of a build, whether the panel was left out, and what to type then.
#
# Without a Node.js that is new enough the program is built without its panel, and says so on its page.
set -euo pipefail
cd "$(dirname "$0")/../static"

# shellcheck source=scripts/toolchains.sh
. ../scripts/toolchains.sh

oldest=20.19.0
version=$(node --version 2>/dev/null | tr -d v || true)
if [ -z "$version" ] || ! is_at_least "$version" "$oldest"; then
  if [ -f dist/index.html ]; then
    what="The panel stays as it was built before"
  else
    what="The program has no panel"
  fi
  {
    echo "$what: its build needs Node.js $oldest or newer, this is ${version:-none}."
    echo "To have it, type this, then run make again:"
    node_lines
  } >&2
  exit 0
fi
[ "${1:-}" != verdict ] || exit 0

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
