#!/usr/bin/env bash
# `install-service` under a systemd of its own, with a gateway that runs in its folder: install.sh BINARY
# Needs a network of its own: the addresses are the usual ones.
set -euo pipefail
unit=anyrouter-gateway.service
# (The first unit has systemd clear /tmp.)
repository=$PWD notes=$(mktemp -d -p /var/tmp)
here=/root/gw state=/var/lib/anyrouter-gateway settings=/etc/anyrouter-gateway
failed() {
  echo "FAILED: $1"
  journalctl --no-pager -o short-precise -n 80 "UNIT=$unit" + "_SYSTEMD_UNIT=$unit" || true
  systemctl status --no-pager --full -n 0 "$unit" || true
  exit 1
}
property() { systemctl show --property "$1" --value "$unit"; }
await() { # WHAT COMMAND...
  for _ in $(seq 400); do "${@:2}" >/dev/null 2>&1 && return; sleep 0.05; done
  failed "$1"
}
# What there is of a service, by content.
all() {
  find /etc/systemd/system/anyrouter-gateway* "$settings" "$state"/ /usr/local/bin/anyrouter-gateway -type f 2>/dev/null \
    -not -path '*/data/*' -exec sha256sum {} + | sort || true
}
ask() {
  exec 3<>/dev/tcp/127.0.0.1/8088
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-of-a-client\r\nConnection: close\r\n\r\n' "$1" >&3
  cat <&3
}
rows() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT COUNT(*) FROM requests").fetchone()[0])' "$1"; }
remove() { # as README says
  systemctl disable --now anyrouter-gateway
  rm -r /etc/systemd/system/anyrouter-gateway.service* /usr/local/bin/anyrouter-gateway
  systemctl daemon-reload
  rm -r /etc/anyrouter-gateway /var/lib/anyrouter-gateway /var/lib/private/anyrouter-gateway
  await "the user goes, once its last process has" userdel anyrouter-gateway
}

# A folder that was removed from an overlay leaves a name that cannot be used.
mount -t tmpfs state /var/lib
install -D "$1" /opt/gw/bin/anyrouter-gateway
gateway=/opt/gw/bin/anyrouter-gateway
mkdir -p "$here/conf" "$here/env"
cd "$here"
cat >conf/gateway.yaml <<'END'
gateway:
  prices_file: conf/prices.json
  upstreams:
    - {name: relay, base_url: "http://127.0.0.1:9", api_key: "${env.RELAY_KEY}"}
    - {name: other, base_url: "http://127.0.0.1:9", api_key: sk-written-out-in-the-file}
  routes:
    - {keys: ["env:TEAM_KEY"], upstream: relay}
END
echo '{"some-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "litellm_provider": "anthropic", "mode": "chat"}}' >conf/prices.json
cat >env/.env <<'END'
# what a dotenv file may hold
export RELAY_KEY='sk-a$b"c\\d`e'
TEAM_KEY="sk-with # and 'quotes' \"here\""   # a comment
SYSTEM_PROMPT_REPLACEMENT="first line
second $HOME ${HOME} line\\	with a tab\nand a backslash at its end\\"
NO_PROXY=  localhost,127.0.0.1  # blanks around it
API_TIMEOUT_MS=
GATEWAY_RUNTIME_DIR=data/run
END
printf '%s\0' "RELAY_KEY=sk-a\$b\"c\\d\`e" "TEAM_KEY=sk-with # and 'quotes' \"here\"" \
  $'SYSTEM_PROMPT_REPLACEMENT=first line\nsecond $HOME ${HOME} line\\\twith a tab\nand a backslash at its end\\' \
  "NO_PROXY=localhost,127.0.0.1" | sort -z >"$notes/wanted"
echo '{"X-App": "cli"}' >env/.env.headers.json
echo '{"mappings": [{"target_url": "http://127.0.0.1:9", "keys": ["sk-of-a-client"]}]}' >env/.env.key-mappings.json
chmod 600 conf/gateway.yaml env/.env*

"$gateway" >$notes/log 2>&1 &
old=$!
await "the gateway of the folder starts" "$gateway" healthcheck
ask /x >/dev/null
mkdir -p data
printf 'gateway:\n  limits: {queue: 7}\n' >data/overlay.yaml
"$gateway" reload | grep -q 'gateway.limits.queue: 100 -> 7' || failed "reload"
await "a row is written" sh -c "[ \$(python3 -c 'import sqlite3; print(sqlite3.connect(\"data/gateway.db\").execute(\"SELECT COUNT(*) FROM requests\").fetchone()[0])') -ge 1 ]"

"$gateway" install-service --dry-run >$notes/dry || failed "--dry-run"
[ -z "$(all)" ] || failed "--dry-run did something"
grep -q "stop .*process $old" $notes/dry && grep -q 'nothing was done' $notes/dry || failed "--dry-run says: $(cat $notes/dry)"
if setpriv --reuid=65534 --clear-groups "$gateway" install-service 2>$notes/told; then failed "not root, and it was done"; fi
grep -q "sudo $gateway install-service" $notes/told || failed "who is not root is told: $(cat $notes/told)"

# A start that fails leaves nothing behind.
mkdir -p "/etc/systemd/system/$unit.d"
printf '[Service]\nExecStartPre=/bin/false\n' >"/etc/systemd/system/$unit.d/broken.conf"
before=$(all)
if "$gateway" install-service >$notes/done 2>$notes/told; then failed "a start that fails went well"; fi
[ "$(all)" = "$before" ] || failed "a start that failed left: $(all)"
grep -q 'what was done is undone' $notes/told && grep -q "cd $here && $gateway" $notes/told || failed "it says: $(cat $notes/told)"
left=$(ls -A /var/lib /var/lib/private /etc /usr/local/bin | grep -F anyrouter-gateway || true)
[ -z "$left" ] && ! id anyrouter-gateway 2>/dev/null || failed "left: $left, $(cat "$notes/told")"
rm -r "/etc/systemd/system/$unit.d"
systemctl daemon-reload
"$gateway" >$notes/log 2>&1 &
await "the gateway of the folder starts again" "$gateway" healthcheck
old=$!

"$gateway" install-service | tee $notes/done || failed "install-service"
! kill -0 "$old" 2>/dev/null || failed "the old gateway still runs"
grep -q "^note: $gateway is still there, and may come first on your PATH. .*: rm $gateway; hash -r" $notes/done || failed "it does not tell of the former program"
! grep '^Documentation=man:' "/etc/systemd/system/$unit" || failed "the unit names a manual page that nobody installed"
journalctl -o cat --unit "$unit" | grep -qF 'to open the panel, type `sudo anyrouter-gateway panel`: ' || failed "the log does not tell the short command"
[ "$(property ActiveState)" = active ] && [ "$(property UnitFileState)" = enabled ] || failed "the service does not run"
tr '\0' '\n' <"/proc/$(property MainPID)/environ" >$notes/environ
python3 - "/proc/$(property MainPID)/environ" $notes/wanted <<'END' || failed "the variables are others: $(cat "$settings/environment")"
import sys
has, wanted = (set(open(path, "rb").read().split(b"\0")) for path in sys.argv[1:])
sys.exit(f"missing: {wanted - has}" if wanted - has else 0)
END
! grep -q GATEWAY_RUNTIME_DIR "$settings/environment" || failed "the runtime folder of the folder came along"
cmp data/dashboard.key "$state/data/dashboard.key" || failed "the panel's key is another one"
cmp data/overlay.yaml "$state/data/overlay.yaml" || failed "the overlay is another one"
for file in env/.env.headers.json env/.env.key-mappings.json conf/prices.json; do cmp "$file" "$state/$file" || failed "$file"; done
cmp conf/gateway.yaml "$settings/gateway.yaml" || failed "the YAML file is another one"
[ "$(stat -c %a "$settings/gateway.yaml" "$settings/environment" | sort -u)" = 600 ] || failed "others can read the keys"
[ "$(rows "$state/data/gateway.db")" -ge "$(rows data/gateway.db)" ] || failed "rows are missing"
ask /x | grep -q '^HTTP/1.1 502' || failed "a client's key leads nowhere: $(ask /x)"
cd /
anyrouter-gateway reload >$notes/told || failed "reload from anywhere"
anyrouter-gateway panel | grep -q '^http://127.0.0.1:8088/admin#key=' || failed "panel from anywhere"
sleep 0.01; echo 'LISTEN="0.0.0.0:8088"' >>"$settings/environment"
anyrouter-gateway reload | grep -q "$settings/environment has changed since .* systemctl reload $unit" || failed "reload does not tell of the file of variables"
# What is asked about is what the next start would have.
anyrouter-gateway check >"$notes/told" 2>&1 || failed "check of variables that changed: $(cat "$notes/told")"
grep -q "of the gateway in .* with the variables that $settings/environment has now" "$notes/told" || failed "check does not say what was taken: $(cat "$notes/told")"
grep -Eq "^gateway.listen +0.0.0.0:8088 +$settings/environment:[0-9]+ LISTEN" "$notes/told" || failed "check has other variables: $(cat "$notes/told")"
sed -i '$d' "$settings/environment"
echo "installed with all that was there"

# Its language is that of commands, where the shell of who types them names none.
cp "$settings/environment" "$notes/environment"
echo 'GATEWAY_LANGUAGE=zh' >>"$settings/environment"
systemctl reload "$unit" || failed "a reload with a language"
for command in panel reload check; do
  env --unset=LC_ALL --unset=LC_MESSAGES LANG=C.UTF-8 anyrouter-gateway $command >"$notes/told" 2>&1 || failed "$command: $(cat "$notes/told")"
  grep -q '^正在运行的网关，位于 ' "$notes/told" || failed "$command does not speak Chinese: $(cat "$notes/told")"
done
LC_ALL=en_US.UTF-8 anyrouter-gateway panel >"$notes/told" 2>&1 || failed "panel: $(cat "$notes/told")"
grep -q '^the gateway in ' "$notes/told" || failed "a shell that names a language is not heard: $(cat "$notes/told")"
cp "$notes/environment" "$settings/environment"
systemctl reload "$unit" || failed "a reload without a language"
echo "commands speak the service's language"

# Mistakes in the file of variables, which the service itself may not read: in its log, and told to who asks.
cp "$settings/environment" "$notes/environment"
lines=$(wc -l <"$settings/environment")
printf 'export MY_TEAM=true\nAPI_BASEURL=http://127.0.0.1:9\n' >>"$settings/environment"
left_out="$settings/environment:$((lines + 1)):1: systemd leaves this line out"
misspelt="$settings/environment:$((lines + 2)):1: API_BASEURL is no setting; did you mean API_BASE_URL?"
logged() { journalctl -o cat --unit "$unit" >"$notes/journal" && grep -qF "$left_out" "$notes/journal" && grep -qF "$misspelt" "$notes/journal"; }
systemctl reload "$unit" || failed "a reload with variables that nobody reads"
await "the log of a reload names the lines" logged
anyrouter-gateway reload >"$notes/told" 2>&1 || failed "reload: $(cat "$notes/told")"
[ "$(grep -cF "$left_out" "$notes/told")" = 1 ] && grep -qF "$misspelt" "$notes/told" || failed "reload tells of lines: $(cat "$notes/told")"
[ "$(stat -c '%a %U' /run/anyrouter-gateway/environment.json)" = "644 root" ] && ! grep -q sk- /run/anyrouter-gateway/environment.json || failed "the note: $(cat /run/anyrouter-gateway/environment.json)"
# A line that would have set something is no small thing: the key would go where nobody sent it.
cp "$settings/environment" "$notes/warned"
echo 'export API_BASE_URL=http://127.0.0.1:10' >>"$settings/environment"
ignored="$settings/environment:$((lines + 3)):1: systemd leaves out lines with export, so that API_BASE_URL would not be set. Type: "
if anyrouter-gateway reload >"$notes/told" 2>&1; then failed "reload leaves a setting out: $(cat "$notes/told")"; fi
grep -qF "error: $ignored" "$notes/told" || failed "reload tells of a setting that is left out: $(cat "$notes/told")"
pid=$(property MainPID)
if systemctl reload "$unit" 2>/dev/null; then failed "a reload that leaves a setting out went well"; fi
[ "$(property MainPID)" = "$pid" ] || failed "another process serves, without its setting"
await "the log names the line that is left out" sh -c "journalctl -o cat --unit $unit | grep -qF '$ignored'"
systemctl stop "$unit"
if systemctl start "$unit" 2>/dev/null; then failed "a start that leaves a setting out went well"; fi
systemctl stop "$unit"
if anyrouter-gateway check >"$notes/told" 2>&1; then failed "check leaves a setting out"; fi
grep -qF "$ignored" "$notes/told" || failed "check of a setting that is left out: $(cat "$notes/told")"
# What it says to type.
eval "$(sed -n "s/.*so that API_BASE_URL would not be set. Type: sudo \(sed .*\); then: .*/\1/p" "$notes/told" | head -n 1)"
grep -q '^API_BASE_URL=http://127.0.0.1:10$' "$settings/environment" || failed "what was typed: $(cat "$settings/environment")"
cp "$notes/warned" "$settings/environment"
systemctl reset-failed "$unit"; systemctl start "$unit" || failed "it starts again with its settings"
# Nor does it go on with the default upstream, where the name of the address is misspelt and nothing else says where requests go.
cp "$settings/gateway.yaml" "$notes/own.yaml"
echo 'gateway: {}' >"$settings/gateway.yaml"
pid=$(property MainPID)
astray="$settings/environment:$((lines + 2)):1: API_BASEURL is no setting, and nothing else says where requests go: "
if systemctl reload "$unit" 2>/dev/null; then failed "a reload with a misspelt address went well"; fi
[ "$(property MainPID)" = "$pid" ] || failed "another process serves, with the default upstream"
await "the log names the misspelt address" sh -c "journalctl -o cat --unit $unit | grep -qF '$astray'"
if anyrouter-gateway reload >"$notes/told" 2>&1; then failed "reload of a misspelt address: $(cat "$notes/told")"; fi
if anyrouter-gateway check >"$notes/told" 2>&1; then failed "check of a misspelt address: $(cat "$notes/told")"; fi
grep -qF "error: $astray" "$notes/told" || failed "check of a misspelt address: $(cat "$notes/told")"
eval "$(sed -n "s/.*If you mean API_BASE_URL, type: sudo \(sed .*\); if not, .*/\1/p" "$notes/told" | head -n 1)"
grep -q '^API_BASE_URL=http://127.0.0.1:9$' "$settings/environment" || failed "what was typed: $(cat "$settings/environment")"
systemctl reload "$unit" || failed "a reload with what was typed"
cp "$notes/own.yaml" "$settings/gateway.yaml"
cp "$notes/warned" "$settings/environment"
echo 'PORT=http' >>"$settings/environment"
if systemctl reload "$unit" 2>/dev/null; then failed "a reload with a port that is none went well"; fi
await "the log names the line of the port" sh -c "journalctl -o cat --unit $unit | grep -qF '$settings/environment:$((lines + 3)) PORT: PORT: \"http\" is not a port'"
for command in check doctor; do
  if anyrouter-gateway $command >"$notes/told" 2>&1; then failed "$command after a reload that was refused"; fi
  grep -qF "$settings/environment:$((lines + 3)) PORT" "$notes/told" || failed "$command after a reload that was refused: $(cat "$notes/told")"
done
systemctl stop "$unit"
if systemctl start "$unit" 2>/dev/null; then failed "a start with a port that is none went well"; fi
await "the log of a start names the line" sh -c "journalctl -o cat --unit $unit -n 30 | grep -qF '$settings/environment:$((lines + 3)) PORT'"
systemctl stop "$unit"
cp "$notes/environment" "$settings/environment"
# The service does not run: its files say what it has.
anyrouter-gateway check >"$notes/told" 2>&1 || failed "check while the service does not run: $(cat "$notes/told")"
grep -q "^of the service: $settings/gateway.yaml, with the variables in $settings/environment (it is installed, but does not run" "$notes/told" || failed "it is not said what was taken: $(cat "$notes/told")"
grep -Eq "^gateway.upstreams\[0\].base_url +http://127.0.0.1:9 " "$notes/told" && grep -Eq "^header X-App .*env/.env.headers.json" "$notes/told" || failed "other settings: $(cat "$notes/told")"
grep -q "^gateway.limits.queue  *7 " "$notes/told" || failed "the overlay was not read: $(cat "$notes/told")"
GATEWAY_LANGUAGE=zh anyrouter-gateway prices >"$notes/told" 2>&1
grep -q "^系统服务的配置：$settings/gateway.yaml，变量取自 $settings/environment（服务已安装，但没有运行" "$notes/told" || failed "in Chinese: $(cat "$notes/told")"
if anyrouter-gateway try >"$notes/told" 2>&1; then failed "try without a gateway"; fi
grep -q "the service is installed, but does not run" "$notes/told" || failed "try: $(cat "$notes/told")"
# Others read what they may.
setpriv --reuid=65534 --clear-groups anyrouter-gateway check >"$notes/told" 2>&1 || failed "check by others: $(cat "$notes/told")"
grep -q "The service is installed, but does not run .* cannot be read. Type: sudo anyrouter-gateway check" "$notes/told" || failed "check by others: $(cat "$notes/told")"
cp -p "$settings/gateway.yaml" "$notes/secret.yaml"
printf 'gateway: {upstreams: [{name: open, base_url: "http://127.0.0.1:9"}]}\n' >"$settings/gateway.yaml" && chmod 644 "$settings/gateway.yaml"; folder_mode=$(stat -c %a "$settings"); chmod 755 "$settings"
setpriv --reuid=65534 --clear-groups anyrouter-gateway check >"$notes/told" 2>&1 || failed "check by others: $(cat "$notes/told")"
[ "$(grep -c "^note: this is about $settings/gateway.yaml alone, .* $settings/environment is for root. Type: sudo anyrouter-gateway check$" "$notes/told")" = 1 ] && tail -n 1 "$notes/told" | grep -q "^note: " || failed "check by others: $(cat "$notes/told")"
# Doctor tries nothing for who may not read what the service has; and it knows who has the address.
python3 -m http.server --bind 127.0.0.1 8088 >/dev/null 2>&1 &
other=$!
await "another program listens" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8088'
if setpriv --reuid=65534 --clear-groups anyrouter-gateway doctor >"$notes/told" 2>&1; then failed "doctor by others: $(cat "$notes/told")"; fi
tail -n 1 "$notes/told" | grep -q "^error: nothing was tried: this is about $settings/gateway.yaml alone, .* Type: sudo anyrouter-gateway doctor$" || failed "doctor by others: $(cat "$notes/told")"
cp "$settings/gateway.yaml" /tmp/open.yaml && chmod 644 /tmp/open.yaml
setpriv --reuid=65534 --clear-groups anyrouter-gateway -c /tmp/open.yaml doctor >"$notes/told" 2>/dev/null || true
rm /tmp/open.yaml
grep -q "gateway.listen: 127.0.0.1:8088 is taken by a program of root's, " "$notes/told" || failed "doctor on an address in use: $(cat "$notes/told")"
anyrouter-gateway doctor >"$notes/told" 2>/dev/null || true
grep -q "127.0.0.1:8088 is taken by python3 (process $other)" "$notes/told" || failed "doctor by root: $(cat "$notes/told")"
kill "$other"
cp -p "$notes/secret.yaml" "$settings/gateway.yaml"; chmod "$folder_mode" "$settings"
systemctl start "$unit" || failed "it starts again"
anyrouter-gateway doctor >"$notes/told" 2>&1 || true
! grep -q 'is taken by' "$notes/told" || failed "doctor takes the service for another program: $(cat "$notes/told")"
echo "mistakes in the file of variables have their line, and the service's files are read while it does not run"

cd "$here"
was=$(all)
"$gateway" install-service >$notes/done || failed "a second time"
[ "$(all)" = "$was" ] && ! grep -Eq '^(new|replaced|copied|made) ' $notes/done || failed "a second time is no time: $(cat $notes/done)"
echo 'LISTEN=127.0.0.1:8099' >>env/.env
if "$gateway" install-service 2>$notes/told; then failed "it replaced what differs"; fi
[ "$(all)" = "$was" ] && grep -q "differs from what is here: $settings/environment" $notes/told || failed "it says: $(cat $notes/told)"
"$gateway" install-service --force >$notes/done || failed "--force"
grep -q 8099 "$settings/environment" && ! grep -q 8099 "$settings/environment.old" || failed "--force"
exec 4<>/dev/tcp/127.0.0.1/8099 || failed "it does not listen where it was told to"
echo "settings that changed were brought along"

# What the unit does not give by itself: a port below 1024, and a key that only root can read.
mkdir -p /etc/ssl/private
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout /etc/ssl/private/gw.key -out /etc/ssl/gw.pem 2>/dev/null
chmod 600 /etc/ssl/private/gw.key
# Not every machine lets a systemd in namespaces hand credentials over.
cat >/run/systemd/system/credentials.service <<'END'
[Service]
Type=oneshot
User=nobody
LoadCredential=key:/etc/ssl/private/gw.key
ExecStart=test -r ${CREDENTIALS_DIRECTORY}/key
END
if ! systemctl start credentials.service 2>/dev/null; then
  echo "no credentials here: the key is one that all can read"
  chmod 755 /etc/ssl/private
  chmod 644 /etc/ssl/private/gw.key
fi
printf 'TLS_LISTEN=127.0.0.1:443\nTLS_CERT=/etc/ssl/gw.pem\nTLS_KEY=/etc/ssl/private/gw.key\n' >>env/.env
"$gateway" install-service --force >"$notes/done" || failed "TLS: $(cat "$notes/done")"
grep -q '^restarted' "$notes/done" || failed "a new drop-in needs a new start: $(cat "$notes/done")"
openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | grep -q 'CN *= *localhost' || failed "no TLS at 443"
# An address that the running one is in the way of, for which an upgrade is not enough.
sed -i 's/^LISTEN=.*/LISTEN=0.0.0.0:8099/' env/.env
"$gateway" install-service --force >"$notes/done" || failed "LISTEN: $(cat "$notes/done")"
grep -q '^restarted' "$notes/done" && exec 4<>/dev/tcp/127.0.0.1/8099 || failed "LISTEN: $(cat "$notes/done")"
echo "a port below 1024, and a key of root's"

first=$(property MainPID)
# README's update
install "$gateway" /usr/local/bin/ && systemctl reload anyrouter-gateway || failed "update"
[ "$(property MainPID)" != "$first" ] && [ "$(property ActiveState)" = active ] || failed "no new process serves"
# Its lines go to the journal as those of the first one: without a time of their own.
! journalctl -o cat "_PID=$(property MainPID)" | grep -q '^20[0-9][0-9]-' || failed "lines in the journal have two times"

remove
[ -z "$(all)" ] && ! id anyrouter-gateway 2>/dev/null || failed "removal left something"
sed -i '/^LISTEN=/,$d' env/.env

# Where the package is installed, program and unit stay its own.
install "$gateway" /usr/bin/anyrouter-gateway
install -m 644 "$repository/conf/$unit" /usr/lib/systemd/system/
"$gateway" install-service >"$notes/done" || failed "beside the package: $(cat "$notes/done")"
grep -q 'the package anyrouter-gateway has' "$notes/done" && [ "$(property ActiveState)" = active ] || failed "$(cat "$notes/done")"
[ -z "$(ls /etc/systemd/system /usr/local/bin | grep -F anyrouter-gateway)" ] || failed "it fights the package"
systemctl disable --now anyrouter-gateway 2>/dev/null
rm -r /usr/bin/anyrouter-gateway "/usr/lib/systemd/system/$unit" "$settings" "$state" /var/lib/private/anyrouter-gateway
systemctl daemon-reload

python3 -m http.server --bind 127.0.0.1 8088 >/dev/null 2>&1 &
other=$!
await "another program listens" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8088'
if "$gateway" install-service 2>$notes/told; then failed "its address is another's"; fi
grep -q '127.0.0.1:8088 .*stop the program' $notes/told && [ -z "$(all)" ] || failed "an address in use: $(cat $notes/told)"
kill "$other"
echo "install-service brings everything along, undoes what fails, and is removed cleanly"
