# Images reach the nodes as archives: there is no registry.
# shellcheck shell=bash

CLUSTER_IMAGE=localhost/menagerie-cluster:dev
CLUSTER_ARCHIVE=$CACHE/images/cluster.tar

# One image for all that the cluster itself runs: pause, DNS, volume provisioner and the shell of its helper pods.
cluster_image_stamp() { cat "$BIN"/.{coredns,local-path-provisioner}.stamp; dpkg-query -W catatonit busybox-static; declare -f cluster_image; }
cluster_image_is_built() { [ -f "$CLUSTER_ARCHIVE" ] && [ "$(cat "$CLUSTER_ARCHIVE.stamp" 2>/dev/null)" = "$(cluster_image_stamp)" ]; }
cluster_image() {
  local work applet
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/root/bin" "$work/root/tmp" "$CACHE/images"
  install -t "$work/root/bin" /usr/bin/catatonit "$BIN/coredns" "$BIN/local-path-provisioner" "$(command -v busybox)"
  for applet in $("$work/root/bin/busybox" --list); do [ -e "$work/root/bin/$applet" ] || ln -s busybox "$work/root/bin/$applet"; done
  # vfs: overlay would leave mounts behind when this is killed.
  local buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run") container
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" copy -q "$container" "$work/root" /
  "${buildah[@]}" config --entrypoint '["/bin/catatonit", "-P"]' --env PATH=/bin "$container"
  # Compressed, an archive takes 7 s to import on each node.
  "${buildah[@]}" commit -q --disable-compression "$container" "oci-archive:$work/image.tar:$CLUSTER_IMAGE"
  mv "$work/image.tar" "$CLUSTER_ARCHIVE"
  cluster_image_stamp >"$CLUSTER_ARCHIVE.stamp"
}

# archive_images ARCHIVE — "NAME DIGEST" of each image in it.
archive_images() {
  tar -xOf "$1" index.json | jq -r '.manifests[] | (.annotations["io.containerd.image.name"] // .annotations["org.opencontainers.image.ref.name"]) + " " + .digest'
}
node_has() { # node_has NODE NAME DIGEST
  node_ctr "$1" images ls "name==$2" | awk -v d="$3" 'NR > 1 && $3 == d { found = 1 } END { exit !found }'
}

load_archive() { # load_archive ARCHIVE NODE…
  local archive=$1 n name digest jobs=() job
  shift
  for n in "$@"; do
    while read -r name digest; do
      node_has "$n" "$name" "$digest" && continue
      node_ctr "$n" images import "$archive" &
      jobs+=($!)
      break
    done < <(archive_images "$archive")
  done
  for job in "${jobs[@]}"; do wait "$job"; done
}

load() { # load ARCHIVE…
  local archive names
  [ $# -gt 0 ] || fail "load needs at least one image archive" "dev/cluster load FILE.tar…"
  for archive in "$@"; do
    [ -f "$archive" ] || fail "there is no file $archive" "build it first; dev/images makes the project's"
    names=$(archive_images "$archive" | cut -d' ' -f1 | paste -sd" ") || fail "$archive is no OCI archive" "buildah push IMAGE oci-archive:FILE.tar:NAME:TAG"
    # shellcheck disable=SC2086
    STEP_HINT="is the cluster running (dev/cluster status)? is the disk full?" step "load $names" load_archive "$archive" $NODES
  done
}
