#!/usr/bin/env bash
# Builds the four images: image core, mask services, client, and the Python plugin; by name also demo-data, which prepare.sh
# runs, image-core-cuda, which runs networks on NVIDIA cards, and orthanc, the PACS of orthanc.yml.
#
# RUST_IMAGE, PYTHON_IMAGE and BASE_IMAGE name other base images, CUDA_RUST_IMAGE and CUDA_IMAGE those of image-core-cuda (.env).
# PREBUILT=build/prebuilt, relative to the root of the workspace, takes the binaries from there instead of compiling them.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh
FLAVOR=cpu

# build NAME CONTEXT [OPTION...]
build() {
    local name="nephrite/$1:$NEPHRITE_TAG" context="$2" options=() argument
    for argument in RUST_IMAGE PYTHON_IMAGE BASE_IMAGE FLAVOR; do
        if [ -n "${!argument:-}" ] && grep -qs "^ARG $argument=" "${3:-$context/Dockerfile}"; then
            options+=(--build-arg "$argument=${!argument}")
        fi
    done
    if [ -n "${3:-}" ]; then options+=(--file "$3"); fi
    if [ -n "${4:-}" ]; then options+=(--build-arg "PREBUILT=$4"); fi
    echo "image $name"
    docker build --quiet "${options[@]}" --tag "$name" "$context" >/dev/null
}

# Only what its Dockerfile copies: the template, and the contract beside it.
plugin_context() {
    local folder=../build/centreline
    rm -rf $folder && mkdir -p $folder/proto
    cp ../mask-services/plugins/python-template/{*.py,requirements.txt,Dockerfile} $folder/
    cp -r ../proto/nephrite $folder/proto/
    echo $folder
}

wanted=${*:-image-core mask-services client centreline}
for image in $wanted; do
    case $image in
    image-core) build image-core .. image-core.Dockerfile "${PREBUILT:+$PREBUILT/nephrite}" ;;
    image-core-cuda)
        FLAVOR=cuda BASE_IMAGE=${CUDA_IMAGE:-nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04} RUST_IMAGE=${CUDA_RUST_IMAGE:-rust:1.95-slim-bookworm} \
            build image-core-cuda .. image-core.Dockerfile "${PREBUILT:+$PREBUILT/nephrite}"
        ;;
    mask-services) build mask-services .. mask-services.Dockerfile "${PREBUILT:+$PREBUILT/mask-services}" ;;
    demo-data) build demo-data .. demo-data.Dockerfile "${PREBUILT:+$PREBUILT/write_patient}" ;;
    client) build client client ;;
    orthanc) build orthanc . orthanc.Dockerfile ;;
    centreline) build centreline "$(plugin_context)" ;;
    *) echo "no image is called $image" >&2 && exit 2 ;;
    esac
done
