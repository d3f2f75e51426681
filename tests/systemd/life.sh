#!/usr/bin/env bash
# The life of the unit, under a systemd of its own: life.sh BINARY CONFIGURATION SIGNS
# The test and this script wait for each other by files in the folder SIGNS.
set -euo pipefail
binary=$1 configuration=$2 signs=$3
unit=anyrouter-gateway.service

failed() {
  echo "FAILED: $1"
  systemctl status --no-pager --full "$unit" || true
  journalctl --no-pager --unit "$unit" 2>/dev/null | tail -n 40 || true
  exit 1
}
sign() { touch "$signs/$1"; }
await() { # SIGN
  for _ in $(seq 600); do [ -e "$signs/$1" ] && return; sleep 0.05; done
  failed "nobody said $1"
}
property() { systemctl show --property "$1" --value "$unit"; }

install -D "$binary" /usr/bin/anyrouter-gateway
install -D --mode 0644 conf/anyrouter-gateway.service "/etc/systemd/system/$unit"
install -D --mode 0644 "$configuration" /etc/anyrouter-gateway/gateway.yaml
# The unit names its manual page.
mkdir -p /usr/share/man/man1
anyrouter-gateway man | gzip >/usr/share/man/man1/anyrouter-gateway.1.gz
systemctl daemon-reload

verified=$(systemd-analyze verify "/etc/systemd/system/$unit" 2>&1 | grep -F anyrouter-gateway || true)
[ -z "$verified" ] || failed "systemd-analyze verify: $verified"
exposure=$(systemd-analyze security --no-pager "$unit" | grep -Eo 'Overall exposure level[^:]*: [0-9.]+' | grep -Eo '[0-9.]+$')
awk -v level="$exposure" 'BEGIN { exit !(level <= 2.0) }' || failed "systemd-analyze security: $exposure"
echo "exposure $exposure"

systemctl start "$unit" || failed "start"
[ "$(property ActiveState)" = active ] || failed "it is not active"
first=$(property MainPID)
anyrouter-gateway reload || failed "a reload of the configuration by root"
sign started

await load
for _ in 1 2; do
  systemctl reload "$unit" || failed "systemctl reload"
  second=$(property MainPID)
  [ "$second" != "$first" ] || failed "the main process is the old one"
  [ "$(property ActiveState)" = active ] || failed "it is not active after the reload"
  # The command notices by itself that systemd looks after the gateway.
  anyrouter-gateway upgrade || failed "upgrade"
  first=$(property MainPID)
  [ "$second" != "$first" ] || failed "the main process is the old one after upgrade"
done
echo "reloads done"
cp /etc/anyrouter-gateway/gateway.yaml /tmp/good.yaml
echo "  lissten: 1" >>/etc/anyrouter-gateway/gateway.yaml
if systemctl reload "$unit"; then failed "a reload with a broken configuration went well"; fi
[ "$(property MainPID)" = "$first" ] && [ "$(property ActiveState)" = active ] || failed "a broken reload did harm"
cp /tmp/good.yaml /etc/anyrouter-gateway/gateway.yaml
sign reloaded

await unloaded
# Those that handed over have ended.
for _ in $(seq 400); do [ "$(wc -l </sys/fs/cgroup/system.slice/$unit/cgroup.procs)" = 1 ] && break; sleep 0.05; done
[ "$(wc -l </sys/fs/cgroup/system.slice/$unit/cgroup.procs)" = 1 ] || failed "old processes are left"
kill -KILL "$first"
for _ in $(seq 200); do [ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ] && break; sleep 0.05; done
[ "$(property NRestarts)" = 1 ] && [ "$(property MainPID)" != "$first" ] || failed "no restart after a crash"
sign restarted

await streaming
systemctl stop "$unit" || failed "stop"
[ "$(property Result)" = success ] || failed "the stop ended as $(property Result)"
sign stopped
[ -e /var/lib/anyrouter-gateway/data/gateway.db ] || failed "there is no request log in the state folder"
echo "life is over"
