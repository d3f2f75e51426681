#!/usr/bin/env bash
# A release build laid out by what a run of it has called: what is often used stands together, apart from all else (LLVM BOLT).
# docs/benchmarks.md says what that gives. The program is target/bolt/anyrouter-gateway. Needs BOLT of Debian or of LLVM
# (apt-get install bolt-22; BOLT=... names another program) and x86-64.
set -euo pipefail
cd "$(dirname "$0")/.."

name=anyrouter-gateway
target=${CARGO_TARGET_DIR:-target}
out=$target/bolt
bolt=${BOLT:-$(command -v llvm-bolt || ls /usr/lib/llvm-*/bin/llvm-bolt 2>/dev/null | tail -n 1)}
[ -n "$bolt" ] || { echo "llvm-bolt is missing. Type: apt-get install -y bolt-22" >&2; exit 1; }
mkdir -p "$out"

# Only what is linked last has to keep where its functions are referred to.
export CARGO_PROFILE_RELEASE_STRIP=none
cargo build --release ${CI:+--locked} -p bench --bin bench
cargo rustc --release ${CI:+--locked} -p $name --bin $name -- -Clink-arg=-Wl,--emit-relocs
cp "$target/release/$name" "$out/linked"

# Counters, which are written down every two seconds: the loads end without warning.
counts=$(realpath "$out")/counts
rm -f "$counts"
"$bolt" "$out/linked" -instrument -o "$out/counting" --instrumentation-file="$counts" \
  --instrumentation-sleep-time=2 --instrumentation-no-counters-clear
for load in get 2kb 54kb; do
  "$target/release/bench" hold gateway "$load" --seconds 5 --binary "$out/counting"
done

"$bolt" "$out/linked" -o "$out/$name" -data="$counts" -reorder-blocks=ext-tsp -reorder-functions=cdsort \
  -split-functions -split-all-cold -split-eh
# It is not stripped: what binutils makes of it does not run.
echo "$out/$name"
