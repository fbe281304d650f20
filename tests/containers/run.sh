#!/usr/bin/env bash
# The deployment modes in real containers: images, results, failures and recovery, jobs, the plugin, a PACS, a volume that is mounted
# elsewhere. Builds what goes into the images, so target/release/nephrite is without the demo afterwards.
#
# Starts an engine of its own where none answers; base images are made of Debian's packages where none can be pulled, and
# kept in build/containers for the next run. Skips, loudly, only where no engine can be started.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/containers/engine.sh
. tests/containers/base_images.sh
. tests/containers/static_binary.sh
. tests/containers/nats_image.sh
. tests/containers/orthanc_image.sh

CACHE=build/containers
SCRATCH=$(mktemp -d)
LOG=$SCRATCH/log
export NEPHRITE_DATA=$SCRATCH/data NEPHRITE_STATE=$SCRATCH/state NEPHRITE_TAG=test NEPHRITE_PORT=17443 ORTHANC_PORT=18042 COMPOSE_PROJECT_NAME=nephrite-test DOCKER_BUILDKIT=0
NEPHRITE_UID=65532 NEPHRITE_GID=65532
if [ "$(id -u)" -ne 0 ]; then NEPHRITE_UID=$(id -u) NEPHRITE_GID=$(id -g); fi
export NEPHRITE_UID NEPHRITE_GID
N_PASSED=0 N_FAILED=0 STARTED=$SECONDS

# check TEXT COMMAND...: one line about a command that must succeed; its output if it does not.
check() {
    local text=$1
    shift
    if "$@" >"$LOG" 2>&1; then
        N_PASSED=$((N_PASSED + 1))
        printf 'ok      %4d s  %s\n' $((SECONDS - STARTED)) "$text"
    else
        N_FAILED=$((N_FAILED + 1))
        printf 'FAILED  %4d s  %s\n' $((SECONDS - STARTED)) "$text"
        tail -30 "$LOG" | sed 's/^/    | /'
        return 1
    fi
}

# has_image NAME: an image that was built meanwhile; what was said if it was not.
has_image() { cat "$SCRATCH/$1.log" && docker image inspect "nephrite/$1:test" >/dev/null; }

finish() {
    compose/down.sh >/dev/null 2>&1
    if [ -z "$ENGINE_PID" ]; then # images of ours in somebody's engine
        for image in image-core mask-services client demo-data centreline orthanc; do docker rmi "nephrite/$image:test"; done >/dev/null 2>&1
        docker rmi nephrite-test/nats:test >/dev/null 2>&1
    fi
    stop_engine "$SCRATCH/engine"
    rm -rf "$SCRATCH"
}
trap finish EXIT
trap 'exit 130' INT TERM

skip() {
    printf '\n%s\n' "******** THE CONTAINER TESTS DID NOT RUN: $1 ********"
    exit 0
}

mkdir -p "$SCRATCH/engine" "$NEPHRITE_DATA"
chmod 755 "$SCRATCH" "$NEPHRITE_DATA"
engine_packages "$SCRATCH" || skip "no Docker engine is installed, and none can be"
start_engine "$SCRATCH/engine" || skip "no Docker engine can be started here"

# --- images

# What goes into the images: the program as it is delivered, the static mask services, and what writes the demo's data.
binaries() {
    static_mask_services "$CACHE" && mkdir -p build/prebuilt &&
        cargo build --release --locked -p nephrite-image-core &&
        cargo build --release --locked -p nephrite-demo --example write_patient &&
        strip -o build/prebuilt/write_patient target/release/examples/write_patient &&
        strip -o build/prebuilt/mask-services "$CACHE/target/$STATIC_TARGET/release/mask-services" &&
        strip -o build/prebuilt/nephrite target/release/nephrite
}
binaries >"$SCRATCH/binaries.log" 2>&1 &
check "base images are there" base_images "$CACHE" || exit 1
wait $! || { cat "$SCRATCH/binaries.log" && exit 1; }
export PREBUILT=build/prebuilt RUST_IMAGE=debian:trixie-slim
check "images of core, mask services, client and the demo's data" compose/images.sh image-core mask-services client demo-data || exit 1
check "image of NATS" nats_image "$SCRATCH" || exit 1
compose/images.sh centreline >"$SCRATCH/centreline.log" 2>&1 &
PLUGIN_IMAGE=$!
orthanc_image "$CACHE" >"$SCRATCH/orthanc.log" 2>&1 &
ORTHANC_IMAGE=$!

size() { docker image inspect --format '{{.Size}}' "$1"; }
# at_most BYTES LIMIT
at_most() {
    echo "$1 bytes"
    [ "$1" -gt 0 ] && [ "$1" -le "$2" ]
}
core_bytes=$(($(size nephrite/image-core:test) - $(size debian:trixie-slim)))
mask_bytes=$(size nephrite/mask-services:test)
check "the core adds $((core_bytes / 1000000)) MB to its base, at most 80" at_most $core_bytes 80000000
check "the mask services take $((mask_bytes / 1000000)) MB, at most 25" at_most "$mask_bytes" 25000000
no_python() { ! docker run --rm --entrypoint /bin/sh nephrite/image-core:test -c 'command -v python3 || ls -d /usr/lib/*python3* /usr/local/lib/*python3*'; }
check "the core's image has no Python" no_python
no_demo() { # and says so, with the exit code of a wrong argument
    docker run --rm nephrite/image-core:test demo --output /tmp/demo
    [ $? -eq 2 ] && ! docker run --rm nephrite/image-core:test --help | grep -i demo
}
check "the core's image has no demo" no_demo

# --- helpers for cases

MODE=
OVERRIDES=()
files() {
    local override
    printf -- '--file\ncompose/%s.yml\n' "$MODE"
    for override in "${OVERRIDES[@]}"; do printf -- '--file\n%s\n' "$override"; done
}
# shellcheck disable=SC1090
. <(cd compose && sed -n '/^if docker compose version/,/^fi/p' settings.sh) # which compose
# shellcheck disable=SC2046
in_mode() { compose --project-directory compose $(files) "$@"; }
container() { in_mode ps --quiet "$1"; }

# on_cards MODE OVERRIDE.yml SERVICE...: these and no others get a card, the image for it, a folder for kernels and a configuration
# with provider cuda. Nothing is started: this machine need not have a card.
on_cards() {
    local MODE=$1 OVERRIDES=("compose/$2") folder=$SCRATCH/on-cards config
    mkdir -p "$folder/state" "$folder/data/scans/mine" && NEPHRITE_STATE=$folder/state NEPHRITE_DATA=$folder/data compose/prepare.sh || return 1
    NEPHRITE_STATE=$folder/state in_mode config >"$folder/config.yml" && cat "$folder/config.yml" || return 1
    for config in $(grep -o '/[^ ]*-cuda\.toml' "$folder/config.yml" | sort -u); do
        target/release/nephrite config --check "$config" && grep -x 'provider = "cuda"' "$config" || return 1
    done
    # Each line: a service, and how many lines of its block say these things.
    awk '/^services:/ { inside = 1; next } /^[^ ]/ { inside = 0 } !inside { next }
        /^  [^ ]/ { service = $1; sub(":", "", service) }
        /image: nephrite\/image-core-cuda:|driver: nvidia|-cuda\.toml|\/state\/kernels/ { n[service]++ }
        END { for (service in n) print service, n[service] }' "$folder/config.yml" | sort >"$folder/found"
    cat "$folder/found" && diff "$folder/found" <(printf '%s 4\n' "${@:3}" | sort)
}
# Any command of the client, in a container that has no volume.
client() { in_mode run --rm -T client "$@"; }
DEMO=(--scan arterial=scans/demo/arterial.nii.gz --scan portal_venous=scans/demo/portal_venous.nii.gz --scan delayed=scans/demo/delayed.nii.gz)

# up MODE NAME [OVERRIDE.yml...]: starts a mode and runs the demo case into results/NAME.
up() {
    MODE=$1 OVERRIDES=("${@:3}")
    DEMO_OUTPUT=${2:+results/$2} compose/up.sh "$MODE" "${OVERRIDES[@]#compose/}"
}

# healthy SERVICE...: within 30 s.
healthy() {
    local service tries
    for service in "$@"; do
        for ((tries = 0; ; tries++)); do
            [ "$(docker inspect --format '{{.State.Health.Status}}' "$(container "$service")")" != healthy ] || break
            [ $tries -lt 60 ] || { echo "$service is not healthy" && return 1; }
            sleep 0.5
        done
    done
}

# same_results A B: every file but the records, and there are some.
same_results() {
    local a=$NEPHRITE_DATA/results/$1 b=$NEPHRITE_DATA/results/$2
    [ -s "$a/record.json" ] && [ -s "$b/record.json" ] && [ -s "$a/all.nii.gz" ] && [ "$(find "$a" -type f | wc -l)" -ge 10 ] &&
        diff --recursive --brief --exclude record.json "$a" "$b"
}

nothing_left() {
    local left
    left=$(find "$NEPHRITE_DATA/exchange" -mindepth 1; find "$NEPHRITE_DATA/results" -mindepth 1 -maxdepth 1 -name '.*')
    echo "$left"
    [ -z "$left" ]
}

# dies_in_mid_case SERVICE PIPELINE NAME: kills a container while a model runs. The case must fail soon with an error that
# names the service, and leave nothing.
dies_in_mid_case() {
    local service=$1 output=results/$3 events=$SCRATCH/events waiting
    : >"$events"
    client run --json --pipeline "pipelines/$2" "${DEMO[@]}" --output "$output" >>"$events" 2>&1 &
    local case_pid=$!
    for ((waiting = 0; waiting < 100; waiting++)); do
        ! grep -q tiles_done "$events" || break
        sleep 0.2
    done
    if ! grep -q tiles_done "$events" || ! docker kill "$(container "$service")"; then cat "$events" && return 1; fi
    for ((waiting = 0; waiting < 300; waiting++)); do
        kill -0 $case_pid 2>/dev/null || break
        sleep 0.2
    done
    if kill $case_pid 2>/dev/null; then echo "the case hangs" && return 1; fi
    if wait $case_pid; then echo "the case went on without $service" && cat "$events" && return 1; fi
    tail -3 "$events"
    tail -3 "$events" | grep -q "UNAVAILABLE (unavailable): .*$service" || { echo "expected UNAVAILABLE and $service" && return 1; }
    [ ! -e "$NEPHRITE_DATA/$output" ] || { echo "$output was left" && return 1; }
    nothing_left
}

recovers() {
    docker start "$(container "$1")" && healthy "$1" &&
        client run --pipeline pipelines/demo.toml "${DEMO[@]}" --output "results/$2" && same_results monolith "$2" && nothing_left
}

# --- helpers for jobs

# submit NAME: hands in a case of some length, and prints the id of its job.
submit() { client submit --pipeline pipelines/longer.toml "${DEMO[@]}" --output "results/$1"; }
# of_job ID FIELD: what the job says of itself.
of_job() { client jobs show "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$2"; }

# submitted_and_watched NAME: the same again is the same job.
submitted_and_watched() {
    local id
    id=$(submit "$1") && client jobs watch "$id" && [ "$(submit "$1")" = "$id" ] &&
        client jobs list --state succeeded | grep "$id.*results/$1" && [ -s "$NEPHRITE_DATA/results/$1/all.nii.gz" ]
}

# job_survives NAME TRIES COMMAND [ARGUMENT...]: hands in the same case, and runs COMMAND … WORKER while a model runs there.
# The job must end well, after so many tries or more, with the bytes of an undisturbed one, for one who watched all the time.
job_survives() {
    local name=$1 tries=$2 events=$SCRATCH/events id watching waiting worker
    id=$(submit "$name") || return 1
    : >"$events"
    client jobs watch --json "$id" >>"$events" 2>&1 &
    watching=$!
    for ((waiting = 0; waiting < 300; waiting++)); do
        ! grep -q tiles_done "$events" || break
        sleep 0.2
    done
    worker=$(sed -nE 's|.*"worker": "([^/"]+)/.*|\1|p' "$events" | head -1)
    if ! grep -q tiles_done "$events" || ! "${@:3}" "$worker"; then
        kill $watching
        cat "$events" && return 1
    fi
    for ((waiting = 0; waiting < 1500; waiting++)); do
        kill -0 $watching 2>/dev/null || break
        sleep 0.2
    done
    if kill $watching 2>/dev/null; then echo "the job hangs" && tail -3 "$events" && client jobs show "$id" && return 1; fi
    if ! wait $watching; then tail -3 "$events" && return 1; fi
    [ "$(of_job "$id" executions)" -ge "$tries" ] || { echo "expected $tries tries" && client jobs show "$id" && return 1; }
    same_results longer "$name" && nothing_left
}

dies() { docker kill "$(container "$1")"; }
# dies_and_comes_back SERVICE [SECONDS]
dies_and_comes_back() {
    local id
    id=$(container "$1")
    docker kill "$id" && sleep "${2:-0}" && docker start "$id" && healthy "$1"
}
core_comes_back() { dies_and_comes_back core; }

# --- NVIDIA cards, as far as this machine can tell

check "monolith on cards: one container has one" on_cards monolith gpu.yml core
check "hybrid on cards: one container has one" on_cards hybrid gpu-hybrid.yml core
check "microservices on cards: the cores that own models have one" on_cards microservices gpu-microservices.yml kidney-core vessel-core ureter-core
check "cluster on cards: the workers have one" on_cards cluster gpu-cluster.yml worker-1 worker-2

# --- the modes

check "monolith: up, and the demo case from a client container" up monolith monolith || exit 1
# Eight times the tiles, so that there is time to kill a core.
sed '/no_mirroring/d' compose/pipelines/demo.toml >"$NEPHRITE_DATA/pipelines/slow.toml"
# The same for one model of three.
sed '0,/no_mirroring/{/no_mirroring/d}' compose/pipelines/demo.toml >"$NEPHRITE_DATA/pipelines/longer.toml"
confined() {
    local core
    core=$(container core)
    [ "$(docker inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$core")" = "$NEPHRITE_UID:$NEPHRITE_GID true [ALL]" ] &&
        [ "$(docker inspect --format '{{.HostConfig.Memory}}' "$core")" -gt 0 ] &&
        ! find "$NEPHRITE_DATA/results/monolith" ! -uid "$NEPHRITE_UID" | grep .
}
check "the core runs as a user without rights, on a read-only file system, within its memory" confined
# says PATTERN ARGUMENT...: the client's answer holds it.
says() {
    client "${@:2}" >"$SCRATCH/said" 2>&1
    cat "$SCRATCH/said"
    grep -q "$1" "$SCRATCH/said"
}
as_grpcurl() {
    says nephrite.v1.CaseService services && says '"SERVING"' call grpc.health.v1.Health/Check &&
        says memory_bytes estimate --pipeline pipelines/demo.toml "${DEMO[@]}"
}
check "monolith: services, health and estimate through reflection" as_grpcurl
# Lines for grpcurl that people copy, called through reflection as grpcurl does. Those of the book are for another
# folder: the server must know the method and all fields, and may not find the files.
grpcurl_lines() {
    local method request said
    python3 tests/containers/grpcurl_lines.py "$1" >"$SCRATCH/lines" && [ -s "$SCRATCH/lines" ] || return 1
    while IFS=$'\t' read -r method request; do
        if ! said=$(client call "$method" "$request" </dev/null 2>&1) && ! grep -qE "$2" <<<"$said"; then
            echo "$method $request: $said" && return 1
        fi
    done <"$SCRATCH/lines"
}
check "the lines for grpcurl in compose/README.md" grpcurl_lines compose/README.md '^no error is right$'
check "the lines for grpcurl in docs/src/serving.md" grpcurl_lines docs/src/serving.md '^(NOT_FOUND|FAILED_PRECONDITION|PERMISSION_DENIED) \([a-z_]+\): '
check "a result folder that is there is refused" says 'ALREADY_EXISTS (already_exists): .*exists already.*results/monolith' run --pipeline pipelines/demo.toml \
    "${DEMO[@]}" --output results/monolith

check "the lines for grpcurl in docs/src/jobs.md" grpcurl_lines docs/src/jobs.md '^(NOT_FOUND|ALREADY_EXISTS) \([a-z_]+\): '
check "monolith: a job that is submitted and watched" submitted_and_watched longer
check "monolith: a job outlives the core that runs it" job_survives core-crashed 2 core_comes_back
check "monolith: jobs are there after a crash" says 'succeeded .*results/longer ' jobs list --state succeeded

# The volume is not mounted in the client's container: the voxels that it counts came in the message.
check "a client without the volume gets a finished mask" says '^ .*renal_artery .*present .* mL$' mask --output results/monolith --step all

check "hybrid: up, and the demo case" up hybrid hybrid
check "hybrid gives the same bytes as monolith" same_results monolith hybrid
check "hybrid left nothing in the exchange folder" nothing_left
check "hybrid: a mask service that dies in mid-case is named" dies_in_mid_case merge demo.toml dead-merge
check "hybrid: it comes back, and the next case gives the same bytes" recovers merge after-merge

check "microservices: up, and the demo case" up microservices microservices
check "microservices give the same bytes as monolith" same_results monolith microservices
check "microservices: a core that dies in mid-case is named" dies_in_mid_case kidney-core slow.toml dead-core
check "microservices: it comes back, and the next case gives the same bytes" recovers kidney-core after-core
crashed() {
    local id pid
    id=$(container ureter-core) pid=$(docker inspect --format '{{.State.Pid}}' "$id")
    kill -9 "$pid" && sleep 1 && healthy ureter-core && [ "$(docker inspect --format '{{.RestartCount}}' "$id")" -ge 1 ]
}
[ -z "$ENGINE_PID" ] || check "a core that crashes is started again" crashed

# --- jobs of several workers

# Leases that run out soon, so that the tests need not wait for it.
short_lease() {
    local config
    compose/prepare.sh && mkdir -p "$NEPHRITE_STATE/short" || return 1
    for config in cluster worker; do
        sed 's/^engine = "nats"/&\nlease_seconds = 6/' "$NEPHRITE_STATE/cluster/$config.toml" >"$NEPHRITE_STATE/short/$config.toml" || return 1
    done
    chmod 644 "$NEPHRITE_STATE"/short/*
}
cluster_up() { short_lease && up cluster cluster "$PWD/tests/containers/short_lease.yml" && healthy nats core worker-1 worker-2; }
# The client's network is that of mask services and plugins.
nats_is_out_of_reach() {
    in_mode run --rm -T --entrypoint /venv/bin/python client -c 'import socket; socket.create_connection(("core", 7443), 5)' &&
        ! in_mode run --rm -T --entrypoint /venv/bin/python client -c 'import socket; socket.create_connection(("nats", 4222), 5)'
}
MODE=cluster OVERRIDES=("$PWD/tests/containers/short_lease.yml")
if check "cluster: up, all healthy, and the demo case" cluster_up; then
    check "the cluster gives the same bytes as monolith" same_results monolith cluster
    check "the cluster left nothing in the exchange folder" nothing_left
    check "cluster: both workers are known" says 'worker-2/' call nephrite.v1.JobService/ListWorkers
    check "cluster: a client cannot reach NATS" nats_is_out_of_reach
    check "cluster: a worker dies in mid-job, and the other one does the job" job_survives worker-died 2 dies
    in_mode start worker-1 worker-2 >/dev/null 2>&1
    check "cluster: jobs are there after all that" says 'succeeded .*results/worker-died ' jobs list --state succeeded
fi

# --- plugin

wait $PLUGIN_IMAGE
check "image of the plugin" has_image centreline
check "hybrid and the Python plugin: up, and the demo case with its step" up hybrid plugin compose/plugin.yml
plugin_ran() {
    local results=$NEPHRITE_DATA/results
    [ -s "$results/plugin/lines.nii.gz" ] && grep -q '^ureter,[0-9]' "$results/plugin/lines/lengths.csv" && cmp "$results/monolith/all.nii.gz" "$results/plugin/all.nii.gz" &&
        grep -o 'http://centreline:7445' "$results/plugin/record.json" | head -1
}
check "the plugin's mask and table are there, and the record names its place" plugin_ran

# --- a PACS

wait $ORTHANC_IMAGE
check "image of Orthanc" has_image orthanc
PACS=http://127.0.0.1:$ORTHANC_PORT/dicom-web LOGIN=$NEPHRITE_STATE/pacs/courier.basic
check "monolith and Orthanc: up, series stored and pulled, the demo case run, its objects stored" up monolith pacs compose/orthanc.yml
# Three series of CT, and one object of each kind, all of one study; each object has the bytes of the file in the results.
pacs_holds() {
    local modality instances series study
    python3 tests/containers/qido.py "$PACS" "$LOGIN" >"$SCRATCH/series" && cat "$SCRATCH/series" || return 1
    diff <(cut -d ' ' -f 1,2 "$SCRATCH/series") <(printf '%s\n' 'CT 96' 'CT 96' 'CT 96' 'RTSTRUCT 1' 'SEG 1' 'SR 1') || return 1
    study=$(cut -d ' ' -f 4 "$SCRATCH/series" | uniq)
    [ "$(wc -l <<<"$study")" -eq 1 ] || return 1
    in_mode run --rm -T courier pull --dicomweb pacs --config /etc/nephrite/nephrite.toml --study "$study" --to pulled/again || return 1
    grep -v '^CT ' "$SCRATCH/series" | while read -r modality instances series study; do
        cmp "$NEPHRITE_DATA/pulled/again/$series"/*.dcm "$NEPHRITE_DATA/results/pacs/all.${modality,,}.dcm" || return 1
    done
}
check "Orthanc: QIDO finds the series and the objects of the case, and they come back byte by byte" pacs_holds
pacs_is_locked() {
    ! python3 tests/containers/qido.py "$PACS" >"$LOG.qido" 2>&1 && grep 'HTTP Error 401' "$LOG.qido" &&
        ! in_mode run --rm -T --entrypoint /venv/bin/python client -c 'import socket; socket.create_connection(("orthanc", 8042), 5)' &&
        ! grep -rn "$(cut -d : -f 2 "$LOGIN")" compose
}
check "Orthanc asks for a password, which is in no file here, and clients do not reach it" pacs_is_locked

# --- a volume that lies elsewhere on one side

elsewhere() {
    mkdir -p "$NEPHRITE_DATA-elsewhere" && chmod 777 "$NEPHRITE_DATA-elsewhere"
    if timeout 120 compose/up.sh hybrid "$PWD/tests/containers/elsewhere.yml"; then return 1; fi
    in_mode logs core >"$SCRATCH/said" 2>&1
    cat "$SCRATCH/said"
    grep -q 'merge (http:.*mount the shared volume at the same path' "$SCRATCH/said"
}
MODE=hybrid OVERRIDES=(tests/containers/elsewhere.yml)
check "a mask service that sees another volume is found at start-up" elsewhere

printf '%d container checks passed, %d failed, %d s\n' $N_PASSED $N_FAILED $((SECONDS - STARTED))
[ $N_FAILED -eq 0 ]
