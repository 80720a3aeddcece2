# One bridge on the host, with the three nodes and a gateway to the Service addresses on it. 198.18.0.0/15 is reserved for
# benchmarks (RFC 2544), so it is never anybody's real network.
#   198.18.0.1   host: API server      198.18.0.1i  node i      198.18.i.0/24  its pods
#   198.18.0.2   gateway               198.19.0.0/16 Services
# shellcheck shell=bash disable=SC2034,SC2086

BRIDGE=menagerie0
NODES="n1 n2 n3"
HOST_IP=198.18.0.1
GATEWAY_IP=198.18.0.2
SERVICES=198.19.0.0/16
DNS_IP=198.19.0.10
API=https://$HOST_IP:6443

node_name() { echo "menagerie-${1#n}"; }
node_ip() { if [ "$1" = gw ]; then echo $GATEWAY_IP; else echo "198.18.0.1${1#n}"; fi; }
node_pods() { echo "198.18.${1#n}.0/24"; }
node_link() { echo "menagerie-$1"; } # the host's end of its cable

bridge_up() {
  ip link set lo up
  ip link show $BRIDGE >/dev/null 2>&1 || ip link add $BRIDGE type bridge
  sysctl -qw "net.ipv6.conf.$BRIDGE.disable_ipv6=1" || true
  ip addr replace $HOST_IP/24 dev $BRIDGE
  ip link set $BRIDGE up
  local n
  for n in $NODES; do ip route replace "$(node_pods "$n")" via "$(node_ip "$n")" dev $BRIDGE; done
  # A gateway of its own, and not one of the nodes: the host's connections to Services must survive any node's loss.
  ip route replace $SERVICES via $GATEWAY_IP dev $BRIDGE
}

# Between the nodes everything may pass, although Docker, say, drops what it does not know; nothing passes to the uplink.
fences() {
  echo "-i $BRIDGE -o $BRIDGE -j ACCEPT"
  echo "-i $BRIDGE -j REJECT"
  echo "-o $BRIDGE -j REJECT"
}
fences_up() {
  local rule at=0
  fences_down
  while read -r rule; do
    at=$((at + 1))
    # shellcheck disable=SC2086
    iptables -w -I FORWARD $at $rule -m comment --comment menagerie-dev
  done < <(fences)
}
fences_down() {
  local rule
  while read -r rule; do
    # shellcheck disable=SC2086
    while iptables -w -D FORWARD $rule -m comment --comment menagerie-dev 2>/dev/null; do :; done
  done < <(fences)
}

# Plugs a new node's network namespace into the bridge.
cable_up() { # cable_up NODE
  local n=$1 link other
  link=$(node_link "$n")
  # The namespace of a killed node takes its cable along, but not at once.
  ip link del "$link" 2>/dev/null || true
  ip link add "$link" type veth peer name eth0 netns "$(node_pid "$n")"
  ip link set "$link" master $BRIDGE up
  in_node "$n" sh -e <<EOF
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects
    echo 0 >/proc/sys/net/ipv4/conf/default/send_redirects
    ip link set lo up
    ip link set eth0 up
    ip addr add $(node_ip "$n")/24 dev eth0
    # kube-proxy rewrites the address; but without a route the kernel refuses before it asks kube-proxy. What is not rewritten
    # (yet) is refused at once: CoreDNS, started a moment before kube-proxy's rules were there, tried for 30 s otherwise.
    ip route add $SERVICES via $HOST_IP
    for chain in FORWARD OUTPUT; do
      iptables -w -A \$chain -d $SERVICES -p tcp -j REJECT --reject-with tcp-reset
      iptables -w -A \$chain -d $SERVICES -j REJECT
    done
EOF
  for other in $NODES; do
    [ "$other" = "$n" ] || in_node "$n" ip route add "$(node_pods "$other")" via "$(node_ip "$other")"
  done
}

is_cut() { ip -o link show "$(node_link "$1")" 2>/dev/null | grep -q 'state DOWN'; }
cut_node() { ip link set "$(node_link "$1")" down; }
heal_node() { ip link set "$(node_link "$1")" up; }
