# shellcheck shell=bash
# Base images: pulled, or made from Debian's packages where nothing can be pulled. Sourced.

# Where this machine's packages come from.
debian_mirror() {
    sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' \
        /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -1
}

have_image() {
    docker image inspect "$1" >/dev/null 2>&1 || timeout 60 docker pull --quiet "$1" >/dev/null 2>&1
}

# Where this machine's certificates lie in the image, so that pip works behind a proxy that terminates TLS.
HOST_CERTIFICATES=/etc/ssl/host.crt

# debian_archive CACHE: makes what becomes debian:trixie-slim by debootstrap; CACHE keeps it for the next run.
debian_archive() {
    local archive="$1/debian-trixie.tar" ours=/etc/ssl/certs/ca-certificates.crt theirs=$HOST_CERTIFICATES scratch
    if [ ! -s "$archive" ]; then
        scratch=$(mktemp -d)
        debootstrap --variant=minbase trixie "$scratch/root" "$(debian_mirror)" >"$scratch/log" 2>&1 || {
            tail -5 "$scratch/log" >&2
            rm -rf "$scratch"
            return 1
        }
        rm -rf "$scratch"/root/var/cache/apt/* "$scratch"/root/usr/share/{doc,man,locale}/*
        mkdir -p "$scratch/root/etc/ssl" && cat $ours >"$scratch/root$theirs"
        mkdir -p "$1" && tar -C "$scratch/root" -cf "$archive.part" . && mv "$archive.part" "$archive"
        rm -rf "$scratch"
    fi
}

# debian_base CACHE: makes debian:trixie-slim.
debian_base() {
    local theirs=$HOST_CERTIFICATES
    debian_archive "$1" || return 1
    docker import --change "ENV SSL_CERT_FILE=$theirs PIP_CERT=$theirs CARGO_HTTP_CAINFO=$theirs" \
        --change 'CMD ["/bin/sh"]' "$1/debian-trixie.tar" debian:trixie-slim >/dev/null
}

# python_base CACHE: makes python:3.13-slim on top of it.
python_base() {
    local archive="$1/python-3.13.tar"
    if [ -s "$archive" ]; then
        docker load --quiet --input "$archive" >/dev/null
        return
    fi
    docker build --quiet --tag python:3.13-slim - >/dev/null <<'DOCKERFILE' || return 1
FROM debian:trixie-slim
RUN apt-get update -qq && apt-get install -qq --no-install-recommends python3 python3-venv >/dev/null && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* && python3 -m venv /usr/local
DOCKERFILE
    docker save --output "$archive.part" debian:trixie-slim python:3.13-slim && mv "$archive.part" "$archive"
}

# base_images CACHE
base_images() {
    have_image debian:trixie-slim || debian_base "$1" || return 1
    have_image python:3.13-slim || python_base "$1" || return 1
}
