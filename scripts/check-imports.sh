#!/usr/bin/env bash
# Keeps the import rules of ARCHITECTURE.md: which module of src/ may name which other one.
# Line comments do not count, tests do. What crates/gateway-core may use,
# its Cargo.toml and clippy.toml say. Prints every line that breaks a rule; exit code 1 if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

# `crate::NAME` and `crate::{..., NAME, ...}` of the names given, separated by |.
ours() { printf '\\bcrate::(\\{[^}]*\\b)?(%s)\\b' "$1"; }

broken=0
checked=0
forbid() { # MODULE PATTERN REASON
  local path hits
  for path in "src/$1" "src/$1.rs"; do
    [ -e "$path" ] || continue
    checked=$((checked + 1))
    hits=$(grep -rnE --include='*.rs' "$2" "$path" | grep -vE '^[^:]+:[0-9]+: *//' || true)
    if [ -n "$hits" ]; then
      printf '%s: %s\n%s\n' "$path" "$3" "$hits"
      broken=1
    fi
  done
}

forbid config "$(ours 'upstream|store|metrics|gateway|admin|server')" "turns text into values, and uses nothing that runs"
for module in upstream store metrics; do
  others=$(printf 'upstream|store|metrics|gateway|admin|server' | sed "s/\b$module|//")
  forbid "$module" "$(ours "$others")" "imports config and gateway-core only"
done
forbid listen "$(ours 'config|upstream|store|metrics|gateway|admin|operate|server')" "knows sockets and Pingora only"
forbid feed "$(ours 'config|upstream|store|metrics|gateway|admin|server')" "knows records only"
forbid gateway "$(ours 'admin|server')" "hands requests for its own pages to whoever serves them"
forbid admin "$(ours 'server')" "is put together by server"

if [ "$checked" -eq 0 ]; then
  echo "no module was found under src/" >&2
  exit 1
fi
if [ "$broken" = 1 ]; then exit 1; fi
echo "import rules hold ($checked checks)"
