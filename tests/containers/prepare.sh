#!/usr/bin/env bash
# Makes what run.sh needs and what takes long, besides the binaries of the core: packages, the static mask services, NATS, the
# base of the images. Everything is kept in build/containers; what cannot be made is for run.sh to say.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/containers/engine.sh
. tests/containers/base_images.sh
. tests/containers/static_binary.sh
. tests/containers/nats_image.sh

CACHE=build/containers
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
nats_program
static_mask_services "$CACHE"
engine_packages "$SCRATCH" && [ "$(id -u)" -eq 0 ] && debian_archive "$CACHE"
