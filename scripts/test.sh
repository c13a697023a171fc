#!/bin/sh
# Runs all tests with the tools that setup-tests.sh installed. Arguments go to the test runner.
set -eu
cd "$(dirname "$0")/.."

OXHERD_REDIS_SERVER=$(scripts/redis.sh)
OXHERD_TEST_PYTHON=$PWD/.cache/python/bin/python
PATH="$(dirname "$OXHERD_REDIS_SERVER"):$PATH"
export OXHERD_REDIS_SERVER OXHERD_TEST_PYTHON PATH

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --no-fail-fast "$@"
    cargo test --locked --doc
else
    cargo test --locked --no-fail-fast "$@"
fi
