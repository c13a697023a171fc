#!/bin/sh
# Makes a .deb and an .rpm in target/packages. The tools for that are built into .cache/cargo the first time.
#
# OXHERD_BINARY=PATH   packs this program instead of building one
# OXHERD_REVISION=N    of the package, 1 without it
set -eu
cd "$(dirname "$0")/.."
deb=3.8.0
rpm=0.21.1
tools=$PWD/.cache/cargo/bin
out=target/packages
stage=$out/stage
revision=${OXHERD_REVISION:-1}

install() { # TOOL VERSION
    [ "$("$tools/$1" --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -n 1)" = "$2" ] && return
    cargo install --quiet --locked --root .cache/cargo --version "$2" "$1"
}
install cargo-deb $deb
install cargo-generate-rpm $rpm

binary=${OXHERD_BINARY:-}
if [ -z "$binary" ]; then
    cargo build --release --locked --bin oxherd
    binary=${CARGO_TARGET_DIR:-target}/release/oxherd
fi

rm -rf $out
mkdir -p $stage
# a build for development is full of what only a debugger wants
strip -o $stage/oxherd "$binary"
oxherd=$stage/oxherd
$oxherd man --dir $stage/man
$oxherd completions bash >$stage/oxherd.bash
$oxherd completions zsh >$stage/_oxherd
$oxherd completions fish >$stage/oxherd.fish
$oxherd config schema >$stage/oxherd.schema.json
version=$($oxherd version | cut -d ' ' -f 2)

# the same input makes the same package
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
gzip -9n $stage/man/*
gzip -9nc CHANGELOG.md >$stage/changelog.gz
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
cat >$stage/debian-changelog <<END
oxherd ($version-$revision) unstable; urgency=medium

  * What changes for those who run it is told in changelog.gz.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
cargo tree --locked --edges no-dev,no-build --prefix none --format '{p} {l}' |
    sed 's/ (\*)//; s/ (proc-macro)//; s/ (\/[^)]*)//' | sort -u >$stage/crates.txt

PATH=$tools:$PATH
cargo deb --quiet --no-build --no-strip --deb-revision "$revision" --output $out/
cargo generate-rpm --output $out/ --set-metadata "release = \"$revision\""
rm -rf $stage
ls -1 $out/*.deb $out/*.rpm
