# The control plane: certificates, etcd, API server, controller manager, scheduler. Plain processes on the host.
# shellcheck shell=bash disable=SC2034,SC2086

PKI=$STATE/pki
ETCD_PORT=23379 # not etcd's own, which may be taken on the host

certificates() {
  local n
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  cd "$PKI" || return
  [ -f ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj /CN=menagerie-dev -addext keyUsage=critical,keyCertSign,digitalSignature -keyout ca.key -out ca.crt
  [ -f sa.key ] || { openssl genrsa -out sa.key 2048 && openssl rsa -in sa.key -pubout -out sa.pub; }
  certificate apiserver /CN=kube-apiserver \
    "IP:$HOST_IP,IP:127.0.0.1,IP:198.19.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  client admin /O=system:masters/CN=admin
  client controller-manager /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client kube-proxy /CN=system:kube-proxy
  for n in $NODES; do client "$n" "/O=system:nodes/CN=system:node:$(node_name "$n")"; done
  install -m 600 admin.kubeconfig "$STATE/kubeconfig"
}
certificate() { # certificate NAME SUBJECT [ALTERNATIVE-NAMES]
  [ -f "$1.crt" ] && return 0
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt.new" \
    -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth${3:+
subjectAltName=$3}")
  mv "$1.crt.new" "$1.crt"
}
client() { # client NAME SUBJECT — a certificate and the kubeconfig that carries it
  certificate "$1" "$2"
  cat >"$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: menagerie-dev
contexts: [{ name: menagerie-dev, context: { cluster: menagerie-dev, user: $1 } }]
clusters: [{ name: menagerie-dev, cluster: { server: "$API", certificate-authority-data: "$(base64 -w0 ca.crt)" } }]
users: [{ name: $1, user: { client-certificate-data: "$(base64 -w0 "$1.crt")", client-key-data: "$(base64 -w0 "$1.key")" } }]
EOF
}

etcd_up() {
  # Without fsync: the disk of a test machine would set the pace of everything. So it does not outlive a reboot (clean.sh).
  start host etcd "$BIN/etcd" --name dev --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls http://127.0.0.1:0 --initial-advertise-peer-urls http://127.0.0.1:1 --initial-cluster dev=http://127.0.0.1:1
  wait_for 60 etcd curl -fsS "http://127.0.0.1:$ETCD_PORT/readyz"
}

# What a benchmark wants to count: everybody's writes, and all that the ServiceAccounts of applications, the operator among
# them, ask for. Not the nodes' heartbeats, which would drown it.
audit_policy() {
  cat <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- { level: None, namespaces: [kube-node-lease] }
- { level: Metadata, verbs: [create, update, patch, delete, deletecollection] }
- { level: None, userGroups: ["system:serviceaccounts:kube-system"] }
- { level: Metadata, userGroups: ["system:serviceaccounts"] }
- { level: None }
EOF
}

api_server_up() {
  audit_policy >"$STATE/audit-policy.yaml"
  # InternalIP: otherwise `kubectl exec` and `logs` look up the node's name, which no DNS knows.
  start host kube-apiserver "$BIN/kube-apiserver" --bind-address $HOST_IP --advertise-address $HOST_IP --secure-port 6443 \
    --etcd-servers "http://127.0.0.1:$ETCD_PORT" --service-cluster-ip-range $SERVICES \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true \
    --client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
    --kubelet-client-certificate "$PKI/kubelet-client.crt" --kubelet-client-key "$PKI/kubelet-client.key" \
    --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$PKI/sa.pub" --service-account-signing-key-file "$PKI/sa.key" \
    --default-not-ready-toleration-seconds 30 --default-unreachable-toleration-seconds 30 \
    --audit-policy-file "$STATE/audit-policy.yaml" --audit-log-path "$LOGS/audit.log" --audit-log-mode batch \
    --audit-log-batch-max-wait 1s --audit-log-maxsize "${AUDIT_MIB:-50}" --audit-log-maxbackup 3
  wait_for 120 "the API server" kubectl get --raw /readyz
}

controllers_up() {
  start host kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$PKI/controller-manager.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials=true --service-account-private-key-file "$PKI/sa.key" \
    --root-ca-file "$PKI/ca.crt" --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
    --node-monitor-period 2s --node-monitor-grace-period 16s --terminated-pod-gc-threshold 50
  start host kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$PKI/scheduler.kubeconfig" \
    --authentication-kubeconfig "$PKI/scheduler.kubeconfig" --authorization-kubeconfig "$PKI/scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false
}
