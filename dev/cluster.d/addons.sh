# What the cluster needs besides Kubernetes itself: DNS and volumes.
# shellcheck shell=bash

# The tests' TTL. A cluster as users have it answers with 30 s.
DNS_TTL=2

addons_up() {
  local paths="" n
  for n in $NODES; do paths+="${paths:+, }{\"node\": \"$(node_name "$n")\", \"paths\": [\"$STATE/$n/volumes\"]}"; done
  kubectl -n kube-system get configmap coredns || dns_config $DNS_TTL
  sed -e "s|@IMAGE@|$CLUSTER_IMAGE|; s|@DNS_IP@|$DNS_IP|; s|@PATHS@|$paths|" "$ROOT/dev/cluster.d/addons.yaml" | kubectl apply -f -
}

dns_config() { # dns_config TTL
  # cache's third number: without it every answer is kept for at least 5 s.
  # The second zone: names outside the cluster do not exist, and say so at once.
  kubectl -n kube-system create configmap coredns --dry-run=client -o yaml --from-file=Corefile=/dev/stdin <<EOF | kubectl apply -f -
cluster.local in-addr.arpa ip6.arpa {
  errors
  ready
  health {
    lameduck 3s
  }
  cache {
    success 9984 $1 0
    denial 9984 $1 0
  }
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    ttl $1
  }
}
. {
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
EOF
}

dns_set() { # dns_set TTL
  dns_config "$1"
  # A changed ConfigMap reaches a running pod only within a minute or so.
  kubectl -n kube-system rollout restart deployment coredns
  kubectl -n kube-system rollout status deployment coredns --timeout 120s
}

addons_ready() {
  # Without it, the first pods would be refused.
  wait_for 60 "the first ServiceAccount" kubectl -n default get serviceaccount default
  kubectl wait --for condition=Ready node --all --timeout 120s
  kubectl -n kube-system rollout status deployment coredns --timeout 120s
  kubectl -n kube-system rollout status deployment local-path-provisioner --timeout 120s
  wait_for 60 "DNS on $DNS_IP, from the host" dns_answers
}
# Over TCP, whose connect alone shows that the gateway, kube-proxy and a pod work together.
dns_answers() { timeout 1 bash -c "exec 3<>/dev/tcp/$DNS_IP/53"; }
