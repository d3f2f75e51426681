#!/usr/bin/env bash
# Makes sure that what a step needs is on this machine. Usage: prepare.sh build|test|pictures|bench|docker|dist
#
# Debian packages are installed when that takes no question (root, or sudo without a password); otherwise the one
# line to type is printed. Rust and Node.js are expected to be there, and only checked.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/toolchains.sh
. scripts/toolchains.sh

purpose=${1:?usage: prepare.sh build|test|pictures|bench|docker|dist}

# Servers are in folders that not everybody's PATH has.
have() { PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }
stop() {
  printf '%s\n' "$@" >&2
  exit 1
}

# --- Rust -----------------------------------------------------------------------------------------------------------
wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
if ! have cargo || ! have rustc; then
  # Installed, but not in this shell yet.
  if [ -x ~/.cargo/bin/cargo ]; then
    stop "Rust is installed, but not on the PATH of this shell. Type:" "  . ~/.cargo/env"
  fi
  stop "Rust is missing. Install it with this line, then run make again:" "$(rust_lines)"
fi
actual=$(rustc --version | cut -d' ' -f2)
if [ -n "$wanted" ] && ! is_at_least "$actual" "$wanted"; then
  stop "Rust $wanted or newer is needed, this is $actual ($(command -v rustc)). Type this, then run make again:" \
    "$(rust_lines)"
fi

if [ "$purpose" = test ]; then
  missing_parts=()
  cargo fmt --version >/dev/null 2>&1 || missing_parts+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || missing_parts+=(clippy)
  if [ ${#missing_parts[@]} -gt 0 ]; then
    have rustup || stop "Missing parts of Rust: ${missing_parts[*]}."
    rustup component add "${missing_parts[@]}"
  fi
fi

# --- Debian packages ------------------------------------------------------------------------------------------------
packages=()
have cmake || packages+=(cmake)                     # zlib-ng
{ have cc && have c++; } || packages+=(gcc g++ libc6-dev) # ring, zlib-ng, and the linker
have make || packages+=(make)
if [ "$purpose" = test ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
  have node || packages+=(nodejs)
  have npm || packages+=(npm)
  # Proxies that the tests start; these packages start none of their own.
  have tinyproxy || packages+=(tinyproxy-bin)
  have microsocks || packages+=(microsocks)
  # A calendar that a test moves.
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || packages+=(libfaketime)
  # The browser in which the panel is tested, and a font for its Chinese.
  have chromium || packages+=(chromium fonts-noto-cjk)
  # PostgreSQL, which the tests start by themselves, each run its own.
  have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
fi
if [ "$purpose" = pictures ]; then
  have pngquant || packages+=(pngquant)
fi
if [ "$purpose" = bench ]; then
  have nginx || packages+=(nginx-light)
  [ -e /usr/share/nginx/modules/ngx_http_lua_module.so ] || [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] ||
    packages+=(libnginx-mod-http-lua)
  [ -e /usr/share/lua/5.1/cjson ] || packages+=(lua-cjson)
  have haproxy || packages+=(haproxy)
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
fi
if [ "$purpose" = docker ]; then
  have debootstrap || packages+=(debootstrap)
  have ip || packages+=(iproute2)
  have openssl || packages+=(openssl)
  have shellcheck || packages+=(shellcheck)
fi

if [ ${#packages[@]} -gt 0 ]; then
  line="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  if ! have apt-get; then
    stop "Missing on this machine: ${packages[*]} (Debian names). Install them with your package manager."
  elif [ "$(id -u)" = 0 ]; then
    as_root=()
  elif have sudo && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    stop "Missing on this machine: ${packages[*]}. Type this line, then run make again:" "  sudo sh -c '$line'"
  fi
  echo "Installing ${packages[*]} ..."
  # The package of PostgreSQL would make a database of this machine's, and start it.
  if [[ " ${packages[*]} " = *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  # An update that fails for one source may still leave what is needed within reach.
  "${as_root[@]}" apt-get update -qq || echo "apt-get update failed; trying with the lists that are there" >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >/dev/null
fi

if [ "$purpose" = dist ]; then
  # Its bill of materials and its archive would be without the panel.
  have npm || stop "Node.js 20.19 or newer is needed for a release: https://nodejs.org"
  for tool in cargo-deb cargo-cyclonedx; do
    have $tool || stop "$tool is missing. Type: cargo install --locked cargo-deb cargo-cyclonedx"
  done
fi

# Prometheus and promtool for the tests, unless they are here. The package is only unpacked: installing it would start a
# service of its own on this machine.
unpack_prometheus() { # FOLDER
  local folder=$1 trial=$1.new
  rm -rf "$trial" && mkdir -p "$trial"
  (
    cd "$trial"
    # As root apt-get would have another user write, who may not be allowed to.
    apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg -x ./prometheus_*.deb . && rm ./prometheus_*.deb
  ) || return 1
  rm -rf "$folder" && mv "$trial" "$folder"
}

unpacked=${CARGO_TARGET_DIR:-target}/prometheus
if [ "$purpose" = test ] && [ ! -x "$unpacked/usr/bin/promtool" ] && ! { have prometheus && have promtool; }; then
  have apt-get && have dpkg || stop "Missing on this machine: prometheus and promtool. Install them with your package manager."
  echo "Unpacking Prometheus into $unpacked ..."
  if ! unpack_prometheus "$unpacked"; then
    # Perhaps the lists of packages are missing, or old.
    if [ "$(id -u)" = 0 ]; then
      apt-get update -qq
    elif have sudo && sudo -n true 2>/dev/null; then
      sudo -n apt-get update -qq
    else
      stop "The package prometheus was not found. Type this line, then run make again:" "  sudo apt-get update"
    fi
    unpack_prometheus "$unpacked"
  fi
fi

if [ "$purpose" = test ]; then
  node_major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$node_major" -ge 18 ] ||
    stop "Node.js 18 or newer is needed for the tests, this is $(node --version). Type:" "$(node_lines)"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    stop "Python 3.10 or newer is needed for the tests, this is $(python3 --version)."
fi
