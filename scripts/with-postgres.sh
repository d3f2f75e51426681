#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own: with-postgres.sh CMD [ARG...]
#
# The command finds its address in GATEWAY_TEST_STORE. The server has its data in a temporary folder, listens at a socket there
# and nowhere else, and ends with the command. It writes as tests like it, without waiting for the disk; FSYNC=on has it wait.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: with-postgres.sh CMD [ARG...]" >&2; exit 2; }

if command -v initdb >/dev/null; then
  bin=$(dirname "$(readlink -f "$(command -v initdb)")")
else
  # Debian keeps them out of PATH, a folder for each version.
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin -type d 2>/dev/null | sort -V | tail -n 1)
fi
[ -n "$bin" ] && [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] || { echo "PostgreSQL is not installed: apt-get install postgresql" >&2; exit 1; }

folder=$(mktemp -d /tmp/with-postgres.XXXXXX)
server=
end() {
  if [ -n "$server" ]; then
    # The fast way: it waits for nobody.
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# It refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  user=postgres
  id -u postgres >/dev/null 2>&1 || user=nobody
  as=(setpriv --reuid "$(id -u "$user")" --regid "$(id -g "$user")" --clear-groups)
  chown "$user" "$folder"
fi
chmod 755 "$folder"

password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$folder/password"
chmod 644 "$folder/password"
# shellcheck disable=SC2016
(cd / && "${as[@]}" "$bin/initdb" -D "$folder/data" -U gateway --pwfile="$folder/password" -A scram-sha-256 -E UTF8 \
  --locale=C.UTF-8 --no-sync >"$folder/initdb.log" 2>&1) || { cat "$folder/initdb.log" >&2; exit 1; }
rm "$folder/password"

(cd / && exec "${as[@]}" "$bin/postgres" -D "$folder/data" -c listen_addresses= -c unix_socket_directories="$folder" \
  -c max_connections=200 -c fsync="${FSYNC:-off}" -c synchronous_commit="${FSYNC:-off}" -c full_page_writes="${FSYNC:-off}" \
  -c max_wal_size=4GB -c shared_buffers=256MB >"$folder/server.log" 2>&1) &
server=$!

export GATEWAY_TEST_STORE="postgres://gateway:$password@localhost/postgres?host=$folder"
for _ in $(seq 300); do
  if grep -q '^ready' "$folder/data/postmaster.pid" 2>/dev/null; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$folder/server.log" >&2; exit 1; }
  sleep 0.1
done

"$@"
