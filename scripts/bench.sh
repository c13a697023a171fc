#!/bin/sh
# Builds oxherd and its neighbours and measures them on one private Redis, interleaved.
# Arguments go to all programs of benches/rig (--only drain,http, --rounds 5, --jobs 20000, …); so does BENCH_ARGS
# from `make bench`.
set -eu
cd "$(dirname "$0")/.."

server=$(scripts/redis.sh)
command -v node >/dev/null 2>&1 || { echo "node is missing; run make setup" >&2; exit 69; }
peer=benches/peers/node
if ! cmp -s $peer/package-lock.json $peer/node_modules/.installed; then
    (cd $peer && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp $peer/package-lock.json $peer/node_modules/.installed
fi

helper=$PWD/deploy/helpers/oxherd.mjs
processor=$PWD/$peer/processor.cjs
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --locked --release --bin oxherd
cargo build --locked --release --manifest-path benches/rig/Cargo.toml --target-dir "$target/bench"
cargo build --locked --release --manifest-path benches/peers/rust/Cargo.toml --target-dir "$target/bench"
cargo build --locked --release --manifest-path benches/peers/http/Cargo.toml --target-dir "$target/bench"

bin=$target/bench/release
# shellcheck disable=SC2086 # BENCH_ARGS holds several words
"$bin/compare" --redis-server "$server" --oxherd "$target/release/oxherd" \
    --peer-rust "$bin/peer-rust" --peer-node $peer/peer.mjs --limit "$bin/limit" ${BENCH_ARGS:-} "$@"
# shellcheck disable=SC2086
"$bin/daemon" --redis-server "$server" --oxherd "$target/release/oxherd" ${BENCH_ARGS:-} "$@"
# shellcheck disable=SC2086
"$bin/handlers" --redis-server "$server" --oxherd "$target/release/oxherd" --peer-node $peer/peer.mjs \
    --peer-http "$bin/peer-http" --helper "$helper" --processor "$processor" ${BENCH_ARGS:-} "$@"
