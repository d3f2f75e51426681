# syntax=docker/dockerfile:1

FROM node:22-bookworm-slim AS panel
WORKDIR /src
COPY . .
RUN if [ -f static/package.json ]; then cd static && npm ci && npm run build; else mkdir -p static/dist; fi

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=panel /src/static/dist static/dist
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
COPY conf/gateway.yaml conf/gateway.yaml
USER gateway
# Inside a container the loopback address reaches nobody. Publish the ports to 127.0.0.1 unless others shall use them.
ENV LISTEN=0.0.0.0:8088 ADMIN_LISTEN=0.0.0.0:9188 LOG_FORMAT=json
EXPOSE 8088 9188
# All that is ever written: the root file system may be read-only.
VOLUME ["/app/data"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["anyrouter-gateway", "healthcheck"]
# SIGTERM drains (gateway.drain.stop, 10 s): docker stop --time 15
STOPSIGNAL SIGTERM
ENTRYPOINT ["anyrouter-gateway"]
CMD ["-c", "conf/gateway.yaml"]
