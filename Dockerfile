# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches survive between builds, so a change of the code does not compile Pingora again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p anyrouter-gateway \
    && install -D target/release/anyrouter-gateway /out/anyrouter-gateway

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /app --no-create-home gateway \
    && install -d -o gateway -g gateway /app /app/data
WORKDIR /app
COPY --from=build /out/anyrouter-gateway /usr/local/bin/anyrouter-gateway
COPY conf conf
USER gateway
# Inside a container the loopback address reaches nobody. Publish the ports to 127.0.0.1 unless others shall use them.
ENV LISTEN=0.0.0.0:8088 ADMIN_LISTEN=0.0.0.0:9188
EXPOSE 8088 9188
VOLUME ["/app/data"]
# Pingora hands its sockets over on SIGQUIT and drains on SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["anyrouter-gateway"]
CMD ["-c", "conf/gateway.yaml"]
