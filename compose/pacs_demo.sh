# shellcheck shell=bash
# The demo case by way of the PACS of orthanc.yml: its series are stored there, as a scanner would do it, pulled, run, and the
# objects that came of them are pushed. Sourced by up.sh after settings.sh.

# courier FILES... -- ARGUMENT...: nephrite in the container that reaches the PACS.
courier() {
    local files=()
    while [ "$1" != -- ]; do files+=("$1") && shift; done
    compose "${files[@]}" run --rm -T courier "${@:2}"
}

# field NAME: the value of a field in the first of the instances that `push --json` tells of.
field() { sed -nE "/^ *\"$1\": \"([^\"]*)\",?\$/{s//\1/p;q}"; }

# pacs_demo OUTPUT FILES...: OUTPUT is the result folder; FILES are those of docker compose.
pacs_demo() {
    local output=$1 files=("${@:2}") pacs=(--dicomweb pacs --config /etc/nephrite/nephrite.toml)
    local pulled phase stored study scans=()
    pulled=pulled/$(basename "$output")
    for phase in arterial portal_venous delayed; do
        stored=$(courier "${files[@]}" -- push "${pacs[@]}" --json --quiet "scans/demo-dicom/$phase") || return 1
        study=$(field study <<<"$stored")
        scans+=(--scan "$phase=$pulled/$(field series <<<"$stored")")
    done
    echo "study $study is in the PACS"
    courier "${files[@]}" -- pull "${pacs[@]}" --quiet --study "$study" --to "$pulled" || return 1
    compose "${files[@]}" run --rm -T client run --pipeline pipelines/demo-dicom.toml --check-phase "${scans[@]}" --output "$output" || return 1
    courier "${files[@]}" -- push "${pacs[@]}" "$output"
}
