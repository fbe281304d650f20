# shellcheck shell=bash
# The image of NATS: pulled, or made from the pinned binary where nothing can be pulled. Sourced after base_images.sh.

# nats_program: into build/nats-server, where the tests of the engine look for it, too.
nats_program() {
    python3 image-core/jobs/nats/server/fetch.py --out build/nats-server
}

# nats_image SCRATCH: exports NATS_IMAGE if it is ours. Its wget is all that the health check needs of one.
nats_image() {
    have_image nats:2.12-alpine && return
    nats_program || return 1
    mkdir -p "$1/nats" && cp build/nats-server/nats-server "$1/nats/" || return 1
    cat >"$1/nats/wget" <<'PYTHON'
#!/usr/bin/env python3
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[-1], timeout=4).read().decode())
PYTHON
    chmod 755 "$1/nats/wget"
    cat >"$1/nats/Dockerfile" <<'DOCKERFILE'
FROM python:3.13-slim
COPY nats-server wget /usr/local/bin/
ENTRYPOINT ["nats-server"]
DOCKERFILE
    docker build --quiet --tag nephrite-test/nats:test "$1/nats" >/dev/null && export NATS_IMAGE=nephrite-test/nats:test
}
