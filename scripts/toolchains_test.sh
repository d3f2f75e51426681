#!/usr/bin/env bash
# Tests what is said where Rust or Node.js is missing or old: with programs of that name that only tell a version.
set -euo pipefail
cd "$(dirname "$0")/.."

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
tools=$place/tools home=$place/home
mkdir -p "$tools" "$home"
for tool in bash sh sed sort head cut tr id printf dirname cat cksum find xargs env apt-get; do
  found=$(command -v "$tool" || true)
  case $found in /*) ln -s "$found" "$tools/$tool" ;; esac
done

program() { # NAME OUTPUT
  printf '#!/bin/sh\necho "%s"\n' "$2" >"$place/bin/$1" && chmod +x "$place/bin/$1"
}
fresh() { rm -rf "${place:?}/bin" && mkdir "$place/bin"; }
# Everything but the tools that are named is missing.
run() { env -i HOME="$home" PATH="$place/bin:$tools" "$@" 2>&1 || true; }
expect() { # TEXT WANTED...
  local text=$1 wanted
  shift
  for wanted in "$@"; do
    case $text in *"$wanted"*) ;; *) printf 'missing: %s\nin: %s\n' "$wanted" "$text" >&2 && exit 1 ;; esac
  done
}

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
# A machine with these programs in /usr/bin is no place to try a missing one.
sed 's|^have() .*|have() { command -v "$1" >/dev/null 2>\&1; }|' scripts/prepare.sh >"$place/prepare.sh"
mkdir -p "$place/tree/scripts" && cp Cargo.toml "$place/tree/" && cp scripts/toolchains.sh "$place/tree/scripts/"
cp "$place/prepare.sh" "$place/tree/scripts/prepare.sh"

fresh
expect "$(run bash "$place/tree/scripts/prepare.sh" build)" "Rust is missing" "https://sh.rustup.rs" \
  "RUSTUP_DIST_SERVER=https://rsproxy.cn" "https://rsproxy.cn/rustup-init.sh"
program cargo "cargo 1.63.0" && program rustc "rustc 1.63.0 (4b91a6ea7 2022-08-08)"
expect "$(run bash "$place/tree/scripts/prepare.sh" build)" "Rust $wanted or newer is needed, this is 1.63.0" "$place/bin/rustc" \
  "https://sh.rustup.rs" "https://rsproxy.cn/rustup-init.sh"
program rustup "rustup 1.28.0"
expect "$(run bash "$place/tree/scripts/prepare.sh" build)" "rustup update stable" "RUSTUP_UPDATE_ROOT=https://rsproxy.cn/rustup"
fresh
mkdir -p "$home/.cargo/bin" && printf '#!/bin/sh\n' >"$home/.cargo/bin/cargo" && chmod +x "$home/.cargo/bin/cargo"
expect "$(run bash "$place/tree/scripts/prepare.sh" build)" "not on the PATH" ". ~/.cargo/env"

mkdir -p "$place/tree/static" && cp scripts/panel.sh "$place/tree/scripts/"
for step in "" verdict; do
  fresh
  expect "$(run bash "$place/tree/scripts/panel.sh" $step)" "The program has no panel" "this is none" "npm install -g n" \
    "registry.npmmirror.com" "N_NODE_MIRROR=https://npmmirror.com/mirrors/node"
  program node v18.20.4
  expect "$(run bash "$place/tree/scripts/panel.sh" $step)" "Node.js 20.19.0 or newer, this is 18.20.4" "n lts"
done
program node v24.1.0
[ -z "$(run bash "$place/tree/scripts/panel.sh" verdict)" ] || { echo "a panel that was built is told of" >&2 && exit 1; }
mkdir -p "$place/tree/static/dist" && touch "$place/tree/static/dist/index.html" && program node v18.20.4
expect "$(run bash "$place/tree/scripts/panel.sh" verdict)" "The panel stays as it was built before"
echo "what to type for Rust and Node.js is told"
