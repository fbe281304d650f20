#!/usr/bin/env bash
# Stops and removes the containers of any mode; images, the shared folder and the jobs stay.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh
compose --file cluster.yml --file orthanc.yml down --remove-orphans
