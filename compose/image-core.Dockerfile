# The image core: `nephrite` and ONNX Runtime on a slim base, no Python. Build in the root of the workspace:
#
#   docker build -f compose/image-core.Dockerfile -t nephrite/image-core .
#
# FLAVOR=cuda takes the CUDA build of ONNX Runtime, for exported networks. For NVIDIA cards BASE_IMAGE must bring cuDNN 9 and NVRTC 13,
# and for exported networks CUDA 13 (images.sh, gpu*.yml).
# PREBUILT names a binary below build/prebuilt that was compiled outside; nothing is compiled then.
# The three images can be replaced, by ones that know a proxy's certificate for instance.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG PYTHON_IMAGE=python:3.13-slim
ARG BASE_IMAGE=debian:trixie-slim

FROM ${RUST_IMAGE} AS binary
ARG PREBUILT=
WORKDIR /workspace
COPY . .
RUN mkdir /image && \
    if [ -n "${PREBUILT}" ]; then cp "${PREBUILT}" /image/nephrite; else \
    { command -v make >/dev/null || { apt-get update -qq && apt-get install -qq --no-install-recommends make; }; } && \
    cargo build --profile slim --locked -p nephrite-image-core && mv target/slim/nephrite /image/ && rm -rf target; fi

# The pinned wheel, its hash checked; only its shared libraries and licenses are kept.
FROM ${PYTHON_IMAGE} AS onnxruntime
ARG FLAVOR=cpu
COPY image-core/pinned_wheel.py /fetch/
COPY image-core/engine/onnxruntime /fetch/engine/onnxruntime
RUN python3 /fetch/engine/onnxruntime/fetch.py --flavor "${FLAVOR}" --out /fetched && mv "/fetched/${FLAVOR}" /image

FROM ${BASE_IMAGE}
# The library is looked for beside the program.
COPY --from=onnxruntime /image/ /opt/nephrite/
COPY --from=binary /image/nephrite /opt/nephrite/nephrite
USER 65532:65532
EXPOSE 7443
ENTRYPOINT ["/opt/nephrite/nephrite"]
CMD ["serve", "--config", "/etc/nephrite/nephrite.toml"]
