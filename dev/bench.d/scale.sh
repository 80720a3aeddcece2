#!/usr/bin/env bash
# A control plane without nodes, in a network namespace of its own, for ensembles by the thousand (tests/bench/scale.rs).
# What a scheduler, kubelets and agents would do, the benchmark says itself: only the operator is measured.
[ -n "${MENAGERIE_SCALE:-}" ] || exec env MENAGERIE_SCALE=1 MENAGERIE_USE_CONTEXT=0 MENAGERIE_STATE=/var/lib/menagerie-scale \
  MENAGERIE_CGROUP=menagerie-scale unshare --net bash "$0" "$@"
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
for part in build process network control nodes images addons clean; do
  # shellcheck source=/dev/null
  source "$ROOT/dev/cluster.d/$part.sh"
done
# shellcheck disable=SC2034 # read by the parts above
NODES="" AUDIT_MIB=2000

# Writes alone, all in one file: the reads of a thousand ensembles would rotate it away.
audit_policy() {
  cat <<'END'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- { level: Metadata, verbs: [create, update, patch, delete, deletecollection] }
- { level: None }
END
}

# Only what an ensemble needs; at twenty writes a second, as shipped, a thousand would take an hour to come into being.
controllers() {
  start host kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$PKI/admin.kubeconfig" \
    --controllers statefulset-controller,disruption-controller,serviceaccount-controller --kube-api-qps 2000 --kube-api-burst 4000 \
    --concurrent-statefulset-syncs 16 --bind-address 127.0.0.1 --leader-elect=false
}

operators_account() {
  cd "$PKI"
  client operator /O=system:serviceaccounts/CN=system:serviceaccount:menagerie-system:menagerie
  kubectl create namespace menagerie-system
  kubectl apply --server-side -f "$ROOT/crds/menagerie.dev.yaml"
  kubectl apply --server-side -f "$ROOT/deploy/menagerie.yaml"
  kubectl wait --for=condition=Established --timeout=60s -f "$ROOT/crds/menagerie.dev.yaml"
}

need_root
mkdir -p "$STATE" "$LOGS"
trap 'remove_all; remove_state' EXIT
remove_all
step "network" bridge_up
# Pods' addresses are this machine's own: behind all of them is one program.
ip route add local 198.18.64.0/18 dev lo
step "certificates" certificates
step "etcd" etcd_up
step "API server" api_server_up
step "controller manager" controllers
step "the operator's account" operators_account
export OPERATOR=$CARGO_TARGET_DIR/release/menagerie OPERATOR_KUBECONFIG=$PKI/operator.kubeconfig
cd "$ROOT"
timeout 3600 cargo test --locked --quiet --test bench -- scale
