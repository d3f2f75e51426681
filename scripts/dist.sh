#!/usr/bin/env bash
# Builds what a release consists of into target/dist: dist.sh (TRIPLE: another target of Rust than this machine)
#
#   anyrouter-gateway-VERSION-linux-ARCHITECTURE.tar.gz    program, unit, configuration, examples, both READMEs, licence
#   anyrouter-gateway_VERSION-1_ARCHITECTURE.deb           the same for Debian and Ubuntu
#   ....cdx.json                                           what the program and its panel are made of (CycloneDX)
#   install.sh                                             with the address of releases in it, if RELEASES names one
#   SHA256SUMS                                             the sums of all these
#
# The program is linked statically (ARCHITECTURE.md, "What a release is linked to"). The archive is the same, byte for byte,
# whenever it is packed. Needs Node.js, cargo-deb and cargo-cyclonedx (scripts/prepare.sh dist).
set -euo pipefail
cd "$(dirname "$0")/.."

name=anyrouter-gateway
target=${CARGO_TARGET_DIR:-target}
version=$(sed -n '/^\[package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' Cargo.toml)
triple=${TRIPLE:-$(rustc -vV | sed -n 's/^host: //p')}
architecture=${triple%%-*}
case $triple in *-musl) architecture=$architecture-musl ;; esac
out=target/dist
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# --- The program ----------------------------------------------------------------------------------------------------
# Only what is linked last has to know that it is static: everything else is as `make build` has it.
cargo rustc --release --locked -p $name --bin $name ${TRIPLE:+--target "$TRIPLE"} -- -C target-feature=+crt-static
program=$target/${TRIPLE:+$TRIPLE/}release/$name

needed=$(objdump -p "$program" | sed -n 's/^ *NEEDED *//p')
[ -z "$needed" ] || { echo "$program is not static, it needs: $needed" >&2; exit 1; }

rm -rf $out
mkdir -p $out

# --- The archive ----------------------------------------------------------------------------------------------------
archive=$name-$version-linux-$architecture
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT
mkdir -p "$packed/$archive"
cp -p --parents conf/gateway.yaml conf/gateway.zh-CN.yaml conf/$name.service env/.env.example LICENSE README.md README.zh-CN.md "$packed/$archive/"
cp "$program" "$packed/$archive/"
chmod -R u=rwX,go=rX "$packed/$archive"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$packed" -cf - "$archive" |
  gzip -9n >"$out/$archive.tar.gz"

# --- The Debian package ---------------------------------------------------------------------------------------------
scripts/package.sh "$program"
cp target/package/*.deb $out/

# --- What it is made of ---------------------------------------------------------------------------------------------
# cargo-cyclonedx writes a file beside each Cargo.toml of the workspace, with this folder in its references.
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$triple" --no-build-deps --override-filename sbom
sed "s|file://$PWD|file:///build|g" sbom.json >"$out/$archive.cdx.json"
find . -name sbom.json -not -path '*/node_modules/*' -not -path './target/*' -delete
# The panel has no version of its own, which npm asks for; the folder's name becomes that of the component.
mkdir "$packed/$name-panel"
cp static/package.json static/package-lock.json "$packed/$name-panel/"
(cd "$packed/$name-panel" && npm pkg set "version=$version" && npm sbom --sbom-format cyclonedx --package-lock-only --omit dev) \
  >"$out/$name-$version-panel.cdx.json"

# --- The script, and the sums ---------------------------------------------------------------------------------------
sed "s|^RELEASES=.*|RELEASES='${RELEASES:-}'|" install.sh >$out/install.sh
(cd $out && sha256sum -- * >SHA256SUMS)
ls -l $out
