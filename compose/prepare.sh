#!/usr/bin/env bash
# Makes the shared folder: exchange/ and results/ for the containers' user, and the demo's scans, models and pipelines
# where there are no scans yet. Makes the folder of the servers' state: jobs, compiled kernels of cards, and what the mode `cluster`
# needs: a password of NATS, once, and configurations with it.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh

data=$NEPHRITE_DATA
mkdir -p "$data"/{scans,models,pipelines,exchange,results}
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
    mv "$scratch/scans" "$data/scans/demo"
fi

umask 077
state=$NEPHRITE_STATE
mkdir -p "$state"/{jobs,kernels,nats,cluster}
if [ ! -s "$state/cluster/auth.conf" ]; then
    password=$(od -An -N 24 -t x1 /dev/urandom | tr -d ' \n')
    echo "authorization { user: nephrite, password: \"$password\" }" >"$state/cluster/auth.conf"
fi
password=$(sed -E 's/.*"(.*)".*/\1/' "$state/cluster/auth.conf")
for config in cluster worker worker-cuda; do
    sed "/^url =/s/PASSWORD/$password/" "config/$config.toml" >"$state/cluster/$config.toml"
done

if [ "$(id -u)" -eq 0 ]; then
    chown "$NEPHRITE_UID:$NEPHRITE_GID" "$data/exchange" "$data/results" "$state"/{jobs,kernels,nats} "$state"/cluster/*
fi
