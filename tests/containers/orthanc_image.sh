# shellcheck shell=bash
# The image of Orthanc: built of Debian's packages as users build it, and kept for the next run. Sourced after base_images.sh.

# orthanc_image CACHE
orthanc_image() {
    local archive="$1/orthanc.tar" image=nephrite/orthanc:$NEPHRITE_TAG
    if [ -s "$archive" ] && docker load --quiet --input "$archive" >/dev/null; then
        return
    fi
    compose/images.sh orthanc && docker save --output "$archive.part" "$image" && mv "$archive.part" "$archive"
}
