# Shared by the scripts in dev/: where things are, and how a step reports itself. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=dev/versions.sh
source "$ROOT/dev/versions.sh"

# Built things that survive a `dev/cluster down` and are shared by clones: binaries, image archives.
CACHE=${MENAGERIE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/menagerie}
# A cluster's own state; `dev/cluster down` removes it.
STATE=${MENAGERIE_STATE:-/var/lib/menagerie-dev}
# Built binaries: kube-apiserver, kubelet, kubectl, helm, …
BIN=$CACHE/bin
LOGS=$STATE/logs
# Set to 1 to use the current kubectl context instead of the cluster that dev/ starts.
OWN_CONTEXT=${MENAGERIE_USE_CONTEXT:-0}
# Compiled crates, shared by clones: a fresh one compiles only this crate.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
if [ "$OWN_CONTEXT" != 1 ]; then export KUBECONFIG=$STATE/kubeconfig; fi
export PATH=$BIN:$PATH

say() { printf '%s\n' "$*"; }
fail() { # fail MESSAGE [WHAT TO DO]
  printf 'error: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '  what to do: %s\n' "$2" >&2
  exit 1
}
need() { command -v "$1" >/dev/null 2>&1 || fail "'$1' is missing" "$2"; }
need_root() { [ "$(id -u)" = 0 ] || fail "this needs root (network namespaces, mounts, cgroups)" "run it as root"; }

# apt_need PACKAGE… — installs those Debian packages that are missing.
apt_need() {
  local missing=() p
  for p in "$@"; do
    [ "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return 0
  [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -mtime -7 2>/dev/null | head -1)" ] || apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# step NAME COMMAND… — runs it with its output in a log, prints the name and the time taken; on failure the log's
# last lines and where the rest is. $STEP_HINT, when set, says what to do about a failure.
step() {
  local name=$1 start log rc
  shift
  mkdir -p "$LOGS"
  log=$LOGS/$(printf '%s' "$name" | tr -cs 'A-Za-z0-9.\n' '-').log
  start=$(date +%s.%N)
  printf '  %-44s' "$name"
  # Not `( … ) || rc=$?`: bash switches -e off in everything that stands left of ||.
  set +e
  ( set -euo pipefail; "$@" ) >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  printf '%6.1f s%s\n' "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN{print b-a}')" "$([ $rc = 0 ] || echo '  FAILED')"
  [ $rc = 0 ] && return 0
  { printf -- '--- the last lines of %s\n' "$log"; tail -n 25 "$log" | sed 's/^/    /'
    [ -z "${STEP_HINT:-}" ] || printf '  what to do: %s\n' "$STEP_HINT"; } >&2
  return $rc
}
