# What the parts share: a hash over inputs, an image builder, a folder to work in.
# shellcheck shell=bash

# hash_of FILE-OR-WORD… — a short hash over the files' contents and the words.
hash_of() {
  local input
  for input in "$@"; do
    if [ -f "$input" ]; then sha256sum <"$input"; else printf '%s\n' "$input"; fi
  done | sha256sum | cut -c1-16
}

# buildah with a store of its own, apart from whatever else this machine builds. Not overlay: killed, it leaves mounts behind.
image_tool() { buildah --storage-driver vfs --root "$IMAGES/store" --runroot "$IMAGES/run" "$@"; }

image_exists() { command -v buildah >/dev/null && [ -n "$(image_tool images --quiet "$1" 2>/dev/null)" ]; }

# image_build IMAGE ARCHIVE DOCKERFILE CONTEXT ARGUMENT… — straight into an archive of uncompressed layers: each node would
# spend seconds on unpacking compressed ones (which is what `buildah push` of this age makes of them, whatever one asks for).
image_build() {
  local image=$1 archive=$2 dockerfile=$3 context=$4
  shift 4
  rm -f "$archive.new"
  image_tool bud --isolation chroot --layers=false --disable-compression -f "$dockerfile" "$@" \
    -t "oci-archive:$archive.new:$image" "$context"
  mv "$archive.new" "$archive"
}

in_scratch() { # in_scratch COMMAND… — with $WORK as a folder of its own
  WORK=$(mktemp -d "$IMAGES/work.XXXXXX")
  # shellcheck disable=SC2064 # the folder's name of now
  trap "rm -rf '$WORK'" EXIT
  chmod 755 "$WORK"
  "$@"
}
