#!/bin/sh
# Builds oxherd and its neighbours and measures them on one private Redis, interleaved.
# Arguments go to benches/rig (--only drain, --rounds 5, --jobs 20000, …); so does BENCH_ARGS from `make bench`.
set -eu
cd "$(dirname "$0")/.."

server=$(scripts/redis.sh)
command -v node >/dev/null 2>&1 || { echo "node is missing; run make setup" >&2; exit 69; }
peer=benches/peers/node
if ! cmp -s $peer/package-lock.json $peer/node_modules/.installed; then
    (cd $peer && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp $peer/package-lock.json $peer/node_modules/.installed
fi

target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --locked --release --bin oxherd
cargo build --locked --release --manifest-path benches/rig/Cargo.toml --target-dir "$target/bench"
cargo build --locked --release --manifest-path benches/peers/rust/Cargo.toml --target-dir "$target/bench"

# shellcheck disable=SC2086 # BENCH_ARGS holds several words
exec "$target/bench/release/compare" --redis-server "$server" --oxherd "$target/release/oxherd" \
    --peer-rust "$target/bench/release/peer-rust" --peer-node $peer/peer.mjs --limit "$target/bench/release/limit" \
    ${BENCH_ARGS:-} "$@"
