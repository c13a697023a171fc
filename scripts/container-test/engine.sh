# Sourced by those who need containers: finds an engine that works, installs one, or starts one of its own.
#
#   engine_start DIR   sets ENGINE (docker or podman), COMPOSE and what the two need from the environment. What an engine of
#                      our own keeps (images, volumes) is below DIR, so a second run finds it, and nobody else's is touched.
#   engine_stop        ends what engine_start has started
#
# OXHERD_CONTAINER_ENGINE=docker|podman asks for one of the two; else it is a docker that answers, then whichever can be
# started. Needs `say` and `give_up` of its caller; what engines print goes to standard output.
#
# Traps, for whoever has to look in here:
# - A docker command is no engine: it may be there without a daemon to talk to.
# - dockerd wants the tables of the kernel's packet filter; where they are missing it starts with --iptables=false, and
#   containers then reach each other, but not the world.
# - Our dockerd has no bridge of its own, so that it meets no other's: what needs a network names one, and all else has none.
# - On a file system without overlays (a container's own, some network mounts) both fall back to copying: storage driver vfs.
# - crun refuses the hybrid of both cgroup versions ("cgroups in hybrid mode not supported"); runc takes it.
# - podman wants more open files and processes for containers than root may allow where it lacks CAP_SYS_RESOURCE ("error
#   setting rlimit type 7").
# - podman without systemd: cgroups by cgroupfs, events to a file, and no timer runs the health checks; whoever wants to know
#   calls `podman healthcheck run`. A health check of an image is kept only with --format docker.
# - podman of Debian 12 resolves names between containers by a plugin in a package of its own (dnsname).
# - podman-compose 1.0 knows no `depends_on: condition`; oxherd waits for Redis by itself. It makes no container anew when its
#   file has changed: `down` before `up`. It says 0 whatever came of an `up`, and stops after 10 s whatever stop_grace_period
#   says: `stop -t 35`.
# - podman starts a container again that `podman kill` has ended, if its restart policy says so; docker does not.

engine_pid=
engine_tables=unknown

engine_start() {
    engine_dir=$1
    mkdir -p "$engine_dir"
    engine_dir=$(cd "$engine_dir" && pwd)
    engine_end_earlier
    case "${OXHERD_CONTAINER_ENGINE:-any}" in
        docker) engine_docker || engine_own_docker || give_up "no docker daemon answers and none could be started" ;;
        podman) engine_podman || give_up "podman cannot be used here" ;;
        *) engine_docker || engine_own_docker || engine_podman ||
            give_up "neither docker nor podman works; install one of them, or run this as root" ;;
    esac
}

engine_stop() {
    if [ "${ENGINE:-}" = podman ]; then
        rm -rf "$engine_run" || true
    fi
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" 2>/dev/null || true
    for _ in $(seq 300); do
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    engine_pid=
    rm -f "$engine_dir/dockerd.pid"
    # a namespace stays mounted there
    sed -n "s|^[^ ]* \($engine_run/[^ ]*\) .*|\1|p" /proc/mounts | xargs -r umount || true
    rm -rf "$engine_run"
    engine_clear_tables
}

# dockerd leaves its chains behind, and a machine that forwards nothing more.
engine_clear_tables() {
    [ "$engine_tables" = none ] || return 0
    for table in filter nat; do
        iptables -t $table -S 2>/dev/null | sed -n '/DOCKER/s/^-A /-D /p' | while read -r rule; do
            # shellcheck disable=SC2086 # several words
            iptables -t $table $rule || true
        done
        for chain in $(iptables -t $table -S 2>/dev/null | sed -n 's/^-N \(DOCKER.*\)/\1/p'); do
            iptables -t $table -X "$chain" || true
        done
    done
    [ "$engine_forwards" != ACCEPT ] || iptables -P FORWARD ACCEPT || true
}

# A docker that somebody else has started.
engine_docker() {
    command -v docker >/dev/null 2>&1 && timeout 20 docker version || return 1
    ENGINE=docker
    engine_compose
}

# A docker of our own.
engine_own_docker() {
    [ "$(id -u)" = 0 ] || return 1
    command -v dockerd >/dev/null 2>&1 || engine_install docker.io iptables || return 1
    engine_run=$(mktemp -d /run/oxherd-docker.XXXXXX) || return 1
    # as it was before
    engine_forwards=$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')
    iptables -S DOCKER >/dev/null 2>&1 && engine_tables=others || engine_tables=none
    DOCKER_HOST=unix://$engine_run/docker.sock
    export DOCKER_HOST
    for arguments in '' '--iptables=false --ip6tables=false' '--iptables=false --ip6tables=false --storage-driver=vfs'; do
        # shellcheck disable=SC2086 # several words
        dockerd --data-root "$engine_dir/docker" --exec-root "$engine_run/exec" --pidfile "$engine_run/pid" \
            --host "$DOCKER_HOST" --bridge none $arguments >"$engine_dir/dockerd.log" 2>&1 &
        engine_pid=$!
        echo $engine_pid >"$engine_dir/dockerd.pid"
        for _ in $(seq 300); do
            if docker version >/dev/null 2>&1; then
                ENGINE=docker
                say "no engine answers: started a dockerd of our own${arguments:+ with $arguments}"
                engine_compose
                return
            fi
            kill -0 $engine_pid 2>/dev/null || break
            sleep 0.1
        done
        engine_stop
        mkdir -p "$engine_run"
    done
    tail -n 5 "$engine_dir/dockerd.log"
    rm -rf "$engine_run"
    unset DOCKER_HOST
    return 1
}

# podman with a storage of our own.
engine_podman() {
    if ! command -v podman >/dev/null 2>&1; then
        engine_install podman buildah runc iptables golang-github-containernetworking-plugin-dnsname || return 1
    fi
    engine_run=$(mktemp -d "${TMPDIR:-/tmp}/oxherd-podman.XXXXXX") || return 1
    CONTAINERS_STORAGE_CONF=$engine_dir/podman-storage.conf
    CONTAINERS_CONF=$engine_dir/podman.conf
    export CONTAINERS_STORAGE_CONF CONTAINERS_CONF
    {
        printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        ! command -v runc >/dev/null 2>&1 || echo 'runtime = "runc"'
        printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=8192:8192"]\n' "$(ulimit -n)" "$(ulimit -n)"
    } >"$CONTAINERS_CONF"
    for driver in overlay vfs; do
        cat >"$CONTAINERS_STORAGE_CONF" <<STORAGE
[storage]
driver = "$driver"
graphroot = "$engine_dir/podman-$driver"
runroot = "$engine_run"
STORAGE
        if podman info; then
            ENGINE=podman
            engine_compose
            return
        fi
    done
    unset CONTAINERS_STORAGE_CONF CONTAINERS_CONF
    rm -rf "$engine_run"
    return 1
}

# What reads compose files for it.
engine_compose() {
    if [ $ENGINE = podman ]; then
        command -v podman-compose >/dev/null 2>&1 || engine_install podman-compose || return 1
        COMPOSE=podman-compose
    elif docker compose version; then
        COMPOSE='docker compose'
    else
        command -v docker-compose >/dev/null 2>&1 || engine_install docker-compose || return 1
        COMPOSE=docker-compose
    fi
}

engine_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Ends a dockerd of ours whose starter was killed. It is known by where it keeps its images: a pid alone may be anybody's.
engine_end_earlier() {
    [ -f "$engine_dir/dockerd.pid" ] || return 0
    earlier=$(cat "$engine_dir/dockerd.pid")
    if tr '\0' ' ' 2>/dev/null <"/proc/$earlier/cmdline" | grep -qF -- "--data-root $engine_dir/docker "; then
        engine_pid=$earlier
        engine_run=$(tr '\0' '\n' <"/proc/$earlier/cmdline" | sed -n 's|^unix://\(.*\)/docker.sock$|\1|p')
        engine_stop
    fi
    rm -f "$engine_dir/dockerd.pid"
}
