# The images docker.io/library/zookeeper:X, laid out like the official ones, from Maven Central's jars and Debian's scripts.
# shellcheck shell=bash

zookeeper_hash() { # zookeeper_hash VERSION
  hash_of "$(base_image)" "zookeeper=$1" "$PARTS"/{tool,zookeeper}.sh "$PARTS"/zookeeper.d/*
}

zookeeper_build() { # zookeeper_build VERSION IMAGE ARCHIVE
  local version=$1 image=$2 archive=$3 context=$WORK/context home
  home=$context/apache-zookeeper-$version-bin
  mkdir -p "$home/bin" "$home/lib" "$context/conf"

  zookeeper_jars "$version" "$home/lib"
  zookeeper_scripts "$home/bin"
  cp "$PARTS"/zookeeper.d/{logback.xml,zoo_sample.cfg} "$context/conf"
  cp "$PARTS"/zookeeper.d/docker-entrypoint.sh "$context"
  # Unlike other permissions these come from the checkout, and a umask there must not make them unreadable for uid 1000.
  chmod -R a+rX "$context"

  image_build "$image" "$archive" "$PARTS/zookeeper.d/Dockerfile" "$context" \
    --pull-never --build-arg "BASE=$(base_image)" --build-arg "VERSION=$version"
}

zookeeper_jars() { # zookeeper_jars VERSION FOLDER
  command -v mvn >/dev/null || apt_need maven openjdk-17-jdk-headless
  local version=$1 folder=$2 jline=org.jline
  case $version in 3.8.* | 3.9.[0-4]) jline=jline ;; esac
  sed "s/@ZOOKEEPER@/$version/g; s/@JLINE_GROUP@/$jline/g" "$PARTS/zookeeper.d/pom.xml" >"$WORK/pom.xml"
  mvn --batch-mode --no-transfer-progress --file "$WORK/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$folder" \
    -DexcludeClassifiers=linux-aarch_64,osx-aarch_64,osx-x86_64,windows-x86_64
}

zookeeper_scripts() { # zookeeper_scripts FOLDER
  ( cd "$WORK" && apt-get -o APT::Sandbox::User=root download zookeeper )
  dpkg-deb --fsys-tarfile "$WORK"/zookeeper_*.deb |
    tar -x -C "$1" --strip-components=5 ./usr/share/zookeeper/bin/{zkServer,zkCli,zkCleanup}.sh
  # Debian's own reads its settings from /etc and takes its jars from /usr/share/java.
  cp "$PARTS/zookeeper.d/zkEnv.sh" "$1"
  chmod 755 "$1"/*.sh
}
