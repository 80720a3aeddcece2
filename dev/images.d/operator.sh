# The operator's image, by deploy/Dockerfile as it is. Its stage `build` compiles in an image from a registry; here a folder of
# that name takes the stage's place, with what cargo built on this machine.
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
  image_build "$2" "$3" "$ROOT/deploy/Dockerfile" "$WORK/build" --build-context "build=$WORK/build"
}
