# What the parts share: a hash over inputs, an image builder, a folder to work in.
# shellcheck shell=bash

# hash_of FILE-OR-WORD… — a short hash over the files' contents and the words.
hash_of() {
  local input
  for input in "$@"; do
    if [ -f "$input" ]; then sha256sum <"$input"; else printf '%s\n' "$input"; fi
  done | sha256sum | cut -c1-16
}

# buildah with a store of its own, apart from whatever else this machine builds.
image_tool() { buildah --root "$IMAGES/store" --runroot "$STATE/images-run" "$@"; }

image_exists() { command -v buildah >/dev/null && [ -n "$(image_tool images --quiet "$1" 2>/dev/null)" ]; }

image_export() { # image_export IMAGE ARCHIVE
  rm -f "$2.new"
  # buildah of this age compresses whatever it pushes as OCI, which costs every node seconds to undo.
  image_tool push "$1" "docker-archive:$2.new:$1"
  image_tool rmi "$1"
  mv "$2.new" "$2"
}

in_scratch() { # in_scratch COMMAND… — with $WORK as a folder of its own
  WORK=$(mktemp -d "$IMAGES/work.XXXXXX")
  # shellcheck disable=SC2064 # the folder's name of now
  trap "rm -rf '$WORK'" EXIT
  chmod 755 "$WORK"
  "$@"
}
