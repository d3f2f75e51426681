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

dpkg --install "$package" || failed "install"
[ "$(property ActiveState)" = active ] || failed "it does not run after the installation"
[ "$(property UnitFileState)" = enabled ] || failed "it is not enabled"
anyrouter-gateway healthcheck || failed "healthcheck"
first=$(property MainPID)

echo "# mine" >>/etc/anyrouter-gateway/gateway.yaml
dpkg --install "$package" || failed "upgrade"
[ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$first" ] || failed "nobody took over"
anyrouter-gateway healthcheck || failed "healthcheck after the upgrade"
grep -q '^# mine$' /etc/anyrouter-gateway/gateway.yaml || failed "the operator's file was overwritten"

dpkg --remove anyrouter-gateway || failed "remove"
systemctl is-active --quiet "$unit" && failed "it runs after it was removed"
[ ! -e /usr/bin/anyrouter-gateway ] && [ -e /etc/anyrouter-gateway/gateway.yaml ] || failed "remove left too much or too little"
dpkg --purge anyrouter-gateway || failed "purge"
# Listed, not looked up: on overlays a folder that was removed can still be found by its name.
left=$(ls -A /etc /var/lib /var/lib/private | grep -F anyrouter-gateway || true)
[ -z "$left" ] || failed "purge left $left"
echo "the package installs, upgrades, and is removed cleanly"
