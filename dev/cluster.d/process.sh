# Processes and cgroups. Each daemon has a cgroup of its own, and whether it runs is read there: nothing that a SIGKILL
# or a reboot could leave behind (a pid file, say) can claim that a process lives, or name somebody else's.
# shellcheck shell=bash

# Another name, another MENAGERIE_STATE and a network namespace of one's own (`unshare --net`) make a second cluster beside
# the first: so is this script tested.
CGROUP=${MENAGERIE_CGROUP:-menagerie-dev}

# The roots of the cgroup hierarchies: one per controller in version 1, a single one in version 2.
hierarchies() {
  local h
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; return; fi
  for h in /sys/fs/cgroup/*; do
    if [ -f "$h/cgroup.procs" ] && [ ! -L "$h" ]; then echo "$h"; fi
  done
}

# The one hierarchy that processes are looked up in.
cgroup_index() { if [ -d /sys/fs/cgroup/pids ]; then echo "/sys/fs/cgroup/pids/$CGROUP"; else echo "/sys/fs/cgroup/$CGROUP"; fi; }

cgroup_make() { # cgroup_make PATH, below $CGROUP, in every hierarchy
  local h dir part
  for h in $(hierarchies); do
    dir=$h
    for part in $CGROUP ${1//\// }; do
      if [ -f "$dir/cgroup.subtree_control" ] && [ "$h" = /sys/fs/cgroup ]; then
        echo "+cpu +cpuset +io +memory +pids" >"$dir/cgroup.subtree_control"
      fi
      dir=$dir/$part
      mkdir -p "$dir"
      # cpuset v1: nothing can enter a group whose cpus and mems are empty, which they are unless copied.
      if [ -f "$dir/cpuset.cpus" ] && [ -f "$dir/cgroup.clone_children" ] && [ -z "$(cat "$dir/cpuset.cpus")" ]; then
        cat "$dir/../cpuset.cpus" >"$dir/cpuset.cpus"
        cat "$dir/../cpuset.mems" >"$dir/cpuset.mems"
        echo 1 >"$dir/cgroup.clone_children"
      fi
    done
  done
}

cgroup_enter() { # moves the calling shell
  local h
  cgroup_make "$1"
  for h in $(hierarchies); do echo 0 >"$h/$CGROUP/$1/cgroup.procs"; done
}

cgroup_pids() { # every process at or below PATH (default: all of the cluster's)
  local dir
  dir=$(cgroup_index)${1:+/$1}
  [ -d "$dir" ] || return 0
  find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}

cgroup_remove() { # removes PATH (default: the whole tree), deepest first; waits for what is still dying there
  local h try
  for try in $(seq 50); do
    for h in $(hierarchies); do
      [ ! -d "$h/$CGROUP${1:+/$1}" ] || find "$h/$CGROUP${1:+/$1}" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    cgroup_exists "${1:-}" || return 0
    sleep 0.1
  done
  say "cgroups that would not go away after $try tries:"; cgroup_list
  return 1
}
cgroup_list() { local h; for h in $(hierarchies); do find "$h/$CGROUP" -maxdepth 1 -type d 2>/dev/null || true; done; }
cgroup_exists() { local h; for h in $(hierarchies); do [ ! -d "$h/$CGROUP${1:+/$1}" ] || return 0; done; return 1; }

# pid_of WHERE NAME — the daemon's pid, or nothing. Its cgroup may hold helpers too (containerd's shims).
pid_of() {
  local dir pid comm
  dir=$(cgroup_index)/$1/$2
  [ -f "$dir/cgroup.procs" ] || return 0
  while read -r pid; do
    { read -r comm <"/proc/$pid/comm"; } 2>/dev/null || continue
    if [ "$comm" = "${2:0:15}" ]; then echo "$pid"; return; fi
  done <"$dir/cgroup.procs"
}
running() { [ -n "$(pid_of "$1" "$2")" ]; }

# start WHERE NAME COMMAND… — runs a daemon on `host` or on a node, in its own session and cgroup, unless it runs already.
start() {
  local where=$1 name=$2 enter=()
  shift 2
  running "$where" "$name" && return 0
  [ "$where" = host ] || enter=(in_node "$where")
  say "--- $(date -Is) start $*" >>"$LOGS/$where-$name.log"
  (
    cgroup_enter "$where/$name"
    # The locks of build and cluster would stay held for as long as the daemon runs.
    exec 8>&- 9>&- </dev/null >>"$LOGS/$where-$name.log" 2>&1
    # shellcheck disable=SC2016
    "${enter[@]}" bash -c 'setsid "$@" &' start "$@"
  )
}

stop() { # stop WHERE NAME
  local pid
  pid=$(pid_of "$1" "$2")
  [ -z "$pid" ] || { kill "$pid"; wait_for 10 "$2 to stop" not running "$1" "$2"; }
}
not() { ! "$@"; }

# wait_for SECONDS WHAT COMMAND…
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { say "waited in vain for $what: $*"; "$@" || true; return 1; }
    sleep 0.2
  done
}
