#!/usr/bin/env bash
# Makes the shared folder: exchange/, results/ and pulled/ for the containers' user, and the demo's scans, models and pipelines
# where there are no scans yet. Makes the folder of the servers' state: jobs, compiled kernels of cards, what the mode `cluster`
# needs: a password of NATS, once, and configurations with it, and what orthanc.yml needs: the archive of the PACS, and a password.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh

data=$NEPHRITE_DATA
mkdir -p "$data"/{scans,models,pipelines,exchange,results,pulled}
if [ ! -e "$data/scans/demo" ] && [ -z "$(ls -A "$data/scans")" ]; then
    echo "demo data in $data"
    scratch=$(mktemp -d "$data/.demo-XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    chmod 777 "$scratch"
    image=nephrite/demo-data:$NEPHRITE_TAG # the core's image has no demo
    docker image inspect "$image" >/dev/null 2>&1 || ./images.sh demo-data
    docker run --rm --read-only --cap-drop ALL --user "$NEPHRITE_UID:$NEPHRITE_GID" --volume "$scratch:/demo" "$image" /demo/made
    mkdir "$scratch/scans"
    for phase in arterial portal_venous delayed; do
        mv "$scratch/made/scan_$phase.nii.gz" "$scratch/scans/$phase.nii.gz"
    done
    for model in "$scratch"/made/Dataset*; do
        [ -e "$data/models/$(basename "$model")" ] || mv "$model" "$data/models/"
    done
    cp -n pipelines/*.toml "$data/pipelines/"
    mv "$scratch/made/patient" "$data/scans/demo-dicom"
    mv "$scratch/scans" "$data/scans/demo"
fi

umask 077
state=$NEPHRITE_STATE
mkdir -p "$state"/{jobs,kernels,nats,cluster,pacs/storage}
new_password() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }
if [ ! -s "$state/cluster/auth.conf" ]; then
    password=$(new_password)
    echo "authorization { user: nephrite, password: \"$password\" }" >"$state/cluster/auth.conf"
fi
password=$(sed -E 's/.*"(.*)".*/\1/' "$state/cluster/auth.conf")
for config in cluster worker worker-cuda; do
    sed "/^url =/s/PASSWORD/$password/" "config/$config.toml" >"$state/cluster/$config.toml"
done
if [ ! -s "$state/pacs/users.json" ]; then
    password=$(new_password)
    printf 'nephrite:%s' "$password" >"$state/pacs/courier.basic"
    echo "{ \"RegisteredUsers\": { \"nephrite\": \"$password\" } }" >"$state/pacs/users.json"
fi

if [ "$(id -u)" -eq 0 ]; then
    chown "$NEPHRITE_UID:$NEPHRITE_GID" "$data"/{exchange,results,pulled} "$state"/{jobs,kernels,nats} "$state"/{cluster,pacs}/*
fi
