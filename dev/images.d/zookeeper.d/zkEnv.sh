#!/usr/bin/env bash
# What zkServer.sh, zkCli.sh and zkCleanup.sh source: the same variables with the same defaults as the release's own.

ZOOKEEPER_PREFIX=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "${1:-}" = --config ]; then
  ZOOCFGDIR=$2
  shift 2
fi
ZOOCFGDIR=${ZOOCFGDIR:-$ZOOKEEPER_PREFIX/conf}
# shellcheck source=/dev/null
[ ! -f "$ZOOCFGDIR/zookeeper-env.sh" ] || . "$ZOOCFGDIR/zookeeper-env.sh"
ZOOCFG=$ZOOCFGDIR/${ZOOCFG:-zoo.cfg}
# shellcheck source=/dev/null
[ ! -f "$ZOOCFGDIR/java.env" ] || . "$ZOOCFGDIR/java.env"
ZOO_LOG_DIR=${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}

# shellcheck disable=SC2034 # the scripts that source this use it
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java

# The folder of settings comes first: that is where logback finds its logback.xml.
CLASSPATH=$ZOOCFGDIR:$(printf '%s:' "$ZOOKEEPER_PREFIX"/lib/*.jar)$CLASSPATH

# In MB.
SERVER_JVMFLAGS="-Xmx${ZK_SERVER_HEAP:-1000}m $SERVER_JVMFLAGS"
CLIENT_JVMFLAGS="-Xmx${ZK_CLIENT_HEAP:-256}m $CLIENT_JVMFLAGS"
export SERVER_JVMFLAGS CLIENT_JVMFLAGS
