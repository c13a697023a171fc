#!/bin/sh
# Installs what `make test` needs: a Redis server, Node with the BullMQ clients, Python with its client, PHP, Chromium,
# systemd-analyze.
# Quick when all is there. What it downloads lands in .cache and in tests/interop/node/node_modules.
set -eu
cd "$(dirname "$0")/.."
node_dir=tests/interop/node
python_dir=tests/interop/python

# apt PACKAGE… : installs, when there is a right to
apt() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "setup-tests.sh: please install $*" >&2
        exit 69
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

scripts/redis.sh --package-first >/dev/null

command -v redis-cli >/dev/null 2>&1 || apt redis-tools
command -v cc >/dev/null 2>&1 || apt gcc libc6-dev
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || rustup component add rustfmt clippy
done

command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || apt nodejs npm
if ! cmp -s $node_dir/package-lock.json $node_dir/node_modules/.installed; then
    (cd $node_dir && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp $node_dir/package-lock.json $node_dir/node_modules/.installed
fi

for browser in chromium chromium-browser google-chrome chrome none; do
    command -v $browser >/dev/null 2>&1 && break
done
[ $browser != none ] || apt chromium

# the program alone: the package would start a server
if ! command -v promtool >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || { echo "setup-tests.sh: please install promtool" >&2; exit 69; }
    package=$(mktemp -d)
    apt-get update -qq
    (cd "$package" && apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg-deb -x prometheus_*.deb .)
    install -m 755 "$package/usr/bin/promtool" /usr/local/bin/promtool
    rm -rf "$package"
fi

command -v php >/dev/null 2>&1 || apt php-cli
command -v systemd-analyze >/dev/null 2>&1 || apt systemd
command -v awk >/dev/null 2>&1 || apt mawk
for tool in zsh fish mandoc; do
    command -v $tool >/dev/null 2>&1 || apt $tool
done

if ! cmp -s $python_dir/requirements.txt .cache/python/installed; then
    rm -rf .cache/python
    if ! python3 -m venv .cache/python 2>/dev/null; then # Debian keeps the module in a package of its own
        rm -rf .cache/python
        apt python3 python3-venv
        python3 -m venv .cache/python
    fi
    .cache/python/bin/pip install --quiet --disable-pip-version-check -r $python_dir/requirements.txt
    cp $python_dir/requirements.txt .cache/python/installed
fi
