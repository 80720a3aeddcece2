#!/bin/sh
# collect.sh BINARY FOLDER: lays BINARY and the shared libraries that it links out in FOLDER, as the root of an image.
set -eu
binary=$1
folder=$2
mkdir -p "$folder"
install -m 755 "$binary" "$folder/menagerie"
ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do
  install -D -m 755 "$library" "$folder$library"
done
