# The image of a registry, which docker-compose.yml and deploy/kubernetes run.
#
# One registry with its data in a volume, on this machine:
#
#   docker build --tag seawall .
#   install -m 600 /dev/null tokens && echo "me publisher $(openssl rand -hex 32)" >>tokens
#   sudo chown 10001 tokens
#   docker run --detach --publish 127.0.0.1:7440:7440 --volume seawall:/data \
#     --volume "$PWD/tokens:/run/secrets/tokens:ro" seawall
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked -p seawall && \
    strip --output-file=/seawall target/dist/seawall

FROM debian:bookworm-slim
# Certificate authorities, for stores and databases behind TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN useradd --system --home-dir /data --uid 10001 seawall && \
    install --directory --owner=seawall --mode=700 /data
COPY --from=build /seawall /usr/local/bin/seawall
USER 10001
VOLUME /data
EXPOSE 7440
STOPSIGNAL SIGTERM
ENTRYPOINT ["seawall"]
# Listening wider than loopback needs tokens; the file must be readable by uid 10001 alone.
CMD ["serve", "/data", "--listen", "0.0.0.0:7440", "--token-file", "/run/secrets/tokens"]
