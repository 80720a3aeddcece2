# Every version that dev/ pins and that no lock file holds. Rust crates: Cargo.lock. Go modules: dev/tools/go.sum.
# shellcheck shell=bash disable=SC2034
KUBERNETES_VERSION=1.35.4
ZOOKEEPER_VERSIONS="3.9.5 3.9.4 3.8.5"
ZOOKEEPER_VERSION=3.9.5 # the one that examples and most tests run
DEBIAN_SUITE=bookworm
