# Sourced after engine.sh: the images that a Dockerfile or a compose file starts from.
#
#   image_need NAME SUITE PACKAGE…   sees that there is an image of that name: the registry's, or, where no registry can be
#                                    reached, one that is made here of Debian packages and stands in for it
#   image_rust NAME                  the same with the Rust toolchain of this machine
#   image_redis NAME                 the same with a Redis server that starts as that of the registry's image does
#
# Needs `say` and `give_up` of its caller, ENGINE and engine_dir. What is made is kept and found again; packages once
# downloaded too.

image_need() {
    image_there "$1" made && return
    name=$1 suite=$2
    shift 2
    image_root "$name" "$suite" "$@"
    image_keep "$name"
}

image_rust() {
    image_there "$1" "$(rustc --version)" && return
    image_root "$1" bookworm gcc libc6-dev ca-certificates
    toolchain=$(rustc --print sysroot)
    mkdir -p "$root/usr/local/rust"
    cp -a "$toolchain/bin" "$toolchain/lib" "$root/usr/local/rust/"
    image_keep "$1" 'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV CARGO_HOME=/usr/local/cargo'
}

image_redis() {
    image_there "$1" made && return
    image_root "$1" bookworm redis-server
    mkdir -p "$root/data"
    chroot "$root" chown redis:redis /data
    # as the registry's image: open to its network, data in /data, not root
    cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'ENTRY'
#!/bin/sh
set -e
[ "$1" != redis-server ] || set -- "$@" --protected-mode no
[ "$(id -u)" != 0 ] || [ "$1" != redis-server ] || { chown redis:redis /data; exec setpriv --reuid redis --regid redis --clear-groups "$@"; }
exec "$@"
ENTRY
    chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
    image_keep "$1" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["redis-server"]' 'WORKDIR /data' 'VOLUME /data'
}

# image_there NAME MADE_OF: there already (if we made it: of the same), or to be had.
image_there() {
    image_found "$1" "$2" && return
    timeout 600 $ENGINE pull "$(image_full "$1")" && image_found "$1" "$2" && return
    made_of=$2
    return 1
}

image_found() {
    label=$($ENGINE image inspect --format '{{index .Config.Labels "oxherd.stand-in"}}' "$1" 2>/dev/null) || return 1
    case "$label" in
        "" | "<no value>") say "image $1: of its registry" ;;
        "$2") say "image $1: a stand-in, made here of Debian packages" ;;
        *) return 1 ;;
    esac
}

# podman asks a terminal which registry is meant when a name says none.
image_full() {
    [ $ENGINE = podman ] && echo "docker.io/library/$1" || echo "$1"
}

# image_root NAME SUITE PACKAGE…: $root with a small Debian.
image_root() {
    name=$1 suite=$2
    shift 2
    [ "$(id -u)" = 0 ] || give_up "no registry has $name, and only root can make an image in its place"
    command -v debootstrap >/dev/null 2>&1 || engine_install debootstrap || give_up "debootstrap is missing; install it"
    say "no registry has $name; making it of Debian packages ($*)"
    root=$engine_dir/root
    OXHERD_DEBIAN_CACHE=$engine_dir/packages scripts/debian.sh "$suite" "$root" "$@" || give_up "debootstrap has failed"
}

# image_keep NAME INSTRUCTION…: $root becomes the image.
image_keep() {
    name=$1
    shift
    for instruction in "$@"; do
        set -- "$@" --change "$instruction"
        shift
    done
    tar -C "$root" -c . | $ENGINE import "$@" --change "LABEL oxherd.stand-in=\"$made_of\"" - "$(image_full "$name")" ||
        give_up "$name could not be imported"
    rm -rf "$root"
}
