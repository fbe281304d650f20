#!/usr/bin/env bash
# Stops and removes the containers of any mode; images and the shared folder stay.
set -euo pipefail
cd "$(dirname "$0")"
. ./settings.sh
compose --file monolith.yml down --remove-orphans
