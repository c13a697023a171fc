# One static binary and nothing else: no shell, no package manager, no library to patch. docs/container.md says how it is run.
# No `RUN --mount` and no syntax line: docker with and without BuildKit, podman and buildah build it alike.
ARG RUST_IMAGE=rust:1-slim-bookworm

# The dependencies are a layer of their own, which a change in our sources leaves alone.
FROM ${RUST_IMAGE} AS dependencies
WORKDIR /src
# Static. Only with a --target are macros and build scripts, which run here, left out of it.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# as [profile.release] of Cargo.toml has it; LTO=off builds in a fraction of the time
ARG LTO=fat
ARG CODEGEN_UNITS=1
ENV CARGO_PROFILE_RELEASE_LTO=${LTO} CARGO_PROFILE_RELEASE_CODEGEN_UNITS=${CODEGEN_UNITS}
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs \
    && rustc -vV | sed -n 's/^host: //p' >/target \
    && cargo build --locked --release --bin oxherd --target "$(cat /target)"

FROM dependencies AS build
COPY . .
# newer than what was built in their place
RUN touch src/main.rs src/lib.rs && cargo build --locked --release --bin oxherd --target "$(cat /target)"
RUN mkdir -p /image/etc/ssl/certs /image/etc/oxherd /image/usr/local/bin /image/opt/oxherd /image/var/lib /state/oxherd \
    && cp "target/$(cat /target)/release/oxherd" /image/usr/local/bin/ \
    && cp -R deploy/helpers /image/opt/oxherd/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'oxherd:x:10001:10001::/var/lib/oxherd:/' >/image/etc/passwd \
    && echo 'oxherd:x:10001:' >/image/etc/group \
    && printf 'passwd: files\ngroup: files\nhosts: files dns\n' >/image/etc/nsswitch.conf \
    && chmod 700 /state/oxherd

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oxherd" \
    org.opencontainers.image.description="Job-worker daemon for Redis that speaks BullMQ's data layout" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
COPY --from=build --chown=10001:10001 /state/ /var/lib/
# in numbers, for those who ask whether it is root and look up no names
USER 10001:10001
WORKDIR /var/lib/oxherd
ENV PATH=/usr/local/bin OXHERD_CONFIG=/etc/oxherd/oxherd.toml
# Jobs get 25 s to finish and 5 s to be cancelled after TERM; give the container a few more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/oxherd", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/oxherd"]
CMD ["run"]
