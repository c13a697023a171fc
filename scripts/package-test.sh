#!/bin/sh
# Builds both packages around a debug build (or OXHERD_BINARY) and looks at them; then the .deb is installed, started,
# upgraded and purged in a container of systemd-nspawn with systemd as its first process, and the .rpm installed, upgraded
# and erased in a directory of its own. Prints a proof a line; logs are in .cache/package-test.
set -eu
cd "$(dirname "$0")/.."
suite=${OXHERD_SERVICE_SUITE:-trixie}
# the machine of the service test will do, where it has been made
packages='systemd systemd-sysv dbus redis-server redis-tools nodejs php-cli python3-minimal procps'
root=$PWD/.cache/service-test/$suite
cache=$PWD/.cache/package-test
proofs=$cache/proofs

if [ "$(id -u)" != 0 ]; then
    echo "package-test.sh: installing packages needs root" >&2
    exit 69
fi
missing=
for tool in debootstrap:debootstrap systemd-nspawn:systemd-container rpm:rpm lintian:lintian rpmlint:rpmlint mandoc:mandoc; do
    command -v "${tool%:*}" >/dev/null 2>&1 || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
fail() {
    echo "package-test.sh: $*" >&2
    exit 1
}
proof() { echo "ok: $*"; }

rm -rf "$cache"
mkdir -p "$proofs"
if [ "$(cat "$root/.packages" 2>/dev/null)" != "$packages" ]; then
    echo "making a Debian $suite in .cache/service-test" >&2
    # shellcheck disable=SC2086
    scripts/debian.sh "$suite" "$root" $packages >"$cache/debootstrap" 2>&1 || { tail "$cache/debootstrap" >&2; exit 69; }
    echo "$packages" >"$root/.packages"
fi

if [ -z "${OXHERD_BINARY:-}" ]; then
    cargo build --locked --bin oxherd
    OXHERD_BINARY=${CARGO_TARGET_DIR:-target}/debug/oxherd
fi
export OXHERD_BINARY
OXHERD_REVISION=2 scripts/packages.sh >"$cache/built" 2>&1 || { cat "$cache/built" >&2; exit 1; }
cp target/packages/*.deb "$proofs/two.deb"
cp target/packages/*.rpm "$cache/two.rpm"
scripts/packages.sh >>"$cache/built" 2>&1 || { cat "$cache/built" >&2; exit 1; }
deb=$(ls target/packages/*.deb)
rpm=$(ls target/packages/*.rpm)
cp "$deb" "$proofs/one.deb"
proof "built: ${deb##*/} ($(($(stat -c %s "$deb") / 1024)) KiB) and ${rpm##*/} ($(($(stat -c %s "$rpm") / 1024)) KiB)"

# ---- What is in them ---------------------------------------------------------------------------
dpkg-deb -c "$deb" >"$cache/deb.files"
rpm -qlp "$rpm" >"$cache/rpm.files"
for file in bin/oxherd lib/systemd/system/oxherd.service lib/systemd/system/oxherd@.service lib/tmpfiles.d/oxherd.conf \
    share/man/man1/oxherd.1.gz share/man/man1/oxherd-queue-ls.1.gz share/man/man5/oxherd.toml.5.gz \
    share/bash-completion/completions/oxherd share/fish/vendor_completions.d/oxherd.fish share/oxherd/oxherd.schema.json \
    share/oxherd/helpers/oxherd.mjs share/oxherd/helpers/oxherd.php share/oxherd/helpers/oxherd.py \
    share/oxherd/helpers/oxherd.sh share/doc/oxherd/README.md share/doc/oxherd/examples/oxherd.example.toml; do
    grep -q " \./usr/$file$" "$cache/deb.files" || fail "the .deb has no /usr/$file"
    grep -qx "/usr/$file" "$cache/rpm.files" || fail "the .rpm has no /usr/$file"
done
for file in share/doc/oxherd/copyright share/doc/oxherd/changelog.gz share/doc/oxherd/crates.txt share/zsh/vendor-completions/_oxherd; do
    grep -q " \./usr/$file$" "$cache/deb.files" || fail "the .deb has no /usr/$file"
done
for file in share/licenses/oxherd/LICENSE-MIT share/licenses/oxherd/crates.txt share/zsh/site-functions/_oxherd; do
    grep -qx "/usr/$file" "$cache/rpm.files" || fail "the .rpm has no /usr/$file"
done
[ "$(dpkg-deb -I "$deb" conffiles)" = /etc/oxherd/oxherd.toml ] || fail "another conffile than /etc/oxherd/oxherd.toml"
[ "$(rpm -qcp "$rpm")" = /etc/oxherd/oxherd.toml ] || fail "another configuration file than /etc/oxherd/oxherd.toml"
if grep -v '^[-dl][-rwx]* *\(0/0\|root/root\) ' "$cache/deb.files" >&2; then fail "not all files belong to root"; fi
[ -n "$(dpkg-deb -f "$deb" Depends)" ] || fail "the .deb depends on nothing"
proof "both hold the program, units, manual, completions, helpers, schema, licences; one configuration file each"

# meant so: there is no bug to close; instances of the unit have names that only systemctl finds; helpers are named to their
# interpreters, which are not needed without them
lintian --suppress-tags initial-upload-closes-no-bugs,maintainer-script-calls-systemctl,script-not-executable --fail-on error,warning "$deb" >"$cache/lintian" 2>&1 || { cat "$cache/lintian" >&2; fail "lintian complains"; }
proof "lintian finds no error and no warning"
rpmlint -c deploy/package/rpm/rpmlint.toml "$rpm" >"$cache/rpmlint" 2>&1 || true
if grep ' [EW]: ' "$cache/rpmlint" >&2 || ! grep -q ' 0 errors, 0 warnings' "$cache/rpmlint"; then fail "rpmlint complains"; fi
proof "rpmlint finds no error and no warning"

# ---- The .rpm, in a directory of its own -------------------------------------------------------
# Debian has no packages for rpm to depend on; the scripts find no systemd that runs there
target=$cache/root
cp -a "$root" "$target"
leave_target() {
    umount "$target/proc"
    rm -rf --one-file-system "$target"
}
trap leave_target EXIT
# systemd-tmpfiles, which a script calls, wants it
mount -t proc proc "$target/proc"
rpm="rpm --root $target --nodeps"
$rpm -i --ignoresize "$(pwd)/$(ls target/packages/*.rpm)" >"$cache/rpm" 2>&1 || { cat "$cache/rpm" >&2; fail "rpm -i"; }
$rpm -V oxherd >&2 || fail "rpm -V finds differences"
chroot "$target" oxherd check -c /etc/oxherd/oxherd.toml >/dev/null
[ "$(stat -c %a "$target/etc/oxherd/credentials")" = 700 ] || fail "/etc/oxherd/credentials is not there"
echo "# mine" >>"$target/etc/oxherd/oxherd.toml"
$rpm -U --ignoresize "$cache/two.rpm" >>"$cache/rpm" 2>&1 || { cat "$cache/rpm" >&2; fail "rpm -U"; }
grep -q '^# mine' "$target/etc/oxherd/oxherd.toml" || fail "an upgrade has replaced the changed configuration"
$rpm -e oxherd >>"$cache/rpm" 2>&1 || { cat "$cache/rpm" >&2; fail "rpm -e"; }
[ ! -e "$target/usr/bin/oxherd" ] || fail "erased, and /usr/bin/oxherd is there"
[ -e "$target/etc/oxherd/oxherd.toml.rpmsave" ] || fail "the changed configuration was not saved"
proof "the .rpm is installed, upgraded with its configuration kept, and erased"

# ---- The .deb, on a machine of its own in all but the kernel -----------------------------------
cp scripts/package-test/* "$proofs"
: >"$proofs/report"
tail -n +1 -f "$proofs/report" &
tail=$!
trap 'kill $tail 2>/dev/null || true; leave_target' EXIT
code=0
timeout --kill-after=10 600 systemd-nspawn --quiet --directory="$root" --volatile=overlay --boot \
    --register=no --keep-unit --private-network --link-journal=no --console=read-only --machine=oxherd-package-test \
    --bind="$proofs:/proofs" --bind-ro="$proofs/proofs.service:/etc/systemd/system/proofs.service" \
    systemd.unit=proofs.service systemd.unified_cgroup_hierarchy=1 >"$cache/log" 2>&1 </dev/null || code=$?
sleep 0.2
if [ $code != 0 ] || ! grep -q '^all proofs hold' "$proofs/report"; then
    tail -n 5 "$proofs/trace" >&2 || true
    fail "not all proofs hold (exit $code); see .cache/package-test"
fi
