#!/usr/bin/env bash
# Boots the systemd of this machine as process 1 of new namespaces and runs a command under it:
#   boot.sh COMMAND [ARGUMENT...]
# What the command writes below /etc, /usr, /var, /opt and /root goes to layers that are thrown away afterwards; /tmp and
# /run are new, but for this folder; the network is the machine's own. Exit status: the command's, or 97 where that cannot be done here.
set -euo pipefail
cannot() { echo "no systemd of its own: $1" >&2; exit 97; }
[ "$(id -u)" = 0 ] || cannot "only root can make these namespaces"
for tool in unshare nsenter systemctl; do command -v "$tool" >/dev/null || cannot "$tool is missing"; done
unshare --mount --pid --fork --ipc --uts --cgroup true 2>/dev/null || cannot "namespaces are not allowed"

# Overlays cannot lie on overlays, which folders in containers often are.
upper=$(mktemp -d -p /dev/shm)
export upper
layers='
set -e
mount --make-rprivate /
mount -t tmpfs layers "$upper"
for folder in etc usr var opt root; do
  mkdir -p "$upper/$folder/new" "$upper/$folder/work"
  mount -t overlay layers "/$folder" -o "lowerdir=/$folder,upperdir=$upper/$folder/new,workdir=$upper/$folder/work"
done
# This folder may lie in one of those that are new.
mkdir "$upper/here"
mount --bind "$PWD" "$upper/here"
for folder in tmp run; do mount -t tmpfs "$folder" "/$folder"; done
case $PWD in /tmp/* | /run/*) mkdir -p "$PWD" && mount --bind "$upper/here" "$PWD" ;; esac
umount --recursive /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/system
printf "[Unit]\nDescription=Nothing but what is asked for\nAllowIsolate=yes\n" >/run/systemd/system/bare.target
export container=namespaces
exec /lib/systemd/systemd --system --unit=bare.target --show-status=no --log-target=journal
'
unshare --mount --pid --fork --mount-proc --ipc --uts --cgroup bash -c "$layers" >/dev/null 2>&1 &
outside=$!
init=
end() {
  # With process 1 of the namespace everything in it ends.
  [ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
  wait "$outside" 2>/dev/null || true
  rmdir "$upper"
}
trap end EXIT

inside() { nsenter --target "$init" --mount --pid --ipc --uts --cgroup -- "$@"; }
for _ in $(seq 150); do
  init=$(cat "/proc/$outside/task/$outside/children" 2>/dev/null | tr -d ' ')
  state=$([ -z "$init" ] || inside systemctl is-system-running 2>/dev/null || true)
  case $state in running | degraded) break ;; esac
  kill -0 "$outside" 2>/dev/null || { init=; cannot "it ended at once"; }
  sleep 0.1
done
case $state in running | degraded) ;; *) cannot "it did not come up" ;; esac
inside bash -c 'cd "$1"; shift; exec "$@"' bash "$PWD" "$@"
