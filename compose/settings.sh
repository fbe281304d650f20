# shellcheck shell=bash
# What the scripts here share: settings, and `compose`, which is docker compose, or docker-compose where that is older.
# Sourced with this folder as the working directory.

# From .env, unless the environment says otherwise.
if [ -f .env ]; then
    while IFS='=' read -r key value; do
        [[ $key =~ ^[A-Z_]+$ && -z ${!key+set} ]] && export "$key=$value"
    done <.env
fi

# Root owns what it prepares, but no container runs as root.
if [ "$(id -u)" -ne 0 ]; then
    : "${NEPHRITE_UID:=$(id -u)}" "${NEPHRITE_GID:=$(id -g)}"
fi
: "${NEPHRITE_UID:=65532}" "${NEPHRITE_GID:=65532}" "${NEPHRITE_TAG:=latest}" "${NEPHRITE_PORT:=7443}" "${ORTHANC_PORT:=8042}"
: "${NEPHRITE_DATA:=$(cd .. && pwd)/build/data}" "${NEPHRITE_STATE:=$(cd .. && pwd)/build/state}" "${COMPOSE_PROJECT_NAME:=nephrite}"
export NEPHRITE_UID NEPHRITE_GID NEPHRITE_TAG NEPHRITE_PORT ORTHANC_PORT NEPHRITE_DATA NEPHRITE_STATE COMPOSE_PROJECT_NAME

if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null; then
    compose() { docker-compose "$@"; }
else
    echo "docker compose is needed (or docker-compose 1.29)" >&2
    exit 1
fi
