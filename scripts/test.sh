#!/usr/bin/env bash
# Runs the checks of this project and says at the end what ran. Usage: test.sh [STEP...]; without a step, all of them.
#
# Every step runs, even after one failed, so that one run shows all there is to mend; the exit code is 1 if any failed.
# The whole output of each step is kept in target/test-logs/.
set -euo pipefail
cd "$(dirname "$0")/.."

all_steps=(format imports clippy panel build tests postgres doctests deny e2e)
if [ $# -gt 0 ]; then steps=("$@"); else steps=("${all_steps[@]}"); fi

trap 'exit 130' INT
export CARGO_TERM_PROGRESS_WHEN=never CARGO_TERM_COLOR=never NO_COLOR=1
logs=${CARGO_TARGET_DIR:-target}/test-logs
mkdir -p "$logs"
# In CI the lock file is the law; at a desk a new dependency may still be added to it.
locked=()
if [ -n "${CI:-}" ]; then locked=(--locked); fi

step_format() {
  cargo fmt --all -- --check --files-with-diff --color never && return 0
  echo "These files are not formatted: run make fmt, or look with cargo fmt --all --check."
  return 1
}

step_imports() { scripts/check-imports.sh; }

step_clippy() { cargo clippy --workspace --all-targets "${locked[@]}" -- -D warnings; }

step_panel() {
  scripts/toolchains_test.sh
  scripts/panel.sh check
}

# Tests and binaries in one call: the crates that only tests need switch features on in shared dependencies, and
# building the binaries without them would compile Pingora a second time.
step_build() { cargo build --workspace --bins --tests --example fill_log "${locked[@]}"; }

step_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast "${locked[@]}"
  else
    cargo test --workspace --bins --lib --tests --no-fail-fast --quiet "${locked[@]}"
  fi
}

# The tests of the request log once more, with a PostgreSQL server of their own.
step_postgres() {
  if cargo nextest --version >/dev/null 2>&1; then
    scripts/with-postgres.sh cargo nextest run --no-fail-fast "${locked[@]}" -p anyrouter-gateway \
      -E 'test(/^store::/) | binary(fleet)'
  else
    scripts/with-postgres.sh cargo test -p anyrouter-gateway --lib --quiet "${locked[@]}" store:: &&
      scripts/with-postgres.sh cargo test -p anyrouter-gateway --test fleet --quiet "${locked[@]}"
  fi
}

step_doctests() { cargo test --workspace --doc --quiet "${locked[@]}"; }

step_deny() {
  if ! cargo deny --version >/dev/null 2>&1; then
    echo "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
    return 0
  fi
  # Warnings (crates in two versions) are counted, not listed; `cargo deny check bans` lists them.
  cargo deny --log-level error check --show-stats licenses bans sources || return 1
  # The database of advisories comes from the network. Without it the list in SECURITY.md is what is known.
  if cargo deny --log-level off fetch db; then
    cargo deny --log-level error check --disable-fetch --show-stats advisories
  else
    echo "advisories: not checked, their database cannot be reached from here"
  fi
}

step_e2e() { scripts/e2e.sh; }

# What a step's log says about how much ran; one line, perhaps empty.
note() { # STEP LOG
  case $1 in
    tests | postgres | doctests)
      if grep -q '^ *Summary \[' "$2"; then
        sed -nE 's/^ *Summary \[.*\] +//p' "$2" | tail -n 1
      else
        awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
             END { printf "%d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$2"
      fi
      ;;
    deny) sed -nE 's/^(skipped|advisories): /\1: /p' "$2" | tail -n 1 ;;
    panel) sed -nE 's/^ *Tests +//p; s/^(The panel is left out).*/\1/p' "$2" | tail -n 1 ;;
    e2e) sed -nE 's/^e2e: //p' "$2" | tail -n 1 ;;
  esac
}

# The lines that cargo writes for each crate say nothing to a reader of the whole run; the log file has them.
terse() {
  grep --line-buffered -vE '^ +(Compiling|Checking|Downloaded|Downloading|Adding|Locking|Updating|Fresh|Blocking) ' ||
    true
}

run_step() { # NAME: runs it and adds its line to the summary; 1 when it failed
  local name=$1 log=$logs/$1.log started=$SECONDS state=ok said
  printf '\n== %s\n' "$name"
  "step_$name" 2>&1 | tee "$log" | terse || state=FAILED
  said=$(note "$name" "$log")
  if [ "$state" = ok ] && [[ $said = skipped:* ]]; then state=-; fi
  summary+=("$(printf '%-9s %-6s %4d s  %s' "$name" "$state" $((SECONDS - started)) "$said")")
  [ "$state" != FAILED ]
}

for step in "${steps[@]}"; do
  if ! declare -F "step_$step" >/dev/null; then
    printf 'unknown step %s; steps: %s\n' "$step" "${all_steps[*]}" >&2
    exit 2
  fi
done

scripts/prepare.sh test </dev/null

summary=()
failed=0
for step in "${steps[@]}"; do
  run_step "$step" </dev/null || failed=1
done

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
if [ "$failed" = 1 ]; then
  printf 'FAILED in %d s; logs: %s\n' "$SECONDS" "$logs"
  exit 1
fi
printf 'passed in %d s\n' "$SECONDS"
