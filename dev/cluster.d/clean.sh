# Ends a cluster and removes what it left, whatever became of it before.
# shellcheck shell=bash

# kubelet sets these for the whole machine; `down` puts them back.
SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"
sysctls_save() {
  [ -f "$STATE/sysctl" ] && return 0
  local s
  for s in $SYSCTLS; do sysctl "$s" || true; done >"$STATE/sysctl"
}
sysctls_restore() { [ ! -f "$STATE/sysctl" ] || sysctl -qp "$STATE/sysctl" || true; }

kill_all() {
  local n pid try
  # A node's first process takes all others of the node with it.
  for n in $NODES gw; do pid=$(node_pid "$n"); [ -z "$pid" ] || kill -9 "$pid"; done
  for try in $(seq 100); do
    pid=$(cgroup_pids)
    [ -n "$pid" ] || return 0
    # shellcheck disable=SC2086
    kill -9 $pid 2>/dev/null || true
    sleep 0.1
  done
  say "would not die after $try tries:"
  # shellcheck disable=SC2086
  ps -fp $pid
  return 1
}

have_ip() { command -v ip >/dev/null; } # not on a machine where there never was a cluster
our_mounts() { awk -v s="$STATE/" 'index($2, s) == 1 { print $2 }' /proc/mounts | tac; }
our_links() { have_ip || return 0; ip -o link show | awk -F': ' '{ sub(/@.*/, "", $2); if ($2 ~ /^menagerie(0$|-)/) print $2 }'; }

# A killed node's cable goes with its namespace, perhaps between the list and the deletion: once that ended a `down` in the middle.
link_down() { ip link del "$1" 2>/dev/null || ! ip link show "$1" >/dev/null 2>&1 || fail "the network link $1 cannot be deleted" "ip link del $1"; }

network_down() {
  local link
  for link in $(our_links); do link_down "$link"; done
  if command -v iptables >/dev/null; then fences_down; fi
}

remove_all() {
  local mount
  kill_all
  cgroup_remove
  our_mounts | while read -r mount; do umount -l "$mount"; done
  network_down
  sysctls_restore
}
remove_state() {
  case $(realpath -m "$STATE") in /|/var|/var/lib|/root|/home|/tmp|/usr|/etc) fail "MENAGERIE_STATE=$STATE would be removed whole" "name a directory of its own" ;; esac
  rm -rf "$STATE"
}

# What is on this machine of a cluster, one line each. Nothing, after `down`.
leftovers() {
  local pid
  for pid in $(cgroup_pids); do echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"; done
  # A program that merely looks at the directory (an editor, this script) is not the cluster's.
  for pid in $(pgrep -f -- "$STATE/" || true); do
    case $(readlink "/proc/$pid/exe") in "$BIN"/*|*/containerd*|*/runc) echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" ;; esac
  done
  our_mounts | sed 's/^/mount /'
  our_links | sed 's/^/link /'
  if have_ip; then
    ip netns list | grep -E '^(cni-|menagerie)' | sed 's/^/namespace /' || true
    ip route show | grep -E '^198\.1[89]\.' | sed 's/^/route /' || true
  fi
  if command -v iptables-save >/dev/null; then iptables-save 2>/dev/null | grep -E 'menagerie-dev|KUBE-|CNI-' | sed 's/^/rule /' || true; fi
  ! cgroup_exists "" || cgroup_list | sed 's/^/cgroup /'
  [ ! -e "$STATE" ] || echo "directory $STATE"
}
