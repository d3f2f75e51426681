#!/usr/bin/env bash
# Builds the Debian package from a release build: package.sh [BINARY]
# The manual page and the completions come from the program itself. Needs cargo-deb (cargo install --locked cargo-deb).
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
binary=${1:-$target/release/anyrouter-gateway}
cargo deb --version >/dev/null 2>&1 || { echo "cargo-deb is missing: cargo install --locked cargo-deb" >&2; exit 1; }
[ -x "$binary" ] || { echo "$binary is missing: make build" >&2; exit 1; }
mkdir -p target/package
rm -f target/package/*.deb
"$binary" man >target/package/anyrouter-gateway.1
for shell in bash zsh fish; do "$binary" completions "$shell" >"target/package/anyrouter-gateway.$shell"; done
# `target` may be a link to the folder that CARGO_TARGET_DIR names.
packed=target/release/anyrouter-gateway
if [ "$(readlink -f "$binary")" != "$(readlink -f $packed)" ]; then install -D "$binary" $packed; fi
cargo deb --no-build --no-strip --output target/package/
ls -l target/package/*.deb
