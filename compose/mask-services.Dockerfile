# The mask services: one static binary and nothing else. Build in the root of the workspace:
#
#   docker build -f compose/mask-services.Dockerfile -t nephrite/mask-services .
#
# PREBUILT names a binary below build/prebuilt that was compiled outside; nothing is compiled then.
ARG RUST_IMAGE=rust:1.95-slim-trixie

FROM ${RUST_IMAGE} AS binary
ARG PREBUILT=
ARG TARGET=x86_64-unknown-linux-musl
WORKDIR /workspace
COPY . .
RUN mkdir /image && \
    if [ -n "${PREBUILT}" ]; then cp "${PREBUILT}" /image/mask-services; else \
    { test -d "$(rustc --print sysroot)/lib/rustlib/${TARGET}" || rustup target add "${TARGET}"; } && \
    cargo build --profile slim --locked --target "${TARGET}" -p nephrite-mask-services && \
    mv "target/${TARGET}/slim/mask-services" /image/ && rm -rf target; fi

FROM scratch
COPY --from=binary /image/mask-services /mask-services
USER 65532:65532
EXPOSE 7444
ENTRYPOINT ["/mask-services"]
CMD ["--config", "/etc/nephrite/mask-services.toml"]
