# Builds the binaries of dev/tools/*/go.mod into $BIN, and installs azurite beside them. A binary is kept for as long as its pins and
# flags stay the same.
# shellcheck shell=bash

# What is built: MODULE-DIRECTORY BINARY PACKAGE
built_binaries() {
  local k=k8s.io/kubernetes/cmd b
  for b in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do echo ". $b $k/$b"; done
  echo ". etcd go.etcd.io/etcd/server/v3"
  echo "coredns coredns ."
  echo "local-path local-path-provisioner github.com/rancher/local-path-provisioner"
  echo "helm helm helm.sh/helm/v3/cmd/helm"
  echo "versitygw versitygw github.com/versity/versitygw/cmd/versitygw"
  echo "fake-gcs-server fake-gcs-server github.com/fsouza/fake-gcs-server"
}

# Clients parse the server's version, and stumble over the one of an unstamped build.
ldflags() { # ldflags MODULE-DIRECTORY
  local v flags="-s -w" major=${KUBERNETES_VERSION%%.*} minor=${KUBERNETES_VERSION#*.} helm=helm.sh/helm/v3
  minor=${minor%%.*}
  case $1 in
    .)
      for v in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $v.gitVersion=v$KUBERNETES_VERSION -X $v.gitMajor=$major -X $v.gitMinor=$minor -X $v.gitTreeState=clean"
      done
      echo "$flags" ;;
    # Charts ask `helm template` for the version of Kubernetes, which is 1.20 unless told.
    helm) echo "$flags -X $helm/internal/version.version=$(cd "$ROOT/dev/tools/helm" && awk '$1 == "helm.sh/helm/v3" { print $2 }' go.mod)" \
      "-X $helm/pkg/lint/rules.k8sVersionMajor=$major -X $helm/pkg/lint/rules.k8sVersionMinor=$minor" \
      "-X $helm/pkg/chartutil.k8sVersionMajor=$major -X $helm/pkg/chartutil.k8sVersionMinor=$minor" ;;
    *) echo "$flags" ;;
  esac
}

stamp_of() { # stamp_of MODULE-DIRECTORY PACKAGE
  (cd "$ROOT/dev/tools/$1" && { cat go.mod go.sum; find . -maxdepth 1 -name '*.go' -exec cat {} +; echo "$2 $(ldflags "$1")"; }) |
    sha256sum | cut -d' ' -f1
}

build_one() { # build_one MODULE-DIRECTORY BINARY PACKAGE
  cd "$ROOT/dev/tools/$1" || return
  # GOFLAGS of the machine may name another -mod; GOWORK a workspace that knows nothing of these modules.
  GOFLAGS='' GOWORK=off CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -ldflags "$(ldflags "$1")" -o "$BIN/.new.$2" "$3"
  mv "$BIN/.new.$2" "$BIN/$2"
  stamp_of "$1" "$3" >"$BIN/.$2.stamp"
}

# Its packages are what the lock file says, by their hashes; no script of theirs runs.
azurite() {
  local home=$CACHE/azurite stamp
  stamp=$(cat "$ROOT"/dev/tools/azurite/package*.json | sha256sum | cut -d' ' -f1)
  [ -x "$BIN/azurite-blob" ] && [ "$(cat "$BIN/.azurite-blob.stamp" 2>/dev/null)" = "$stamp" ] && return
  command -v npm >/dev/null || step "Node.js and npm" apt_need nodejs npm
  STEP_HINT="the npm registry must be reachable" step "install azurite" install_azurite "$home"
  echo "$stamp" >"$BIN/.azurite-blob.stamp"
}

install_azurite() { # install_azurite HOME
  mkdir -p "$1"
  cp "$ROOT"/dev/tools/azurite/package*.json "$1"
  npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund
  printf '#!/bin/sh\nexec node "%s/node_modules/azurite/dist/src/blob/main.js" "$@"\n' "$1" >"$BIN/.new.azurite-blob"
  chmod +x "$BIN/.new.azurite-blob"
  mv "$BIN/.new.azurite-blob" "$BIN/azurite-blob"
}

build_all() {
  local dir bin package
  mkdir -p "$BIN"
  # Two clones share the cache: the second waits for the first and then finds everything built.
  exec 8>"$CACHE/build.lock"
  flock -n 8 || { say "  waiting for a build that another clone runs"; flock 8; }
  while read -r dir bin package; do
    [ -x "$BIN/$bin" ] && [ "$(cat "$BIN/.$bin.stamp" 2>/dev/null)" = "$(stamp_of "$dir" "$package")" ] && continue
    need go "install Go 1.26 or newer; Debian bookworm's own is too old"
    STEP_HINT="the Go module proxy must be reachable; run it again, finished parts are kept" \
      step "build $bin" build_one "$dir" "$bin" "$package"
  done < <(built_binaries)
  azurite
  exec 8>&-
}
