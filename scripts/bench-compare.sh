#!/usr/bin/env bash
# CPU time of the gateway as it is here beside that of an earlier commit, on this machine. Usage: bench-compare.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."

commit=$(git rev-parse --verify "${1:?usage: bench-compare.sh COMMIT}^{commit}")
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
before=$target/before
tree=$before/$commit

if [ ! -x "$before/anyrouter-gateway-$commit" ]; then
  # What a run that was killed has left.
  git worktree remove --force "$tree" 2>/dev/null || true
  git worktree prune
  git worktree add --quiet --detach "$tree" "$commit"
  trap 'git worktree remove --force "$tree"' EXIT
  (cd "$tree" && CARGO_TARGET_DIR=$before/target cargo build --release --locked -p anyrouter-gateway)
  cp "$before/target/release/anyrouter-gateway" "$before/anyrouter-gateway-$commit"
fi
cargo build --release --locked -p anyrouter-gateway -p bench --bin anyrouter-gateway --bin bench
"$target/release/bench" compare "$before/anyrouter-gateway-$commit"
