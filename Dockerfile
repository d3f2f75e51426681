# The image holds the program, the C library, and the certificates of authorities: no shell, nothing to keep up to date.
# `make docker-test` runs each step without Docker, and the image as Docker would. What it does not know it refuses.
# BuildKit is not needed: Debian 12's Docker builds without it.

FROM node:22-bookworm-slim AS panel
WORKDIR /src
COPY static/package.json static/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY static .
RUN npm run build

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY bench/Cargo.toml bench/
COPY crates/gateway-alloc/Cargo.toml crates/gateway-alloc/
COPY crates/gateway-core/Cargo.toml crates/gateway-core/
COPY tests/harness/Cargo.toml tests/harness/
COPY benches benches
COPY crates/gateway-core/benches crates/gateway-core/benches
# Everything that is depended on, with empty crates in the place of ours: this layer stays until Cargo.lock changes.
RUN mkdir -p src bench/src crates/gateway-alloc/src crates/gateway-core/src tests/harness/src \
    && touch src/lib.rs crates/gateway-alloc/src/lib.rs crates/gateway-core/src/lib.rs tests/harness/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs bench/src/main.rs \
    && cargo build --release --locked -p anyrouter-gateway
COPY build.rs .
COPY crates crates
COPY src src
COPY conf/gateway.yaml conf/anyrouter-gateway.service conf/
COPY docs/openapi.yaml docs/
COPY --from=panel /src/dist static/dist
# Files keep their dates, which may be older than the empty crates are.
RUN touch build.rs crates/gateway-alloc/src/lib.rs crates/gateway-core/src/lib.rs src/lib.rs src/main.rs \
    && cargo build --release --locked -p anyrouter-gateway
COPY conf/gateway.zh-CN.yaml conf/
# The files of the image: ldd names the libraries, and the loader finds them at the same places.
RUN program=target/release/anyrouter-gateway \
    && mkdir -p /image/usr/local/bin /image/app/conf /data \
    && cp $program /image/usr/local/bin/ \
    && cp conf/gateway.yaml conf/gateway.zh-CN.yaml /image/app/conf/ \
    && cp --parents --dereference $(ldd $program | grep -o '/[^ ]*') /etc/ssl/certs/ca-certificates.crt /image/

FROM scratch
COPY --from=build /image /
WORKDIR /app
COPY --from=build --chown=10001:10001 /data data
USER 10001:10001
# Inside a container the loopback address reaches nobody. Publish the ports to 127.0.0.1 unless others shall use them.
ENV LISTEN=0.0.0.0:8088 ADMIN_LISTEN=0.0.0.0:9188 LOG_FORMAT=json
# All that is ever written, SQLite's temporary files too: the root file system may be read-only.
ENV SQLITE_TMPDIR=/app/data
VOLUME ["/app/data"]
EXPOSE 8088 9188
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["anyrouter-gateway", "healthcheck"]
# SIGTERM drains (gateway.drain.stop, 10 s): docker stop --time 15
STOPSIGNAL SIGTERM
ENTRYPOINT ["anyrouter-gateway"]
CMD ["-c", "conf/gateway.yaml"]
