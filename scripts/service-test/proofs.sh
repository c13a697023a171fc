# Runs in the container as its only task, from a machine that has just started. A line for each proof on standard output.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin REDISCLI_AUTH=a-secret-of-the-test
# the verbs of the command line find the credential where systemd takes it from
export CREDENTIALS_DIRECTORY=/etc/oxherd/credentials OXHERD_CONFIG=/etc/oxherd/oxherd.toml
version=$(systemctl --version | awk 'NR == 1 { print $2 }')

holds() { printf 'ok    %s\n' "$*"; }
broken() {
    printf 'FAIL  %s\n' "$*"
    {
        systemctl status --no-pager -l oxherd
        journalctl --no-pager -o short-monotonic
    } >&2
    exit 1
}
# proof TEXT COMMAND… : it must succeed now
proof() {
    what=$1
    shift
    "$@" && holds "$what" || broken "$what: $*"
}
# within SECONDS COMMAND… : until it succeeds
within() {
    left=$(($1 * 10))
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.1
    done
}
property() { systemctl show -P "$2" "$1"; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }
status_says() { property "$1" StatusText | grep -qF -- "$2"; }
journal_says() { journalctl --no-pager -u "$1" -o cat "$3" "$4" | grep -qF -- "$2"; }
# add QUEUE DATA : prints the job's id
add() { oxherd --json -c $OXHERD_CONFIG job add "$1" proof "$2" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p'; }
field() { redis-cli HGET "bull:$1:$2" "$3"; }
completed() { [ -n "$(redis-cli ZSCORE "bull:$1:completed" "$2")" ]; }
active() { redis-cli LRANGE "bull:$1:active" 0 -1 | grep -qx "$2"; }
now() { cut -d. -f1 /proc/uptime; }
reload_and_go_on() { systemctl daemon-reload && systemctl restart "$1"; }
# drop_in UNIT NAME TEXT
drop_in() {
    mkdir -p "/etc/systemd/system/$1.d"
    printf '%s\n' "$3" >"/etc/systemd/system/$1.d/$2.conf"
}

echo "systemd $version, $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r)"

# what a package installs
cp /proofs/systemd/oxherd.service /proofs/systemd/oxherd@.service /usr/lib/systemd/system/
cp /proofs/systemd/tmpfiles.d/oxherd.conf /usr/lib/tmpfiles.d/
systemd-tmpfiles --create oxherd.conf
cp /proofs/oxherd.toml /proofs/mail.toml /proofs/others.toml /etc/oxherd/
printf '%s\n' $REDISCLI_AUTH >/etc/oxherd/credentials/redis-password
chmod 600 /etc/oxherd/credentials/redis-password
for unit in oxherd.service oxherd@.service; do
    # the manual's own way
    drop_in $unit credentials "[Service]
LoadCredential=redis-password:/etc/oxherd/credentials/redis-password"
    [ "$version" -ge 253 ] || cp /proofs/before-253.conf "/etc/systemd/system/$unit.d/"
done
printf 'requirepass %s\n' $REDISCLI_AUTH >>/etc/redis/redis.conf
systemctl stop redis-server
systemctl daemon-reload

complaints=$(systemd-analyze verify oxherd.service oxherd@mail.service 2>&1 | grep -v 'ignoring: notify-reload')
proof "systemd-analyze verify has nothing to say" test -z "$complaints"
for unit in oxherd.service oxherd@.service; do
    rated=$(systemd-analyze security --offline=true --no-pager --threshold=15 /usr/lib/systemd/system/$unit)
    proof "exposure of at most 1.5: $(echo "$rated" | sed -n 's/.*Overall exposure level for //p' | tr -dc ' -~')" test $? = 0
done

# Redis is away
begin=$(now)
proof "systemctl start succeeds while Redis is away" timeout 40 systemctl start oxherd
took=$(($(now) - begin))
proof "... after ${took} s, and the status says what is waited for: $(property oxherd StatusText)" status_says oxherd "waiting for Redis"
sleep 35
proof "... and the watchdog (WatchdogSec=$(property oxherd WatchdogUSec)) leaves it alone for 35 s" is oxherd NRestarts 0
systemctl start redis-server
proof "it works once Redis is there: $(within 30 status_says oxherd working && property oxherd StatusText)" status_says oxherd "working"
systemctl stop oxherd
proof "it stops as asked" is oxherd Result success
systemctl start oxherd
proof "active (running) with READY=1, type $(property oxherd Type)" is oxherd SubState running
within 10 status_says oxherd working
echo "      $(systemctl status --no-pager oxherd | grep -E 'Status:|Active:' | tr -s ' ' | tr '\n' ' ')"

# jobs
id=$(add quick '{}')
proof "a job that is added is done, with the credential's password for Redis" within 20 completed quick "$id"
for queue in node php python; do
    id=$(add $queue '{}')
    proof "a job of $queue is done in the sandbox: $(within 30 completed $queue "$id" && field $queue "$id" returnvalue)" completed $queue "$id"
done
id=$(add served '{"numbers":[1,2,39]}')
proof "a job of a pool of Node processes is done in the sandbox: $(within 30 completed served "$id" && field served "$id" returnvalue)" completed served "$id"

# the user and the sandbox
main=$(property oxherd MainPID)
uid=$(awk '/^Uid:/ { print $2 }' /proc/"$main"/status)
proof "DynamicUser: the daemon runs as uid $uid" test "$uid" -ge 61184
proof "the state directory is /var/lib/private/oxherd, $(stat -c '%a of uid %u' /var/lib/private/oxherd)" \
    test "$(stat -c '%a %u' /var/lib/private/oxherd)" = "700 $uid"
proof "... and the daemon keeps its state there" test -s /var/lib/private/oxherd/incarnations.json
id=$(add look '{}')
within 20 completed look "$id"
seen=$(field look "$id" returnvalue | tr -d "\"")
proof "a job's program sees: $seen" test "$seen" = "state:writable tmp:writable uid:$uid "

# reload
slow=$(add slow '{"seconds":"6"}')
within 20 active slow "$slow"
printf '\n[queues.new]\nhandler = "quick"\n' >>/etc/oxherd/oxherd.toml
before=$(property oxherd ActiveEnterTimestampMonotonic)
proof "systemctl reload succeeds" timeout 30 systemctl reload oxherd
id=$(add new '{}')
proof "... and the new queue is worked" within 20 completed new "$id"
proof "... while the running job goes on" active slow "$slow"
proof "... and ends in its first attempt" within 20 completed slow "$slow"
proof "... of the same process" is oxherd MainPID "$main"
cp /etc/oxherd/oxherd.toml /etc/oxherd/good
printf '\n[queues.broken]\nhandler = "nobody"\n' >>/etc/oxherd/oxherd.toml
timeout 30 systemctl reload oxherd
echo "      systemctl reload of a refused file exits $?"
proof "a refused file is said in the status: $(within 10 status_says oxherd 'configuration refused' && property oxherd StatusText)" \
    status_says oxherd "configuration refused"
proof "... and in the journal, as an error" journal_says oxherd "nobody" -p err
id=$(OXHERD_CONFIG=/etc/oxherd/good add new '{}')
proof "... and what was in force goes on" within 20 completed new "$id"
cp /etc/oxherd/good /etc/oxherd/oxherd.toml
systemctl reload oxherd
proof "a good file is taken over again: $(within 10 status_says oxherd 'slots busy' && property oxherd StatusText)" \
    test -z "$(property oxherd StatusText | grep refused)"

# priorities
id=$(add failing '{}')
within 20 test -n "$(redis-cli ZSCORE bull:failing:failed "$id")"
oxherd -c $OXHERD_CONFIG job add failing "$(printf 'forged\n<0>kernel: all is lost')" '{}' >/dev/null
proof "a job that failed is a warning in the journal" within 20 journal_says oxherd "failed" -p 4..4
within 20 journal_says oxherd "all is lost" -p 4..4
proof "... whose name forges no line: $(journalctl --no-pager -u oxherd -o cat -p 4..4 | grep 'all is lost' | cut -c1-60)" \
    test -z "$(journalctl --no-pager -u oxherd -o cat -p 0..2)"
proof "what is worth knowing is info: $(journalctl --no-pager -u oxherd -o cat -p 6..6 | grep '^oxherd starts' | tail -n 1 | cut -c1-50)" \
    journal_says oxherd "oxherd starts" -p 6..6

# the watchdog
drop_in oxherd.service watchdog "[Service]
WatchdogSec=4s"
reload_and_go_on oxherd
id=$(add once '{}')
within 20 active once "$id"
within 20 test -e /var/lib/private/oxherd/begun
sleep 9
proof "the watchdog is fed: no restart within twice $(property oxherd WatchdogUSec) and more" is oxherd NRestarts 0
main=$(property oxherd MainPID)
kill -STOP "$main"
proof "the watchdog ends a daemon that is stopped (SIGSTOP)" within 40 journal_says oxherd "Watchdog timeout" -p 0..7
proof "... systemd starts it again" within 40 is oxherd NRestarts 1
begin=$(now)
within 30 completed once "$id"
took=$(($(now) - begin))
proof "... and it takes its job back at once, after $took s: the second run says $(field once "$id" returnvalue)" completed once "$id"
proof "... sooner than its lock would have run out (15 s)" test $took -lt 8
proof "no program of the killed daemon is left" test -z "$(pgrep -x sleep)"

# the end
drop_in oxherd.service stop "[Service]
TimeoutStopSec=2s"
reload_and_go_on oxherd
id=$(add slow '{"seconds":"9"}')
within 20 active slow "$id"
begin=$(now)
systemctl --no-block stop oxherd
sleep 4
echo "      Status: $(property oxherd StatusText)"
within 40 is oxherd ActiveState inactive
took=$(($(now) - begin))
proof "a stop drains for $took s beyond TimeoutStopSec=2s, by EXTEND_TIMEOUT_USEC" test $took -ge 5
proof "... and ends well" is oxherd Result success
proof "... with the job done" completed slow "$id"

# several
proof "the template starts an instance: oxherd@mail" timeout 40 systemctl start oxherd@mail
export OXHERD_CONFIG=/etc/oxherd/mail.toml
id=$(add mail '{}')
within 20 completed mail "$id"
proof "... which does its jobs in $(field mail "$id" returnvalue)" completed mail "$id"
proof "... with a state directory of its own" test -s /var/lib/private/oxherd-mail/incarnations.json
drop_in oxherd@mail.service tight "$(cat /proofs/tight.conf)"
reload_and_go_on oxherd@mail
id=$(add mail '{}')
proof "... and in a tighter sandbox: $(grep Memory /proofs/tight.conf)" within 20 completed mail "$id"
drop_in oxherd@others.service root "$(cat /proofs/root.conf)"
systemctl daemon-reload
systemctl start oxherd@others
export OXHERD_CONFIG=/etc/oxherd/others.toml
id=$(add others '{}')
within 20 completed others "$id"
proof "a daemon that is root runs a program as another user: $(field others "$id" returnvalue)" \
    test "$(field others "$id" returnvalue)" = "\"nobody\\n\""

# a user that stays
systemctl stop oxherd@mail oxherd@others
cp /proofs/systemd/sysusers.d/oxherd.conf /usr/lib/sysusers.d/
systemd-sysusers oxherd.conf
systemctl start oxherd
proof "with sysusers.d the daemon runs as $(ps -o user= -p "$(property oxherd MainPID)")" \
    test "$(stat -c %U "/proc/$(property oxherd MainPID)")" = oxherd
proof "... on the same state directory" test "$(stat -c %U /var/lib/private/oxherd)" = oxherd

echo "all proofs hold"
