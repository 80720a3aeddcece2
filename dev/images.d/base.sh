# The layer that all ZooKeeper images share: Debian's essential packages and a JRE of just the modules that ZooKeeper uses.
# shellcheck shell=bash

# What `jdeps` says of the jars, plus what is only looked up at run time: JMX from outside, Kerberos logins, elliptic curves,
# DNS in JNDI, jcmd (a user's way to a thread dump or a heap histogram).
JAVA_MODULES=java.base,java.desktop,java.logging,java.management,java.management.rmi,java.naming,java.security.jgss,\
java.security.sasl,java.sql,java.xml,jdk.attach,jdk.crypto.cryptoki,jdk.crypto.ec,jdk.jcmd,jdk.management,\
jdk.management.agent,jdk.naming.dns,jdk.net,jdk.security.auth,jdk.unsupported,jdk.zipfs
# As in the official image.
JAVA_HOME_IN_IMAGE=/opt/java/openjdk

base_image() { # prints the name of the base image, whose tag says what it was made of
  printf 'localhost/menagerie/java:%s\n' "$(hash_of "$PARTS/base.sh" "suite=$DEBIAN_SUITE")"
}

base_build() {
  apt_need buildah mmdebstrap openjdk-17-jdk-headless
  local root=$WORK/root jdk
  jdk=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)
  mmdebstrap --mode=root --variant=essential --include=libstdc++6,netcat-openbsd,zlib1g \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    "$DEBIAN_SUITE" "$root"
  # Nothing here installs packages, and no server script is written in Perl.
  rm -rf "$root"/usr/{share,lib/x86_64-linux-gnu}/perl* "$root"/usr/bin/perl* "$root"/usr/lib/x86_64-linux-gnu/gconv \
    "$root"/var/{cache,log}/* "$root"/var/lib/dpkg/info
  # Copies of this machine's own.
  rm -f "$root"/etc/{hostname,resolv.conf}
  groupadd --root "$root" --gid 1000 zookeeper
  useradd --root "$root" --uid 1000 --gid zookeeper --no-create-home zookeeper

  mkdir -p "$root${JAVA_HOME_IN_IMAGE%/*}"
  "$jdk/bin/jlink" --add-modules "$JAVA_MODULES" --strip-java-debug-attributes --no-man-pages --no-header-files --compress=2 \
    --output "$root$JAVA_HOME_IN_IMAGE"
  # Sound, windows and fonts: nothing reaches them, and they want libraries that the image has not.
  rm -f "$root$JAVA_HOME_IN_IMAGE"/lib/{libawt_xawt,libfontmanager,libjawt,libjsound,liblcms,libmlib_image,libsplashscreen}.so

  # The store holds base images only: those of former recipes.
  image_tool rmi --all --force
  local container
  container=$(image_tool from scratch)
  image_tool add "$container" "$root" /
  # Every JRE that a vendor ships has this archive of loaded classes, for a quicker start.
  image_tool run --isolation chroot "$container" -- "$JAVA_HOME_IN_IMAGE/bin/java" -Xshare:dump
  image_tool config --env "JAVA_HOME=$JAVA_HOME_IN_IMAGE" --env LANG=C.UTF-8 \
    --env "PATH=$JAVA_HOME_IN_IMAGE/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$container"
  image_tool commit --rm "$container" "$(base_image)"
}
