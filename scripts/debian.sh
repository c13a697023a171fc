#!/bin/sh
# Makes a small Debian in a directory, of packages from where this machine gets its own. Needs root and debootstrap.
#
#   debian.sh SUITE DIRECTORY PACKAGE…
#
# OXHERD_DEBIAN_CACHE names a directory where packages are kept once they are there.
set -eu
suite=$1 root=$2
shift 2

# of the suite where the machine has it, else of its own: a mirror has them all
mirrors=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' | sed -n '/^[a-z]* main /p')
mirror=$(printf '%s\n' "$mirrors" | awk -v suite="$suite" '
    $1 == suite { found = $3; exit } !found && /debian/ { found = $3 } END { print found }')
proxy=$(apt-config shell proxy Acquire::http::Proxy | sed "s/^proxy='\(.*\)'$/\1/")

rm -rf "$root"
mkdir -p "$root" ${OXHERD_DEBIAN_CACHE:+"$OXHERD_DEBIAN_CACHE"}
http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase ${OXHERD_DEBIAN_CACHE:+--cache-dir="$OXHERD_DEBIAN_CACHE"} \
    --include="$(echo "$*" | tr ' ' ,)" "$suite" "$root" ${mirror:+"$mirror"}
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
