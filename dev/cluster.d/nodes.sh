# A node is one process with namespaces of its own (network, mounts, processes, host name); all that runs on the node runs
# inside. So `kill -9` of that process is a power failure, and takes every container, shim and mount with it.
# shellcheck shell=bash

node_pid() { pid_of "$1" catatonit; }
in_node() { # in_node NODE COMMAND…
  local n=$1
  shift
  nsenter --target "$(node_pid "$n")" --mount --net --pid --uts -- "$@"
}
node_socket() { echo "$STATE/$1/containerd.sock"; }
node_ctr() { # node_ctr NODE ARGUMENT…
  local n=$1
  shift
  ctr --address "$(node_socket "$n")" --namespace k8s.io "$@"
}

# A node mounts its own over these. On the host they stay empty, also after `down`: the kernel would take the mounts of
# another cluster away with the directory.
NODE_MOUNTPOINTS="/var/lib/kubelet /var/lib/cni"

# Switches the node on: its first process, its private mounts and its cable.
node_up() { # node_up NODE
  local n=$1 dir=$STATE/$1
  running "$n" catatonit && return 0
  # Control groups of the containers that died with the node.
  cgroup_remove "$n"
  cgroup_make "$n"
  # shellcheck disable=SC2086
  mkdir -p "$dir"/{log,kubelet,cni-cache} $NODE_MOUNTPOINTS
  # `slave`, so that what the host unmounts is not kept busy by the node; nothing of the node's is seen on the host.
  # /run in memory, like after a reboot: containerd's shims, sandboxes' network namespaces, address leases.
  # shellcheck disable=SC2016
  start_node_process "$n" unshare --fork --pid --mount --net --uts --propagation slave bash -ec '
    mount --make-rshared /
    mount -t proc proc /proc
    mount -t tmpfs -o mode=755 run /run
    mount --bind "$1/log" /var/log
    mount --bind "$1/kubelet" /var/lib/kubelet
    mount --bind "$1/cni-cache" /var/lib/cni
    hostname "$2"
    exec catatonit -- sleep infinity' node "$dir" "$(node_name "$n")"
  wait_for 30 "node $n" node_is_set_up "$n"
  cable_up "$n"
}
start_node_process() {
  local n=$1
  shift
  (cgroup_enter "$n/catatonit"; exec 8>&- 9>&- </dev/null >>"$LOGS/$n-init.log" 2>&1; setsid "$@" &)
}
node_is_set_up() { running "$1" catatonit && [ "$(in_node "$1" hostname)" = "$(node_name "$1")" ]; }

off_node() { kill -9 "$(node_pid "$1")"; }

containerd_up() { # containerd_up NODE
  local n=$1 dir=$STATE/$1
  mkdir -p "$dir/cni" "$dir/volumes"
  cat >"$dir/cni/pods.conflist" <<EOF
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [
  { "type": "ptp", "mtu": 1500,
    "ipam": { "type": "host-local", "dataDir": "/run/cni", "ranges": [[{ "subnet": "$(node_pods "$n")" }]],
              "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
EOF
  # restrict_oom_score_adj: where CAP_SYS_RESOURCE is withheld, runc cannot lower the score, and every sandbox fails with
  # "can't get final child's PID from pipe: EOF".
  cat >"$dir/containerd.toml" <<EOF
version = 2
root = "$dir/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$(node_socket "$n")"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$CLUSTER_IMAGE"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
EOF
  running "$n" containerd || rm -f "$(node_socket "$n")"*
  start "$n" containerd containerd --config "$dir/containerd.toml" --log-level warn
  wait_for 60 "containerd of $n" node_ctr "$n" version
}

kubelet_up() { # kubelet_up NODE
  local n=$1 dir=$STATE/$1 since
  running "$n" kubelet && return 0
  : >"$dir/resolv.conf"
  # failCgroupV1: kubelet 1.35 refuses version 1 of the control groups unless told not to. The eviction and image
  # thresholds never trigger: the nodes share the machine's disk, whose fill is not theirs to manage.
  cat >"$dir/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $(node_ip "$n")
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: $PKI/ca.crt } }
authorization: { mode: Webhook }
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$n
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
containerLogMaxFiles: 2
containerLogMaxSize: 5Mi
containerRuntimeEndpoint: unix://$(node_socket "$n")
evictionHard: { memory.available: 50Mi, nodefs.available: 1Mi, nodefs.inodesFree: "1", imagefs.available: 1Mi, imagefs.inodesFree: "1" }
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
imageMaximumGCAge: 0s
imageMinimumGCAge: 10000h
nodeLeaseDurationSeconds: 16
oomScoreAdj: 0
readOnlyPort: 0
resolvConf: $dir/resolv.conf
volumePluginDir: /var/lib/kubelet/volume-plugins
EOF
  since=$(date -u +%FT%T)
  start "$n" kubelet "$BIN/kubelet" --config "$dir/kubelet.yaml" --kubeconfig "$PKI/$n.kubeconfig" \
    --hostname-override "$(node_name "$n")" --node-ip "$(node_ip "$n")" --housekeeping-interval 30s --v 1 \
    --node-labels "topology.kubernetes.io/region=local,topology.kubernetes.io/zone=z${n#n}"
  wait_for 120 "kubelet of $n to report" kubelet_reports "$n" "$since"
}
# The Node object of an earlier life says Ready until somebody notices.
kubelet_reports() { # kubelet_reports NODE SINCE
  local renewed
  renewed=$(kubectl -n kube-node-lease get lease "$(node_name "$1")" -o 'jsonpath={.spec.renewTime}')
  [[ $renewed > $2 ]]
}

# Also on the gateway, which has the rules of menagerie-1 but is none of the nodes.
kube_proxy_up() { # kube_proxy_up NODE
  local n=$1 node=$1
  [ "$n" != gw ] || node=n1
  start "$n" kube-proxy "$BIN/kube-proxy" --kubeconfig "$PKI/kube-proxy.kubeconfig" --hostname-override "$(node_name "$node")" \
    --proxy-mode iptables --detect-local-mode InterfaceNamePrefix --pod-interface-name-prefix veth \
    --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0 --oom-score-adj 0
  # A new node has to register first. On one that was only switched off, pods are about to start.
  ! kubectl get node "$(node_name "$node")" || wait_for 60 "kube-proxy's rules on $n" kube_proxy_rules "$n"
}
kube_proxy_rules() { in_node "$1" iptables-save -t nat | grep -q -- '-d 198.19.0.1/32'; }
