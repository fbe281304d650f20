# shellcheck shell=bash
# A Docker engine: the one that answers, or one of our own on a folder and a socket of its own. Sourced.

ENGINE_PID=

# Debian's packages, where something is missing and we may install.
engine_packages() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || missing+=(docker-compose)
    if [ ${#missing[@]} -gt 0 ]; then
        [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" iptables; } \
            >"$1/apt.log" 2>&1 || { tail -5 "$1/apt.log" >&2 && return 1; }
    fi
}

# start_engine FOLDER: exports DOCKER_HOST if the engine is ours.
start_engine() {
    docker info >/dev/null 2>&1 && return
    [ "$(id -u)" -eq 0 ] || return 1
    iptables-save >"$1/iptables" 2>/dev/null
    ip link show docker0 >"$1/docker0" 2>/dev/null || rm -f "$1/docker0"
    dockerd --data-root "$1/images" --exec-root "$1/run" --pidfile "$1/pid" --host "unix://$1/docker.sock" >"$1/dockerd.log" 2>&1 &
    ENGINE_PID=$!
    export DOCKER_HOST="unix://$1/docker.sock"
    local tries
    for ((tries = 0; tries < 60; tries++)); do
        docker info >/dev/null 2>&1 && return
        kill -0 $ENGINE_PID 2>/dev/null || break
        sleep 0.5
    done
    grep -E 'level=(fatal|error)|failed' "$1/dockerd.log" | tail -5 >&2
    return 1
}

# stop_engine FOLDER: ends our engine and takes its bridge and rules away.
stop_engine() {
    [ -n "$ENGINE_PID" ] || return 0
    kill "$ENGINE_PID" 2>/dev/null
    wait "$ENGINE_PID" 2>/dev/null
    [ -e "$1/docker0" ] || ip link delete docker0 2>/dev/null
    [ ! -s "$1/iptables" ] || iptables-restore <"$1/iptables" 2>/dev/null
    rm -rf "$1"
}
