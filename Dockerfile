# A registry in a container: docker compose up --build
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked -p seawall && \
    strip --output-file=/seawall target/dist/seawall

FROM debian:bookworm-slim
RUN useradd --system --home-dir /data --uid 10001 seawall && install -d -o seawall /data
COPY --from=build /seawall /usr/local/bin/seawall
USER seawall
VOLUME /data
EXPOSE 7440
ENTRYPOINT ["seawall"]
# Listening wider than loopback needs tokens; the file must be readable by uid 10001 alone.
CMD ["serve", "/data", "--listen", "0.0.0.0:7440", "--token-file", "/run/secrets/tokens"]
