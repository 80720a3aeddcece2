# Measures the archive without Kubernetes: tests/bench/archive.
# shellcheck shell=bash

bench_archive() { # bench_archive archive PART…
  local part
  for part in "${@:2}"; do
    case $part in
      retention | rolled | ship | restore) ;;
      *) usage >&2; exit 2 ;;
    esac
  done
  [ -x "$BIN/versitygw" ] || "$ROOT/dev/cluster" build
  step "Java and ZooKeeper's jars" "$ROOT/dev/files" servers 3.9.5
  MENAGERIE_SERVERS=$("$ROOT/dev/files" servers 3.9.5)
  MENAGERIE_CLASSPATH=$("$ROOT/dev/files" classpath)
  export MENAGERIE_SERVERS MENAGERIE_CLASSPATH MENAGERIE_STORES=$BIN RUNS=${RUNS:-3}
  step "compile, release" cargo test --locked --release --no-run --test bench
  say "load of the machine before: $(cut -d' ' -f1-3 /proc/loadavg)"
  # Whatever hangs, it ends.
  timeout 1500 cargo test --locked --release --quiet --test bench -- "$@"
  say "load of the machine after: $(cut -d' ' -f1-3 /proc/loadavg)"
}
