#!/bin/sh
# Proves the Dockerfile, docker-compose.yml and deploy/examples/container-node with a real engine: builds the images, runs the
# compose file, adds jobs from outside, kills and stops. One line for each proof; exit 1 when one fails, 69 when there is
# nothing to prove it with. scripts/container-test/engine.sh says how an engine is found, scripts/container-test/images.sh where images
# come from that no registry has.
#
# OXHERD_CONTAINER_ENGINE=docker|podman asks for an engine, OXHERD_CONTAINER_LTO=fat builds as released (ten minutes more).
# What it keeps for the next run is in .cache/container; it is slow the first time.
set -eu
cd "$(dirname "$0")/.."
log=$PWD/.cache/container-test.log
mkdir -p .cache
: >"$log"

# what people read goes to both, what programs print to the log
exec 3>&1 >>"$log" 2>&1
say() { echo "$*" | tee -a "$log" >&3; }
give_up() {
    say "container-test.sh: $*; more in $log"
    exit 69
}
failed=0
ok() { say "ok    $*"; }
bad() {
    failed=$((failed + 1))
    say "FAIL  $*"
    for container in $($ENGINE ps -aq --filter "name=$project"); do
        echo "the end of what $container has said:"
        $ENGINE logs --tail 20 "$container"
    done
}
# prove TEXT COMMAND…: COMMAND may set `shown`
prove() {
    text=$1
    shift
    shown=
    if "$@"; then ok "$text${shown:+ ($shown)}"; else bad "$text${shown:+ ($shown)}"; fi
}
# the same, where nothing is left to prove without it
prove_or_end() {
    before=$failed
    prove "$@"
    [ $failed = "$before" ] || exit 1
}
# within SECONDS COMMAND…: until it succeeds; sets `took`
within() {
    limit=$1
    shift
    began=$(date +%s%N)
    until "$@"; do
        took=$((($(date +%s%N) - began) / 1000000))
        [ $took -lt "${limit}000" ] || return 1
        sleep 0.2
    done
    took=$((($(date +%s%N) - began) / 1000000))
}

. scripts/container-test/engine.sh
. scripts/container-test/images.sh

image=oxherd-test
node_image=oxherd-test-node
TEST_DIR=$(mktemp -d)
export TEST_DIR
project=oxherdtest
node_container=oxherdtest-node

clean_up() {
    status=$?
    set +e
    trap - EXIT
    if [ -n "${ENGINE:-}" ]; then
        $ENGINE rm -f $node_container
        compose down -v
        # podman-compose leaves it
        [ $ENGINE = docker ] || $ENGINE network rm -f ${project}_default
        engine_stop
    fi
    rm -rf "$TEST_DIR"
    [ $status != 0 ] || [ $failed = 0 ] || status=1
    if [ $status = 0 ]; then say "all proven; log in $log"; else say "not all proven; log in $log"; fi
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for program in node redis-cli openssl cargo; do
    command -v $program >/dev/null || give_up "$program is missing; run make setup"
done

# With nothing but the project's own file, then with ours over it.
files='-f docker-compose.yml'
compose() {
    # shellcheck disable=SC2086 # several words
    $COMPOSE -p $project $files "$@"
}

# ---- engine and images ----------------------------------------------------------------------------------------------------

engine_start .cache/container
say "engine: $ENGINE $($ENGINE version --format '{{.Server.Version}}' 2>/dev/null || $ENGINE --version), $COMPOSE"
rust=$(sed -n 's/^ARG RUST_IMAGE=//p' Dockerfile)
redis=$(sed -n 's/^ *image: \(redis:.*\)/\1/p' docker-compose.yml)
NODE_IMAGE=$(sed -n 's/^FROM \(node:.*\)/\1/p' deploy/examples/container-node/Dockerfile)
OXHERD_IMAGE=$image
REDIS_PORT=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
export NODE_IMAGE OXHERD_IMAGE REDIS_PORT
image_rust "$rust"
image_redis "$redis"
image_need "$NODE_IMAGE" bookworm nodejs ca-certificates

# How this machine reaches the registry of crates: authorities, proxies, cargo's own configuration. Secrets stay out.
mkdir "$TEST_DIR/rust"
cat /etc/ssl/certs/ca-certificates.crt >"$TEST_DIR/rust/ca-certificates.crt"
cat "${CARGO_HOME:-$HOME/.cargo}/config.toml" >"$TEST_DIR/rust/config.toml" 2>/dev/null || true
{
    echo "FROM $rust"
    echo 'COPY ca-certificates.crt /etc/ssl/certs/'
    echo 'COPY config.toml /usr/local/cargo/config.toml'
    env | grep -E '^CARGO_(REGISTR|SOURCE|HTTP|NET)' | grep -v TOKEN | sed 's/\([^=]*\)=\(.*\)/ENV \1="\2"/' || true
} >"$TEST_DIR/rust/Dockerfile"

# build ARGUMENT…: near this machine's network, for its names and proxies
build() {
    case $ENGINE in
        podman) set -- --format docker "$@" ;;
        docker) docker buildx version >/dev/null 2>&1 || DOCKER_BUILDKIT=0 && export DOCKER_BUILDKIT ;;
    esac
    for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        eval "value=\${$variable:-}"
        [ -z "$value" ] || set -- --build-arg "$variable=$value" "$@"
    done
    $ENGINE build --network host "$@"
}
build -t oxherd-test-rust "$TEST_DIR/rust" || give_up "the image to build in could not be made"

# ---- the image ------------------------------------------------------------------------------------------------------------

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
lto=${OXHERD_CONTAINER_LTO:-off}
[ "$lto" = off ] && units=16 || units=1
build_image() {
    build --build-arg RUST_IMAGE=oxherd-test-rust --build-arg "LTO=$lto" --build-arg CODEGEN_UNITS=$units \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$@"
}
image_is_built() {
    began=$(date +%s)
    build_image -t $image . || return 1
    shown="$(($(date +%s) - began)) s, LTO $lto, $(($($ENGINE image inspect --format '{{.Size}}' $image) / 1000000)) MB"
}
prove_or_end "the image is built" image_is_built

layer_is_kept() {
    mkdir "$TEST_DIR/changed"
    git ls-files -z --cached --others --exclude-standard | grep -zv '^tests/' | xargs -0 cp --parents -t "$TEST_DIR/changed"
    build_image --target dependencies -t oxherd-test-before . || return 1
    echo '// changed' >>"$TEST_DIR/changed/src/lib.rs"
    build_image --target dependencies -t oxherd-test-after "$TEST_DIR/changed" || return 1
    before=$(image_id oxherd-test-before)
    [ -n "$before" ] && [ "$before" = "$(image_id oxherd-test-after)" ]
}
image_id() { $ENGINE image inspect --format '{{.Id}}' "$1"; }
prove "a change in the sources compiles no dependency again" layer_is_kept

label_is() {
    shown=$($ENGINE image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" $image)
    [ "$shown" = "$2" ]
}
prove "the label version" label_is version "$version"
prove "the label revision" label_is revision "$revision"

# of the container, which has what the image holds and a few places to mount things
files_of_image() {
    container=$($ENGINE create $image) || return 1
    $ENGINE export "$container" | tar -t | sed 's|^\./||' >"$TEST_DIR/files"
    $ENGINE rm "$container" >/dev/null
    grep -v '/$' "$TEST_DIR/files" | grep -Ev '^(dev|proc|sys|run)/|^\.dockerenv$|^etc/(hosts|hostname|resolv.conf|mtab)$' |
        sort | tr '\n' ' '
}
holds_nothing_else() {
    shown=$(files_of_image)
    want='etc/group etc/nsswitch.conf etc/passwd etc/ssl/certs/ca-certificates.crt opt/oxherd/helpers/oxherd.mjs
        opt/oxherd/helpers/oxherd.php opt/oxherd/helpers/oxherd.py opt/oxherd/helpers/oxherd.sh usr/local/bin/oxherd'
    # shellcheck disable=SC2086 # words
    [ "$shown" = "$(echo $want) " ]
}
prove "it holds the binary, the helpers and four small files" holds_nothing_else
# no such program, says the engine
has_no_shell() {
    code=0
    $ENGINE run --rm --network none --entrypoint /bin/sh $image -c true || code=$?
    [ $code = 127 ]
}
prove "it has no shell" has_no_shell
says_its_version() {
    shown=$($ENGINE run --rm --network none $image --version)
    [ "$shown" = "oxherd $version" ]
}
prove "it starts without a library" says_its_version
refuses_without_a_config() {
    code=0
    shown=$($ENGINE run --rm --network none $image 2>&1) || code=$?
    shown="$code: $(echo "$shown" | grep '^error:')"
    [ $code = 78 ]
}
prove "without a configuration it says what is missing" refuses_without_a_config

# ---- the compose file, as it is -------------------------------------------------------------------------------------------

compose down -v
# podman-compose names with underscores, newer docker with dashes
container() { $ENGINE ps -aq --filter "name=^${project}[-_]$1[-_]1$"; }
inspect() { $ENGINE inspect --format "$2" "$(container "$1")"; }
redis() { redis-cli -p "$REDIS_PORT" "$@"; }
is_healthy() {
    # podman leaves the asking to timers of systemd
    [ $ENGINE = docker ] || [ -d /run/systemd/system ] || $ENGINE healthcheck run "$(container "$1")" || return 1
    [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]
}
turns_healthy() {
    within 90 is_healthy "$1" || return 1
    shown="after $took ms"
}
prove_or_end "compose up -d" compose up -d
prove_or_end "the health check of redis turns green" turns_healthy redis
prove_or_end "the health check of oxherd turns green" turns_healthy oxherd
prove "redis is append-only" sh -c "redis-cli -p $REDIS_PORT config get appendonly | grep -qx yes"

runs_as() {
    pid=$(inspect oxherd '{{.State.Pid}}')
    shown=$(sed -n 's/^Uid:\t\([0-9]*\).*/user \1/p; s/^NSpid:.*\t\([0-9]*\)$/process \1 of its own/p; s/^CapEff:\t/capabilities /p' "/proc/$pid/status" | paste -sd, -)
    grep -q '^Uid:	10001	10001	10001	10001' "/proc/$pid/status" && grep -q '^NSpid:.*	1$' "/proc/$pid/status" &&
        grep -q '^CapEff:	0*$' "/proc/$pid/status"
}
prove "it runs as its own user, as the first process, with no capability" runs_as

bullmq_adds() {
    added=$(cd tests/interop/node && node producer.mjs --redis "redis://127.0.0.1:$REDIS_PORT" --queues email --jobs 1 --kinds standard 2>&1)
    id=$(echo "$added" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
    [ -n "$id" ] && within 20 test -n "$(redis zscore bull:email:completed "$id")" || within 20 is_done email "$id" || return 1
    shown="job $id"
}
is_done() { [ -n "$(redis zscore "bull:$1:completed" "$2")" ]; }
prove "a job that BullMQ adds from outside is done" bullmq_adds

# oxherd_once ARGUMENT…: the command line beside the daemon, with the same mounts and names
oxherd_once() { $ENGINE exec "$(container oxherd)" /usr/local/bin/oxherd "$@"; }
is_unready() { oxherd_once healthcheck --ready 2>&1 | grep '^error:' >"$TEST_DIR/unready"; }
tells_what_is_wrong() {
    compose stop redis
    within 30 is_unready && oxherd_once healthcheck || return 1
    shown=$(cat "$TEST_DIR/unready")
    compose start redis
    within 60 is_healthy redis && within 60 oxherd_once healthcheck --ready && is_done email "$id"
}
prove "without redis it lives, is not ready and says why; back again, redis has kept everything" tells_what_is_wrong

# ---- jobs that take long --------------------------------------------------------------------------------------------------

mkdir "$TEST_DIR/config" "$TEST_DIR/api"
cp scripts/container-test/api.mjs "$TEST_DIR/api/"
(
    cd "$TEST_DIR/api"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=authority' -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj '/CN=api' -keyout api.key -out api.csr
    echo 'subjectAltName=DNS:api' >api.ext
    openssl x509 -req -in api.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile api.ext -out api.pem
    rm ca.key
    chmod 644 api.key
)
cat >"$TEST_DIR/config/oxherd.toml" <<'CONFIG'
[daemon]
state_dir = "/var/lib/oxherd"
[queues.calls]
handler = "api"
[handlers.api.http]
url = "https://api:8443/jobs"
CONFIG
container=$($ENGINE create $image)
$ENGINE cp "$container:/etc/ssl/certs/ca-certificates.crt" "$TEST_DIR/authorities.pem"
$ENGINE rm "$container"
cat "$TEST_DIR/api/ca.pem" >>"$TEST_DIR/authorities.pem"
# the volumes stay
compose down
files="$files -f scripts/container-test/compose.yml"
add() { oxherd_once job add calls call "$@" --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p'; }

calls_over_tls() {
    compose up -d || return 1
    within 60 is_healthy oxherd || return 1
    id=$(add '{"hold":false}')
    within 30 is_done calls "$id" || return 1
    shown="$(grep -c BEGIN "$TEST_DIR/authorities.pem") authorities"
}
prove_or_end "a job is done by https://api:8443: names, authorities and the static binary get along" calls_over_tls

# ends_by SIGNAL CODE: ended with that code by that signal, sent to the first process
ends_by() {
    $ENGINE kill -s "$1" "$(container oxherd)"
    within 20 is_stopped oxherd || return 1
    shown="exit $(inspect oxherd '{{.State.ExitCode}}') after $took ms"
    [ "$(inspect oxherd '{{.State.ExitCode}}')" = "$2" ] && $ENGINE start "$(container oxherd)" && within 60 is_healthy oxherd
}
is_stopped() { [ "$(inspect "$1" '{{.State.Running}}')" = false ]; }
logs_say() { $ENGINE logs "$(container oxherd)" 2>&1 | grep -q "$1"; }
for signal in TERM INT QUIT; do
    prove "the first process ends by $signal" ends_by $signal 0
done

is_active() { redis lrange bull:calls:active 0 -1 | grep -qx "$1" && [ -n "$(redis get "bull:calls:$1:lock")" ]; }
field() { redis hget "bull:calls:$id" "$1"; }
used() {
    made=$(field atm)
    echo "${made:-0}"
}
is_taken_back() {
    id=$(add '{"hold":true}')
    within 20 is_active "$id" || return 1
    lock=$(redis get "bull:calls:$id:lock")
    $ENGINE kill -s KILL "$(container oxherd)"
    within 20 is_stopped oxherd
    [ "$(redis get "bull:calls:$id:lock")" = "$lock" ] || return 1
    $ENGINE start "$(container oxherd)"
    within 10 has_other_lock || return 1
    shown="exit $1, its job runs again after $took ms of the 15000 that its lock has; started $(field ats) times, attempts used: $(used)"
    logs_say 'an earlier start did not end' && [ "${took}" -lt 8000 ]
}
has_other_lock() {
    now=$(redis get "bull:calls:$id:lock")
    [ -n "$now" ] && [ "$now" != "$lock" ]
}
prove "kill -9, and the next start takes its job back at once by its state volume" is_taken_back 137

hands_back() {
    attempts=$(used)
    began=$(date +%s%N)
    # the grace is docker-compose.yml's, but podman-compose 1.0 does not read it there
    # shellcheck disable=SC2046 # two words or none
    compose stop $([ $ENGINE = docker ] || echo -t 35) oxherd || return 1
    took=$((($(date +%s%N) - began) / 1000000))
    code=$(inspect oxherd '{{.State.ExitCode}}')
    shown="exit $code after $took ms of the 35000 of grace; the next job to be taken: $(redis lindex bull:calls:wait -1), attempts used: $attempts before, $(used) after"
    [ "$code" = 75 ] && [ $took -gt 20000 ] && [ $took -lt 35000 ] && [ "$(redis lindex bull:calls:wait -1)" = "$id" ] &&
        [ "$(redis exists "bull:calls:$id:lock")" = 0 ] && [ "$(redis llen bull:calls:active)" = 0 ] &&
        [ "$(used)" = "$attempts" ]
}
prove "stop hands the running job back within the grace" hands_back

is_done_at_last() {
    compose start oxherd
    within 20 is_active "$id" || return 1
    $ENGINE exec "$(container api)" node /test/api.mjs release
    within 20 is_done calls "$id" || return 1
    shown="started $(field ats) times, attempts used: $(used)"
}
prove "started again it does the job that was killed and handed back" is_done_at_last

# ---- with a runtime beside it ---------------------------------------------------------------------------------------------

node_is_built() {
    build --build-arg "OXHERD_IMAGE=$image" -t $node_image deploy/examples/container-node
}
prove "deploy/examples/container-node is built" node_is_built
cat >"$TEST_DIR/config/shell.toml" <<'CONFIG'
[queues.shell]
handler = "shell"
[handlers.shell.command]
argv = ["sh", "-c", "setsid sleep 1000 & setsid sh -c 'sleep 1001 & sleep 1002' & exit 0"]
CONFIG
cat >"$TEST_DIR/config/exec.toml" <<'CONFIG'
[handlers.account.command]
argv = ["id", "-un"]
user = "www-data"
[handlers.slow.command]
argv = ["sleep", "1000"]
CONFIG
echo '{"name": "who", "data": {}}' >"$TEST_DIR/config/job.json"
chmod -R a+rX "$TEST_DIR"
network=$(inspect redis '{{range $name, $of := .NetworkSettings.Networks}}{{$name}}{{end}}')
$ENGINE rm -f $node_container
in_node() { $ENGINE exec $node_container "$@"; }
a_processor_does_a_job() {
    $ENGINE run -d --name $node_container --network "$network" -e REDIS_URL=redis://redis:6379/0 \
        -v "$TEST_DIR/config:/test:ro" $node_image run -c /app/oxherd.toml -c /test/shell.toml || return 1
    id=$(in_node oxherd job add render page '{"to":"ann"}' --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p')
    within 30 is_done render "$id" || return 1
    shown=$(redis hget "bull:render:$id" returnvalue)
}
prove "an unchanged BullMQ processor does a job in it" a_processor_does_a_job
in_node_runs() { in_node sh -c 'cat /proc/[0-9]*/cmdline' | tr '\0' ' ' | grep -q "$1"; }
zombies() { in_node sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | grep -c ') Z ' || true; }
no_zombie() { [ "$(zombies)" = 0 ]; }
leaves_nothing() {
    id=$(in_node oxherd job add shell leave --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p')
    within 30 is_done shell "$id" && within 10 no_zombie && ! in_node_runs 'sleep 100[0-2]'
}
prove "what a command leaves in sessions of its own is ended with the job" leaves_nothing
orphan_came() {
    in_node sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | grep -q '(sleep) S 1 '
}
orphans_are_reaped() {
    # its parent comes from outside and ends at once, so that it becomes the first process's
    in_node sh -c 'sleep 4 & exit 0'
    within 3 orphan_came || return 1
    within 30 no_sleep || return 1
    shown="collected $took ms after it had come, which sleeps 4000"
}
no_sleep() { ! in_node sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | grep -q '(sleep) '; }
prove "an orphan that comes to the first process is collected" orphans_are_reaped
knows_the_accounts() {
    shown=$($ENGINE run --rm --network none --user 0 -v "$TEST_DIR/config:/test:ro" $node_image \
        -c /test/exec.toml exec --handler account --job /test/job.json --json)
    shown=$(echo "$shown" | tr -d '\n ' | cut -c 1-120)
    echo "$shown" | grep -q www-data
}
prove "the static binary knows the accounts of /etc/passwd" knows_the_accounts
node_stops() {
    $ENGINE stop -t 35 $node_container
    shown="exit $(exit_code)"
    [ "$shown" = "exit 0" ]
}
exit_code() { $ENGINE inspect --format '{{.State.ExitCode}}' $node_container; }
prove "it stops with its processes" node_stops
verb_ends() {
    $ENGINE rm -f $node_container
    $ENGINE run -d --network none --user 0 --name $node_container -v "$TEST_DIR/config:/test:ro" $node_image \
        -c /test/exec.toml exec --handler slow --job /test/job.json || return 1
    within 10 in_node_runs 'sleep 1000' || return 1
    $ENGINE stop -t 20 $node_container
    shown="exit $(exit_code)"
    [ "$shown" = "exit 143" ]
}
prove "a verb that is the first process is ended by TERM" verb_ends
