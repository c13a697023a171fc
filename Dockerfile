FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin oxherd \
    && cp target/release/oxherd /usr/local/bin/oxherd

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/oxherd --create-home oxherd
COPY --from=build /usr/local/bin/oxherd /usr/local/bin/oxherd
# for images that are made of this one, or copy them out of it
COPY deploy/helpers /opt/oxherd/helpers
USER oxherd
WORKDIR /var/lib/oxherd
ENV OXHERD_CONFIG=/etc/oxherd/oxherd.toml
# Jobs get 25 s to finish and 5 s to be cancelled after TERM; give the container a few more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["oxherd", "healthcheck"]
ENTRYPOINT ["oxherd"]
CMD ["run"]
