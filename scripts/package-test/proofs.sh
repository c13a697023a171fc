# Runs inside the machine: the .deb is installed, started, upgraded, removed and purged. A proof a line on standard output.
set -eux
export DEBIAN_FRONTEND=noninteractive

proof() { echo "ok: $*"; }
# the shell does not end for a failure behind a "!"
not() { if "$@"; then return 1; fi; }
is() { [ "$(systemctl "$1" "$2" || true)" = "$3" ]; }
# waits for what takes a moment
until_it() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 300 ]; sleep 0.1; done; }
done_jobs() { [ "$(oxherd queue show try --json | grep -o '"completed":[0-9]*')" = "\"completed\":$1" ]; }

dpkg -i /proofs/one.deb >/proofs/installed
grep -q 'systemctl enable --now oxherd' /proofs/installed
is is-enabled oxherd disabled
is is-active oxherd inactive
[ "$(stat -c %a /etc/oxherd/credentials)" = 700 ]
oxherd check -c /etc/oxherd/oxherd.toml >/proofs/checked
proof "installed, not enabled and not started; the configuration passes the check"

# as it is it works nothing, says so, and does not try for ever
not systemctl start oxherd
is is-failed oxherd failed
[ "$(systemctl show -P ExecMainStatus oxherd)" = 78 ]
[ "$(systemctl show -P NRestarts oxherd)" = 0 ]
journalctl -u oxherd -o cat | grep -q 'there is no queue to work'
systemctl reset-failed oxherd
proof "started without a queue it says what is missing and does not loop"

systemctl start redis-server
oxherd init /etc/oxherd/oxherd.toml --yes --queue try --command /bin/cat --redis redis://127.0.0.1 >&2
echo '# mine' >>/etc/oxherd/oxherd.toml
systemctl enable --now oxherd
is is-active oxherd active
oxherd job add try n '{"one":1}' >&2
until_it done_jobs 1
proof "enabled and started by hand, it does a job"

dpkg -i /proofs/two.deb >&2
is is-active oxherd active
is is-enabled oxherd enabled
[ "$(dpkg-query -W -f '${Version}' oxherd | sed 's/.*-//')" = 2 ]
grep -q '^# mine' /etc/oxherd/oxherd.toml
[ "$(systemctl show -P NRestarts oxherd)" = 0 ]
oxherd job add try n '{"two":2}' >&2
until_it done_jobs 2
proof "upgraded, the service is restarted and the changed configuration kept"

systemctl disable --now oxherd
dpkg -i --force-downgrade /proofs/one.deb >&2
is is-active oxherd inactive
is is-enabled oxherd disabled
proof "a service that is stopped and disabled stays so over an upgrade"

systemctl enable --now oxherd
dpkg -r oxherd >&2
not pgrep -x oxherd
not [ -e /usr/bin/oxherd ]
grep -q '^# mine' /etc/oxherd/oxherd.toml
[ -d /var/lib/private/oxherd ]
proof "removed, it is stopped; configuration and state stay"

dpkg -P oxherd >&2
not [ -e /etc/oxherd ]
not [ -e /var/lib/private/oxherd ]
not [ -e /var/lib/oxherd ]
[ -z "$(find /etc/systemd /usr/lib/systemd /usr/share /var/lib/systemd -name '*oxherd*')" ]
proof "purged, nothing of it is left"

echo "all proofs hold"
