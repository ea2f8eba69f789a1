# docker build -t apportion:0.1.0 .
ARG RUST=1.95.0

FROM rust:${RUST}-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin apportion && cp target/release/apportion /apportion

# glibc without a shell or a package manager. The same Debian as above, so the same glibc.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /apportion /usr/local/bin/apportion
USER 65532:65532
EXPOSE 8443 8444 8080
ENTRYPOINT ["/usr/local/bin/apportion"]
