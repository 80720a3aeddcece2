#!/usr/bin/env bash
# Tests dev/cluster itself on a second cluster, in a network namespace, state directory and cgroup of its own: a cluster that
# runs meanwhile is not touched.
[ -n "${MENAGERIE_CLUSTER_TEST:-}" ] || exec env MENAGERIE_CLUSTER_TEST=1 MENAGERIE_USE_CONTEXT=0 MENAGERIE_STATE=/var/lib/menagerie-test \
  MENAGERIE_CGROUP=menagerie-test unshare --net bash "$0" "$@"
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/dev/cluster.d/process.sh"
CLUSTER=$ROOT/dev/cluster
passed=0 failed=0
work=$(mktemp -d)
trap '"$CLUSTER" down >/dev/null; rm -rf "$work"' EXIT

check() { # check WHAT COMMAND…
  local what=$1 start=$SECONDS
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1)); printf 'ok    %-60s %4d s\n' "$what" $((SECONDS - start))
  else
    failed=$((failed + 1)); printf 'FAIL  %s\n' "$what"; tail -n 25 "$work/out" | sed 's/^/    /'
  fi
}
not() { ! "$@"; }
says() { # says TEXT COMMAND…
  local text=$1
  shift
  # Not straight into grep, which would end at the first match, and by SIGPIPE whatever still writes.
  "$@" 2>&1 | tee "$work/said"
  grep -qF -- "$text" "$work/said"
}
eventually() { local end=$((SECONDS + $1)); shift; until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.5; done; }
in_web() { kubectl -n t exec web-0 -- sh -c "$1"; }
node_of() { kubectl -n t get pod "$1" -o jsonpath='{.spec.nodeName}' | sed 's/menagerie-//'; }
pod_ip() { kubectl -n t get pod "$1" -o jsonpath='{.status.podIP}'; }
pods_run() { kubectl -n t rollout status statefulset web --timeout 90s; }
workload() { sed "s|@IMAGE@|localhost/menagerie-cluster:dev|" "$ROOT/dev/cluster.d/test.yaml" | kubectl apply -f -; }
kill_everything() {
  # shellcheck disable=SC2046
  kill -9 $(cgroup_pids)
  eventually 10 all_are_dead
}
all_are_dead() { [ -z "$(cgroup_pids)" ]; }
is_ready() { kubectl get node "menagerie-$1" | grep -q ' Ready'; }
unprivileged() { kubectl -n t run root --image localhost/menagerie-cluster:dev -- id; }
leaves_the_machine() { kubectl -n kube-system exec deployment/local-path-provisioner -- nc -w 3 192.0.2.1 80; }
audited() { jq -r 'select(.verb == "create" and .user.username == "admin").objectRef.resource' "$LOGS/audit.log" | grep -x statefulsets; }

"$CLUSTER" down >/dev/null
check "nothing is there at first" "$CLUSTER" leftovers
check "status says so" not "$CLUSTER" status
check "up" "$CLUSTER" up
check "status" "$CLUSTER" status
check "a second up has nothing to do" says "already running" "$CLUSTER" up
check "a restricted StatefulSet with volumes, one pod a zone" workload
check "its pods run" pods_run
check "Pod Security refuses an unrestricted pod" says 'violates PodSecurity "restricted:latest"' not unprivileged
# A Service is there once kube-proxy has heard of its endpoints, on the pod's node and on the gateway: up to a second after the
# pods are ready, and refused until then.
check "a pod finds a Service by name" eventually 20 in_web 'wget -qO- http://web'
check "a pod finds another pod by name" eventually 20 in_web 'wget -qO- http://web-2.pods:8080'
check "the host reaches a pod" curl -fsSm 3 "http://$(pod_ip web-1):8080/"
check "the host reaches a Service" eventually 20 curl -fsSm 3 "http://$(kubectl -n t get service web -o jsonpath='{.spec.clusterIP}')/"
check "nothing gets out" not leaves_the_machine
check "writes are in the audit log" eventually 5 audited
check "the image is there already" says "localhost/menagerie-cluster:dev" "$CLUSTER" load "$CACHE/images/cluster.tar"
check "DNS answers live longer" "$CLUSTER" dns 30
n=$(node_of web-1)
check "cut a node" "$CLUSTER" cut "$n"
check "the host does not reach its pods" not curl -fsSm 2 "http://$(pod_ip web-1):8080/"
check "it is lost" eventually 40 not is_ready "$n"
check "heal it" "$CLUSTER" heal "$n"
check "it is back" eventually 20 is_ready "$n"
check "so is its pod" eventually 20 curl -fsSm 3 "http://$(pod_ip web-1):8080/"
check "switch a node off" "$CLUSTER" off "$(node_of web-0)"
check "status reports it" not "$CLUSTER" status
check "up switches it on" "$CLUSTER" up
check "its pods run again" pods_run
# For a moment a StatefulSet's status is that of the containers before; an exec is not.
check "they write to their volumes" eventually 30 in_web 'echo kept >/data/mark'
check "kill -9 of everything" kill_everything
check "up after it" "$CLUSTER" up
check "the pods run again" pods_run
check "on the same volumes" eventually 30 says kept in_web 'cat /data/mark'
check "kill -9 of everything, as before a reboot" kill_everything
ip link del menagerie0
echo another >"$STATE/boot-id"
check "up after a reboot" says "what a reboot left" "$CLUSTER" up
check "it starts afresh" not kubectl get namespace t
check "down" "$CLUSTER" down
check "nothing is left" "$CLUSTER" leftovers
printf '%d passed, %d failed\n' "$passed" "$failed"
[ $failed = 0 ]
