#!/usr/bin/env bash
# The Debian package under a systemd of its own: package.sh FILE.deb
set -euo pipefail
package=$1
unit=anyrouter-gateway.service
failed() {
  echo "FAILED: $1"
  journalctl --no-pager --unit "$unit" 2>/dev/null | tail -n 20 || true
  exit 1
}
property() { systemctl show --property "$1" --value "$unit"; }
runs() {
  [ "$(property ActiveState)" = active ] || failed "it does not run after $1"
  anyrouter-gateway healthcheck || failed "healthcheck after $1"
}
# Asks once; bash alone, because nothing else need be installed.
answers() (
  exec 3<>/dev/tcp/127.0.0.1/8088
  printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  grep -q '^HTTP/1.1 200' <&3
)

# The next version: the same program, and another configuration. (The first unit has systemd clear /tmp.)
next=$(mktemp -d -p /var/tmp)
dpkg-deb --raw-extract "$package" "$next/files"
sed -i 's/^Version: .*/&+next/' "$next/files/DEBIAN/control"
echo "# theirs" >>"$next/files/etc/anyrouter-gateway/gateway.yaml"
dpkg-deb --root-owner-group --build "$next/files" "$next/next.deb" >/dev/null

dpkg --install "$package" || failed "install"
runs "the installation"
[ "$(property UnitFileState)" = enabled ] || failed "it is not enabled"
first=$(property MainPID)

echo "# mine" >>/etc/anyrouter-gateway/gateway.yaml
(
  asked=0 missed=0
  until [ -e "$next/done" ]; do
    asked=$((asked + 1))
    answers 2>/dev/null || missed=$((missed + 1))
  done
  echo "$asked $missed" >"$next/count"
) &
asking=$!
sleep 0.5
dpkg --force-confold --install "$next/next.deb" || failed "upgrade"
# The old process closes its listeners five seconds after the hand-over.
sleep 6
touch "$next/done"
wait "$asking"
read -r asked missed <"$next/count"
[ "$asked" -gt 100 ] && [ "$missed" = 0 ] || failed "$missed of $asked requests failed during the upgrade"
runs "the upgrade"
[ "$(property MainPID)" != "$first" ] || failed "nobody took over"
grep -q '^# mine$' /etc/anyrouter-gateway/gateway.yaml || failed "the operator's file was overwritten"

dpkg --remove anyrouter-gateway || failed "remove"
systemctl is-active --quiet "$unit" && failed "it runs after it was removed"
[ ! -e /usr/bin/anyrouter-gateway ] && [ -e /etc/anyrouter-gateway/gateway.yaml ] || failed "remove left too much or too little"

dpkg --force-confold --install "$package" || failed "install after remove"
runs "it was installed again"
systemctl disable --now "$unit"
dpkg --install "$package" || failed "install while it is switched off"
[ "$(property ActiveState)" = inactive ] || failed "it was switched off, and an upgrade started it"

dpkg --purge anyrouter-gateway || failed "purge"
# Listed, not looked up: on overlays a folder that was removed can still be found by its name.
left=$(ls -A /etc /etc/systemd/system/multi-user.target.wants /var/lib /var/lib/private | grep -F anyrouter-gateway || true)
[ -z "$left" ] || failed "purge left $left"
echo "the package installs, upgrades without a failed request ($asked asked), and is removed cleanly"
