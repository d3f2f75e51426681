#!/usr/bin/env bash
# Which file may use which: tries the check itself, then checks the repository.
set -euo pipefail
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
python3 check_imports_test.py --quiet
exec python3 check_imports.py "$@"
