# The operator's image, by the last stage of deploy/Dockerfile. The stage before it compiles in an image from a registry;
# here its result is what cargo built on this machine.
# shellcheck shell=bash

operator_compile() {
  ( cd "$ROOT" && cargo build --release --locked --bin menagerie )
}

operator_hash() { # operator_hash BINARY IMAGE
  hash_of "$1" "image=$2" "$PARTS"/{tool,operator}.sh "$ROOT"/deploy/{Dockerfile,collect.sh}
}

operator_build() { # operator_build BINARY IMAGE ARCHIVE
  apt_need buildah
  sh "$ROOT/deploy/collect.sh" "$1" "$WORK/build/out"
  sed -n '/^FROM scratch/,$p' "$ROOT/deploy/Dockerfile" >"$WORK/Dockerfile"
  image_tool bud --isolation chroot --layers=false --build-context "build=$WORK/build" -f "$WORK/Dockerfile" -t "$2" "$WORK/build"
  image_export "$2" "$3"
}
