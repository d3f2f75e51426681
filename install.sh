#!/bin/sh
# Installs, updates or removes anyrouter-gateway, without compiling. 安装、更新或卸载 anyrouter-gateway，无需编译。
#
#   sh install.sh [--version 0.1.0]       install, or update; configuration and data stay 安装或更新，保留配置和数据
#   sh install.sh --uninstall [--purge]   remove; --purge deletes configuration and data too 卸载；--purge 连同配置和数据一起删除
#
# As root: /usr/local/bin/anyrouter-gateway, /etc/anyrouter-gateway, and a systemd service. As anybody else:
# ~/.local/bin and ~/.local/share/anyrouter-gateway, and nothing is started.
set -eu

# The address of releases: those of the newest are in $releases/latest/download, of any in $releases/download/vVERSION.
# `make dist RELEASES=https://...` writes it here; the variable ANYROUTER_GATEWAY_RELEASES names a mirror.
RELEASES=''
releases=${ANYROUTER_GATEWAY_RELEASES:-$RELEASES}

name=anyrouter-gateway
unit=$name.service
version='' uninstall='' purge='' folder='' new='' former=''

# The language of this script, of the service and of the comments in its settings: GATEWAY_LANGUAGE, else the system's; where
# that names none, the one with which the service was installed.
service_language() { sed -n 's/^GATEWAY_LANGUAGE=//p' /etc/$name/environment 2>/dev/null | tail -n 1; }
language=${GATEWAY_LANGUAGE:-auto}
[ "$language" != auto ] || language=${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}
case $language in
  '' | C | C.* | POSIX) language=$(service_language) ;;
esac
case $language in
  zh*) chinese=yes commented=gateway.zh-CN.yaml ;;
  *) chinese='' commented=gateway.yaml ;;
esac

say() { # ENGLISH CHINESE
  if [ "$chinese" ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}
fail() {
  say "$@" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

clean_up() {
  if [ "$folder" ]; then rm -rf "$folder"; fi
  if [ "$new" ]; then rm -f "$new"; fi
}

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --version)
        [ $# -gt 1 ] || fail "--version needs a number, such as --version 0.1.0" "--version 后面要写版本号，例如 --version 0.1.0"
        version=${2#v}
        shift
        ;;
      --uninstall) uninstall=yes ;;
      --purge) purge=yes ;;
      *) fail "$1 is not known. Usage: sh install.sh [--version 0.1.0] | --uninstall [--purge]" \
        "不认识参数 $1。用法：sh install.sh [--version 0.1.0] | --uninstall [--purge]" ;;
    esac
    shift
  done
  [ -z "$purge" ] || [ "$uninstall" ] || fail "--purge goes with --uninstall" "--purge 要和 --uninstall 一起使用"
}

find_places() {
  if [ "$(id -u)" = 0 ]; then
    root=yes
    bin=/usr/local/bin home=/etc/$name
    ! dpkg --search /usr/bin/$name >/dev/null 2>&1 || fail \
      "The Debian package is installed. Update: apt install ./${name}_VERSION_ARCHITECTURE.deb; remove: apt remove $name" \
      "这台机器装的是 Debian 软件包。更新：apt install ./${name}_版本_架构.deb；卸载：apt remove $name"
  else
    root=''
    [ "${HOME:-}" ] || fail "HOME is not set. Type: export HOME=/your/home" "没有设置 HOME。请先执行：export HOME=你的主目录"
    bin=$HOME/.local/bin home=${XDG_DATA_HOME:-$HOME/.local/share}/$name
  fi
}

has_systemd() { [ -d /run/systemd/system ] && have systemctl; }

# --- Download -------------------------------------------------------------------------------------------------------

# How this script is typed with a variable: as a file, or out of a pipe, whose address only who typed it knows.
again() { # NAME=VALUE
  case $0 in
    *.sh) echo "${root:+sudo }$1 sh $0" ;;
    *) echo "curl ... | ${root:+sudo }$1 sh" ;;
  esac
}

check_system() {
  [ "$(uname -s)" = Linux ] || fail \
    "This is for Linux. On $(uname -s), build from source or use Docker, as README.md says." \
    "本脚本只支持 Linux。$(uname -s) 上请从源码编译或使用 Docker，见 README.zh-CN.md。"
  case $(uname -m) in
    x86_64 | amd64) architecture=x86_64 ;;
    aarch64 | arm64) architecture=aarch64 ;;
    *) fail "There is no build for the processor $(uname -m). Build from source, as README.md says." \
      "没有适用于处理器 $(uname -m) 的版本。请从源码编译，见 README.zh-CN.md。" ;;
  esac
  [ "$releases" ] || fail \
    "No address of releases. Type it: $(again "ANYROUTER_GATEWAY_RELEASES=https://HOST/PATH/releases")" \
    "不知道从哪里下载。请写上发布页的地址：$(again "ANYROUTER_GATEWAY_RELEASES=https://主机/路径/releases")"
  for tool in tar gzip sha256sum mktemp; do
    have $tool || fail "$tool is missing. On Debian and Ubuntu: apt install tar gzip coreutils" \
      "缺少 $tool。Debian 和 Ubuntu：apt install tar gzip coreutils"
  done
  have curl || have wget || fail "curl or wget is needed. On Debian and Ubuntu: apt install curl ca-certificates" \
    "需要 curl 或 wget。Debian 和 Ubuntu：apt install curl ca-certificates"
}

need_room() { # FOLDER MEGABYTES
  free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$2" ] || fail "$1 has $free MB left, and $2 are needed. Make room, then try again." \
    "$1 只剩 $free MB，需要 $2 MB。请清理空间后重试。"
}

download() { # ADDRESS FILE
  if have curl; then
    curl -fsSL --connect-timeout 20 --speed-limit 1000 --speed-time 60 --retry 2 -o "$2" "$1" && return
  else
    # BusyBox's wget knows no --tries.
    tries=''
    if wget --help 2>&1 | grep -q -e --tries; then tries=--tries=2; fi
    # shellcheck disable=SC2086 # nothing, or one word
    wget -q -T 60 $tries -O "$2" "$1" && return
  fi
  fail "Not downloaded: $1
Is the address right${version:+, is there a version $version}, and can this machine reach it?
A mirror: ANYROUTER_GATEWAY_RELEASES=https://...; a proxy: https_proxy=http://..." \
    "下载失败：$1
请确认地址正确${version:+、有 $version 这个版本}、网络可达。
换镜像：ANYROUTER_GATEWAY_RELEASES=https://...；走代理：https_proxy=http://..."
}

fetch() {
  folder=$(mktemp -d) || fail "No temporary folder can be made. Name one with room: $(again TMPDIR=/var/tmp)" \
    "无法创建临时目录。请指定一个有空间的目录：$(again TMPDIR=/var/tmp)"
  need_room "$folder" 80
  if [ "$version" ]; then from=$releases/download/v$version; else from=$releases/latest/download; fi
  download "$from/SHA256SUMS" "$folder/SHA256SUMS"
  archive=$(sed -n "s/^[0-9a-f]*  \($name-[0-9][^ /]*-linux-$architecture\.tar\.gz\)\$/\1/p" "$folder/SHA256SUMS")
  [ "$archive" ] || fail "The release at $from has nothing for $architecture. Build from source, as README.md says." \
    "$from 没有适用于 $architecture 的文件。请从源码编译，见 README.zh-CN.md。"
  # The newest may be another one in a moment.
  version=${archive#"$name-"} version=${version%"-linux-$architecture.tar.gz"}
  download "$releases/download/v$version/$archive" "$folder/$archive"
  (cd "$folder" && grep -F "  $archive" SHA256SUMS | sha256sum -c - >/dev/null 2>&1) || fail \
    "$archive is not what SHA256SUMS says: the download is incomplete, or the file was changed.
Nothing was installed. Try again, or use another mirror." \
    "$archive 与 SHA256SUMS 不符：下载不完整，或文件被改动过。
没有安装任何东西。请重试，或换一个镜像。"
  gzip -dc "$folder/$archive" | tar -xf - -C "$folder" || fail \
    "$archive cannot be unpacked into $folder: is there room (df -h $folder)?" \
    "$archive 无法解压到 $folder，请检查剩余空间（df -h $folder）"
  files=$folder/${archive%.tar.gz}
}

# --- Install --------------------------------------------------------------------------------------------------------

put_program() {
  if ! { mkdir -p "$bin" && new=$(mktemp "$bin/.$name.XXXXXX"); }; then
    fail "$bin cannot be written to. Whose is it? ls -ld $bin" "无法写入 $bin。请检查它的所有者和权限：ls -ld $bin"
  fi
  need_room "$bin" 40
  cp "$files/$name" "$new" || fail "$bin cannot be written to: is there room (df -h $bin)?" \
    "无法写入 $bin，请检查剩余空间（df -h $bin）"
  chmod 755 "$new"
  "$new" --version >/dev/null || fail \
    "The program does not run on this machine. Nothing was changed; build from source, as README.md says." \
    "程序无法在这台机器上运行。没有改动任何东西；请从源码编译，见 README.zh-CN.md。"
  # The old one stays until the new one has taken over.
  if [ -e "$bin/$name" ]; then
    cp -p "$bin/$name" "$folder/old"
    former=$("$folder/old" --version 2>/dev/null | awk '{ print $NF }') || former='?'
  fi
  mv -f "$new" "$bin/$name"
  new=''
}

say_installed() {
  if [ "$former" = "$version" ]; then
    say "$name $version is installed again in $bin." "$name $version 已重新安装到 $bin。"
  elif [ "$former" ]; then
    say "$name in $bin is updated from $former to $version." "$bin 中的 $name 已从 $former 更新到 $version。"
  else
    say "$name $version is installed in $bin." "$name $version 已安装到 $bin。"
  fi
}

put_back() {
  cp -p "$folder/old" "$bin/.$name.old" && mv -f "$bin/.$name.old" "$bin/$name"
  if [ -e "$folder/$unit" ]; then
    cp "$folder/$unit" /etc/systemd/system/$unit
    systemctl daemon-reload
  fi
  fail "The new program did not take over; the old one goes on serving, and is installed again. What is wrong: $1" \
    "新版本没能接管，旧版本继续提供服务，并已恢复。原因：$1"
}

keep_or_put() { # SOURCE FILE
  if [ ! -e "$2" ]; then
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2"
  fi
}

install_service() {
  keep_or_put "$files/conf/$commented" "$home/gateway.yaml"
  if [ ! -e "$home/environment" ]; then
    (
      umask 077
      cat >"$home/environment" <<END
# $(say "Variables of the gateway, NAME=value, for root alone. After a change: sudo systemctl reload $name" \
        "网关的环境变量，每行 名称=值，只有 root 可读。改动后执行：sudo systemctl reload $name")
#API_BASE_URL=https://anyrouter.top
END
      if [ "$chinese" ]; then echo GATEWAY_LANGUAGE=zh >>"$home/environment"; fi
    )
  elif [ "${GATEWAY_LANGUAGE:-}" ] && [ "$GATEWAY_LANGUAGE" != "$(service_language)" ]; then
    # The last line counts; it may follow one without an end.
    printf '\nGATEWAY_LANGUAGE=%s\n' "$GATEWAY_LANGUAGE" >>"$home/environment"
  fi
  known=''
  if [ -e /etc/systemd/system/$unit ]; then
    known=yes
    cp /etc/systemd/system/$unit "$folder/$unit"
  fi
  mkdir -p /etc/systemd/system
  # Own changes belong into a drop-in, as the unit says; the manual page is the Debian package's.
  sed -e "s|/usr/bin/$name|$bin/$name|" -e '/^Documentation=man:/d' "$files/conf/$unit" >/etc/systemd/system/$unit
  if ! has_systemd; then
    say_installed
    say "There is no systemd here. In a folder for its data, start: $bin/$name -c $home/gateway.yaml" \
      "这里没有 systemd。请在存放数据的目录中启动：$bin/$name -c $home/gateway.yaml"
    return
  fi
  systemctl daemon-reload
  if systemctl is-active --quiet $unit; then
    # The new process takes the sockets over: no request is lost.
    systemctl reload $unit || put_back "sudo journalctl --unit $unit"
    say_installed
  elif [ -z "$known" ] || is_failing; then
    say_installed
    systemctl reset-failed $unit 2>/dev/null || true
    systemctl enable --quiet --now $unit || fail "It does not start. Why: sudo journalctl --unit $unit
$(of_last_run)" "没能启动。原因见：sudo journalctl --unit $unit
$(of_last_run)"
  else
    say_installed
    say "The service was stopped, and stays so. Start it: sudo systemctl start $name" \
      "服务原本就没有运行，保持不变。启动：sudo systemctl start $name"
    return
  fi
  say "The service runs. Log: sudo journalctl --unit $name
Settings: $home/environment and $home/gateway.yaml, then: sudo systemctl reload $name" \
    "服务已在运行。日志：sudo journalctl --unit $name
配置：$home/environment 和 $home/gateway.yaml，改后执行：sudo systemctl reload $name"
}

# What the service logged when it ran last, not what it did before.
of_last_run() {
  run=$(systemctl show --property InvocationID --value $unit)
  journalctl "_SYSTEMD_INVOCATION_ID=$run" --lines 5 --output cat --no-pager 2>/dev/null || true
}

# Whether systemd has tried in vain to start the service, and perhaps goes on trying: nobody has stopped it.
is_failing() {
  case $(systemctl is-active $unit 2>/dev/null) in activating | failed) ;; *) return 1 ;; esac
}

# The process that serves from the user's folder, if there is one. The number of one that was killed may be another's by now;
# of a name the kernel keeps 15 letters.
running() {
  pid=$(cat "$home/data/run/gateway.pid" 2>/dev/null) || return
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(printf %.15s $name)" ]; then echo "$pid"; else return 1; fi
}

install_for_user() {
  keep_or_put "$files/conf/$commented" "$home/conf/gateway.yaml"
  keep_or_put "$files/env/.env.example" "$home/env/.env.example"
  if running >/dev/null; then
    (cd "$home" && "$bin/$name" upgrade) || put_back "cd $home && $name upgrade"
    say_installed
    return
  fi
  say_installed
  say "Start it:" "启动："
  case :$PATH: in *":$bin:"*) ;; *) echo "  export PATH=\"$bin:\$PATH\"" ;; esac
  echo "  cd $home && $name"
  say "Settings, in that folder: conf/gateway.yaml, or variables in env/.env (cp env/.env.example env/.env).
For a service that starts with the machine, run this as root." \
    "配置（在该目录下）：conf/gateway.yaml，或写在 env/.env 里的变量（cp env/.env.example env/.env）。
要做成开机启动的服务，请用 root 执行本脚本。"
}

install() {
  check_system
  fetch
  put_program
  if [ "$root" ]; then install_service; else install_for_user; fi
  sudo=${root:+sudo }
  say "Then: $sudo$name panel (a link to the panel), $sudo$name doctor (tries the relays)
Claude Code: export ANTHROPIC_BASE_URL=http://127.0.0.1:8088" \
    "接下来：$sudo$name panel（面板的登录链接）、$sudo$name doctor（检查中转站）
Claude Code：export ANTHROPIC_BASE_URL=http://127.0.0.1:8088"
}

# --- Remove ---------------------------------------------------------------------------------------------------------

remove() {
  was=''
  if [ "$root" ]; then
    if has_systemd && [ -e /etc/systemd/system/$unit ]; then systemctl disable --quiet --now $unit; fi
    [ ! -e /etc/systemd/system/$unit ] || was=yes
    rm -f /etc/systemd/system/$unit
    if has_systemd; then systemctl daemon-reload; fi
    data="$home /var/lib/$name /var/lib/private/$name /etc/systemd/system/$unit.d"
  else
    if pid=$(running); then kill "$pid"; fi
    # It finishes its requests first.
    seconds=0
    while running >/dev/null && [ $seconds -lt 60 ]; do seconds=$((seconds + 1)) && sleep 1; done
    data=$home
  fi
  [ ! -e "$bin/$name" ] || was=yes
  rm -f "$bin/$name"
  find_kept
  if [ -z "$was$kept" ]; then
    say "$name is not installed: there was nothing to remove." "没有安装 $name：无需卸载。"
  elif [ "$purge" ]; then
    # shellcheck disable=SC2086 # several, none of root's with blanks
    if [ "$root" ]; then rm -rf $data; else rm -rf "$home"; fi
    say "Removed, with configuration and data." "已卸载，配置和数据也已删除。"
  elif [ -z "$kept" ]; then
    say "Removed. There is no configuration and no data." "已卸载。没有配置和数据。"
  elif [ "$was" ]; then
    # What was read from a pipe is no file.
    say "Removed. Configuration and data stay:$kept. Delete them too: the same line, with --purge at its end" \
      "已卸载。配置和数据保留在：${kept# }。一并删除：在同一命令末尾加上 --purge"
  else
    say "$name is not installed. Configuration and data are still there:$kept. Delete them: the same line, with --purge at its end" \
      "没有安装 $name，但配置和数据还在：${kept# }。要删除：在同一命令末尾加上 --purge"
  fi
}

# What is there of configuration and data.
find_kept() {
  kept=''
  if [ -z "$root" ]; then
    [ ! -e "$home" ] || kept=" $home"
    return
  fi
  # A link into nothing is something too.
  for path in $data; do
    if [ -e "$path" ] || [ -L "$path" ]; then kept="$kept $path"; fi
  done
}

# Only now does anything happen: a script that was cut off on its way does nothing.
main() {
  read_arguments "$@"
  find_places
  # The service's user reads the configuration.
  umask 022
  trap clean_up EXIT
  trap 'exit 130' HUP INT TERM
  if [ "$uninstall" ]; then remove; else install; fi
}

main "$@"
