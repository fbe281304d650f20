# The demo's scans and models, for containers to try: one program that writes them. Not a part of any mode, and what it
# writes is in no other image. Build in the root of the workspace:
#
#   docker build -f compose/demo-data.Dockerfile -t nephrite/demo-data .
#
# PREBUILT names a binary below build/prebuilt that was compiled outside; nothing is compiled then.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG BASE_IMAGE=debian:trixie-slim

FROM ${RUST_IMAGE} AS binary
ARG PREBUILT=
WORKDIR /workspace
COPY . .
RUN mkdir /image && \
    if [ -n "${PREBUILT}" ]; then cp "${PREBUILT}" /image/write_patient; else \
    cargo build --profile slim --locked -p nephrite-demo --example write_patient && \
    mv target/slim/examples/write_patient /image/ && rm -rf target; fi

FROM ${BASE_IMAGE}
COPY --from=binary /image/write_patient /write_patient
USER 65532:65532
ENTRYPOINT ["/write_patient"]
