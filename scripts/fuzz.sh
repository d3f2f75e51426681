#!/usr/bin/env bash
# Fuzzes the targets of crates/gateway-core/src/fuzzed, one after the other. Usage: fuzz.sh [TARGET...]; without one, all.
# Each runs for FUZZ_SECONDS (600). Corpora stay in fuzz/corpus, what was found is put into fuzz/artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "cargo-fuzz is not installed: cargo install --locked cargo-fuzz" >&2
  exit 2
fi
# A stable toolchain will do with this. There is no unsafe code to look into: the sanitizers would only take time.
export RUSTC_BOOTSTRAP=1
build=(--sanitizer none)
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(ls seeds); fi

cargo fuzz build "${build[@]}" any
failed=()
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  log=artifacts/$target/log
  printf '== %s\n' "$target"
  FUZZ_TARGET=$target cargo fuzz run "${build[@]}" any "corpus/$target" "seeds/$target" -- \
    -max_total_time="${FUZZ_SECONDS:-600}" -max_len=4096 -timeout=10 -dict=words.dict -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" >"$log" 2>&1 || failed+=("$target")
  sed -nE 's/^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb): +/\1 /p; /panicked at|^SUMMARY/p' "$log"
done
[ ${#failed[@]} = 0 ] && exit 0
printf 'found something: %s; logs and inputs: fuzz/artifacts\n' "${failed[*]}" >&2
exit 1
