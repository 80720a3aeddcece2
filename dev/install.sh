# Brings the operator of this checkout onto the cluster. Sourced by dev/up, dev/test and dev/bench.
# shellcheck shell=bash

OPERATOR_IMAGE=docker.io/menagerie/operator:dev
# `dev/crash` runs operators of its own, outside the cluster: their ensembles are not this one's.
NOT_OURS='!menagerie.dev/by'

install_operator() {
  if [ "$OWN_CONTEXT" = 1 ]; then
    say "using the kubectl context $(kubectl config current-context): load $OPERATOR_IMAGE and zookeeper:$ZOOKEEPER_VERSION yourself"
  else
    "$ROOT/dev/cluster" up
    "$ROOT/dev/images" all
    local version archives=("$CACHE/images/operator-dev.tar")
    for version in $ZOOKEEPER_VERSIONS; do archives+=("$CACHE/images/zookeeper-$version.tar"); done
    "$ROOT/dev/cluster" load "${archives[@]}"
  fi
  step "helm upgrade --install menagerie" helm_install
}

# The image keeps its name from build to build: the archive's digest makes the Deployment start the new one.
helm_install() {
  local digest
  digest=$(sha256sum "$CACHE/images/operator-dev.tar" 2>/dev/null | cut -c1-12)
  kubectl create namespace menagerie-system --dry-run=client -o yaml | kubectl apply -f -
  kubectl label --overwrite namespace menagerie-system pod-security.kubernetes.io/enforce=restricted
  helm upgrade --install menagerie "$ROOT/charts/menagerie" --namespace menagerie-system \
    --set image.repository="${OPERATOR_IMAGE%:*}" --set image.tag="${OPERATOR_IMAGE##*:}" --set image.pullPolicy=IfNotPresent \
    --set-string "watch.selector=$NOT_OURS" \
    --set-string podAnnotations.image-digest="${digest:-unknown}" --wait --timeout 120s
}
