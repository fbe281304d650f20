# Orthanc with its DICOMweb plugin, of Debian's packages. Build in this folder:
#
#   docker build -f orthanc.Dockerfile -t nephrite/orthanc .
#
# Its configuration is every JSON file in /etc/pacs.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE}
RUN apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends orthanc orthanc-dicomweb >/dev/null && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER 65532:65532
EXPOSE 8042 4242
ENTRYPOINT ["/usr/sbin/Orthanc"]
CMD ["/etc/pacs"]
