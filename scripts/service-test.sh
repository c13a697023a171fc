#!/bin/sh
# Brings the units of deploy/systemd up for real: Debian in a container of systemd-nspawn, with systemd as its first process,
# Redis, and the programs that jobs are made of. Prints a proof a line; the whole log is .cache/service-test/log.
#
# OXHERD_SERVICE_SUITE=bookworm has it run under systemd 252, with the drop-in that docs/service.md has for it.
set -eu
cd "$(dirname "$0")/.."
suite=${OXHERD_SERVICE_SUITE:-trixie}
packages='systemd systemd-sysv dbus redis-server redis-tools nodejs php-cli python3-minimal procps'
cache=$PWD/.cache/service-test
root=$cache/$suite
proofs=$cache/proofs
log=$cache/log

if [ "$(id -u)" != 0 ]; then
    echo "service-test.sh: a container with systemd needs root" >&2
    exit 69
fi
for tool in debootstrap systemd-nspawn; do
    command -v $tool >/dev/null 2>&1 && continue
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap systemd-container
    break
done

mkdir -p "$cache"
if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
    echo "making a Debian $suite in .cache/service-test" >&2
    # shellcheck disable=SC2086
    scripts/debian.sh "$suite" "$root" $packages >"$log" 2>&1 || { tail "$log" >&2; exit 69; }
    echo "$packages" >"$root/.packages"
fi

cargo build --locked --bin oxherd
oxherd=${CARGO_TARGET_DIR:-target}/debug/oxherd

# what a package would install; nothing of it stays in the tree
rm -rf "$proofs"
mkdir -p "$proofs"
cp "$oxherd" "$proofs/oxherd"
cp -r deploy/systemd deploy/helpers scripts/service-test/* "$proofs"
# drop_in TEXT NAME : the block of the manual that holds this text
drop_in() {
    awk -v text="$1" '/^```ini/ { block = ""; inside = 1; next } /^```/ { if (inside && index(block, text)) printf "%s", block; inside = 0 }
        inside { block = block $0 "\n" }' docs/service.md >"$proofs/$2"
    [ -s "$proofs/$2" ]
}
drop_in ExecReload= before-253.conf
drop_in User=root root.conf
drop_in MemoryDenyWriteExecute= tight.conf

: >"$proofs/report"
tail -n +1 -f "$proofs/report" &
tail=$!
trap 'kill $tail 2>/dev/null || true' EXIT
code=0
# a machine of its own in all but the kernel; what it writes is gone with it
timeout --kill-after=10 600 systemd-nspawn --quiet --directory="$root" --volatile=overlay --boot \
    --register=no --keep-unit --private-network --link-journal=no --console=read-only \
    --bind="$proofs:/proofs" --bind-ro="$proofs/oxherd:/usr/bin/oxherd" \
    --bind-ro="$proofs/proofs.service:/etc/systemd/system/proofs.service" \
    systemd.unit=proofs.service systemd.unified_cgroup_hierarchy=1 >"$log" 2>&1 </dev/null || code=$?
sleep 0.2
if [ $code != 0 ] || ! grep -q '^all proofs hold' "$proofs/report"; then
    echo "service-test.sh: not all proofs hold (exit $code); see .cache/service-test/log and .cache/service-test/proofs" >&2
    exit 1
fi
