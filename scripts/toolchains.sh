# What to type to get Rust and Node.js on Debian and Ubuntu, also by mirrors in mainland China (read on 2026-11-27:
# rsproxy.cn for rustup, npmmirror.com for npm and for `n`). Sourced by prepare.sh and panel.sh.
# shellcheck shell=bash

# Whether version $1 is at least $2.
is_at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_lines() {
  local china='RUSTUP_DIST_SERVER=https://rsproxy.cn RUSTUP_UPDATE_ROOT=https://rsproxy.cn/rustup'
  if command -v rustup >/dev/null 2>&1; then
    echo "  rustup update stable && rustup default stable"
    echo "In mainland China / 在中国大陆："
    echo "  export $china"
    echo "  rustup update stable && rustup default stable"
    return
  fi
  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env"
  echo "In mainland China / 在中国大陆："
  echo "  export $china"
  echo "  curl --proto '=https' --tlsv1.2 -sSf https://rsproxy.cn/rustup-init.sh | sh -s -- -y && . ~/.cargo/env"
}

node_lines() {
  local sudo=''
  [ "$(id -u)" = 0 ] || sudo='sudo '
  # Debian's npm is old too, but `n` needs no more than that.
  local npm=''
  command -v npm >/dev/null 2>&1 || npm="${sudo}apt-get install -y npm && "
  echo "  $npm${sudo}npm install -g n && ${sudo}n lts && hash -r"
  echo "In mainland China / 在中国大陆："
  echo "  $npm${sudo}npm install -g n --registry=https://registry.npmmirror.com && \\"
  echo "    ${sudo}env N_NODE_MIRROR=https://npmmirror.com/mirrors/node n lts && hash -r"
  echo "  npm config set registry https://registry.npmmirror.com"
}
