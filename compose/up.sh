#!/usr/bin/env bash
# up.sh [MODE] [OVERRIDE.yml...]: starts monolith, hybrid, microservices or cluster, waits until it serves, and runs the demo case
# if the demo's scans are there. Its results go to DEMO_OUTPUT, results/demo-TIME if not given; none runs if it is empty.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh
. ./pacs_demo.sh

mode=${1:-monolith}
[[ $mode =~ ^(monolith|hybrid|microservices|cluster)$ ]] || { echo "MODE is $mode, expected monolith, hybrid, microservices or cluster" >&2 && exit 2; }
files=(--file "$mode.yml")
for override in "${@:2}"; do files+=(--file "$override"); done

# Images of ours that the services have, and that of the client, which is no service.
wanted=$(compose "${files[@]}" config | sed -nE 's|^ +image: nephrite/([a-z-]+):.*|\1|p')
for image in $(sort -u <<<"$wanted"$'\n'client); do
    docker image inspect "nephrite/$image:$NEPHRITE_TAG" >/dev/null 2>&1 || ./images.sh "$image"
done
./prepare.sh

compose "${files[@]}" up --detach --remove-orphans
core=$(compose "${files[@]}" ps --quiet core)
for ((tries = 0; ; tries++)); do
    health=$(docker inspect --format '{{.State.Health.Status}}' "$core")
    [ "$health" != healthy ] || break
    if [ "$health" = unhealthy ] || [ $tries -ge 600 ]; then
        docker logs --tail 20 "$core" >&2
        echo "the core is $health" >&2
        exit 1
    fi
    sleep 0.5
done
echo "$mode serves on 127.0.0.1:$NEPHRITE_PORT"

output=${DEMO_OUTPUT-results/demo-$(date +%Y%m%d-%H%M%S)}
if [ -n "$output" ] && [[ " ${*:2} " == *"orthanc.yml "* ]]; then
    if [ -d "$NEPHRITE_DATA/scans/demo-dicom" ]; then
        pacs_demo "$output" "${files[@]}"
        echo "the masks are in $NEPHRITE_DATA/$output, and as DICOM objects in the PACS: http://127.0.0.1:$ORTHANC_PORT, user and password in"
        echo "$NEPHRITE_STATE/pacs/courier.basic"
    fi
elif [ -d "$NEPHRITE_DATA/scans/demo" ] && [ -n "$output" ]; then
    pipeline=demo.toml
    [[ " ${*:2} " != *" plugin.yml "* ]] || pipeline=demo-centreline.toml
    compose "${files[@]}" run --rm client run --pipeline "pipelines/$pipeline" --output "$output" \
        --scan arterial=scans/demo/arterial.nii.gz --scan portal_venous=scans/demo/portal_venous.nii.gz \
        --scan delayed=scans/demo/delayed.nii.gz
    echo "the masks are in $NEPHRITE_DATA/$output"
fi
