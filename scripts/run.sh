#!/bin/sh
# The demo behind `make run`: builds oxherd, starts it on config/demo.toml and feeds it a trickle of
# jobs. OXHERD_DEMO_SECONDS=20 ends it by itself.
set -eu
cd "$(dirname "$0")/.."
config=config/demo.toml

if ! command -v cargo >/dev/null 2>&1; then
    PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null 2>&1 || { echo "cargo is missing; install Rust from https://rustup.rs" >&2; exit 69; }
fi
if ! command -v cc >/dev/null 2>&1; then # rustc links with it, two dependencies hold C
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev
    else
        echo "a C compiler is missing; install gcc or clang" >&2
        exit 69
    fi
fi

OXHERD_REDIS_SERVER=$(scripts/redis.sh)
PATH="$(dirname "$OXHERD_REDIS_SERVER"):$PATH"
export OXHERD_REDIS_SERVER PATH

# A newer server's data cannot be read by an older one, so another server starts with none.
version=$("$OXHERD_REDIS_SERVER" --version)
if [ -d .demo ] && [ "$version" != "$(cat .demo/server 2>/dev/null)" ]; then
    echo "run.sh: the demo's data belong to another server, starting anew" >&2
    rm -rf .demo
fi
mkdir -p -m 700 .demo
echo "$version" >.demo/server

# A debug build: ready sooner, and quick enough to watch. `cargo build --release` is the real thing.
cargo build --locked --bin oxherd
oxherd=${CARGO_TARGET_DIR:-target}/debug/oxherd

# Ends by itself when the daemon, which takes over this process, has gone.
trickle() {
    until "$oxherd" -c "$config" healthcheck >/dev/null 2>&1; do
        sleep 0.2
        kill -0 $$ 2>/dev/null || return 0
    done
    cat <<HINT

  Jobs now trickle into five queues. In another terminal:

    add one:     $oxherd -c $config job add email welcome '{"tenantId":"t1","to":"you@example.org"}'
    watch all:   $oxherd -c $config watch

  Ctrl-C stops it.

HINT
    n=0
    while kill -0 $$ 2>/dev/null; do
        n=$((n + 1))
        add email welcome "{\"tenantId\":\"t$((n % 3))\",\"to\":\"user$n@example.org\"}"
        add notification push "{\"tenantId\":\"t$((n % 3))\",\"title\":\"hello $n\"}"
        add analytics page-view "{\"tenantId\":\"t$((n % 3))\",\"path\":\"/story/$n\"}"
        [ $((n % 3)) != 0 ] || add export story "{\"tenantId\":\"t1\",\"storyId\":\"story-$n\"}" --delay 2s
        [ $((n % 5)) != 0 ] || add cleanup autosave "{\"tenantId\":\"t2\",\"daysOld\":30}" --priority 3
        sleep 1
    done
}
add() {
    kill -0 $$ 2>/dev/null && "$oxherd" -c "$config" job add "$@" >/dev/null 2>&1 || true
}

set --
[ -z "${OXHERD_DEMO_SECONDS:-}" ] || set -- --max-time "${OXHERD_DEMO_SECONDS}s"
trickle &
exec "$oxherd" -c "$config" run "$@"
