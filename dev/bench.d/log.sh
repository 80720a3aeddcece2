# Measures reading, indexing and replaying of files beside ZooKeeper's own tools, on files that ZooKeeper's own classes wrote.
# shellcheck shell=bash

TRANSACTIONS=${TRANSACTIONS:-10000000}
ZNODES=${ZNODES:-1000000}
# Four logs of more than 512 MiB each.
ROLL=$((TRANSACTIONS / 4))

log_files() { # log_files FOLDER — what is measured; made once, the same bytes each time
  [ -e "$1/complete" ] && return
  rm -rf "$1"
  mkdir -p "$1/version-2"
  timeout 1800 java -Xmx3g -Dzookeeper.forceSync=no -cp "$CLASSPATH" History "$1" "$ZNODES" "$TRANSACTIONS" "$ROLL"
  touch "$1/complete"
}

# measured COMMAND… — runs it RUNS times; sets SECONDS_TAKEN (the median) and MEBIBYTES (the largest resident set).
measured() {
  local work run
  work=$(mktemp)
  for ((run = 0; run < RUNS; run++)); do
    /usr/bin/time -a -o "$work" -f '%e %M' timeout 900 "$@" >/dev/null 2>"$work.err" ||
      { cat "$work.err" >&2; fail "$* failed"; }
  done
  SECONDS_TAKEN=$(cut -d' ' -f1 "$work" | sort -n | sed -n "$(((RUNS + 1) / 2))p")
  MEBIBYTES=$(cut -d' ' -f2 "$work" | sort -n | tail -1 | awk '{printf "%.0f", $1 / 1024}')
  rm -f "$work" "$work.err"
}

row() { # row WHAT BYTES COMMAND…
  local what=$1 bytes=$2
  shift 2
  measured "$@"
  awk -v what="$what" -v bytes="$bytes" -v s="$SECONDS_TAKEN" -v m="$MEBIBYTES" \
    'BEGIN { printf "| %s | %.2f | %s | %s |\n", what, s, bytes ? sprintf("%.0f", bytes / 1048576 / s) : "", m }'
}

# milliseconds WHAT COMMAND… — a whole process each time: start, open, ask, print.
milliseconds() {
  local what=$1 times=() began run
  shift
  "$@" >/dev/null 2>&1
  for ((run = 0; run < 20; run++)); do
    began=$(date +%s%N)
    "$@" >/dev/null 2>&1
    times+=($((($(date +%s%N) - began) / 10000)))
  done
  printf '%s\n' "${times[@]}" | sort -n | awk -v what="$what" \
    '{ t[NR] = $1 / 100 } END { printf "| %s | %.1f | %.1f |\n", what, t[int((NR + 1) / 2)], t[NR] }'
}

bench_log() {
  local folder=$CACHE/bench/log-$TRANSACTIONS-$ZNODES work first bytes all size menagerie=$CARGO_TARGET_DIR/release/menagerie
  command -v /usr/bin/time >/dev/null || apt_need time
  RUNS=${RUNS:-3}
  CLASSPATH=$("$ROOT/dev/files" classpath)
  step "compile, release" cargo build --locked --release --bin menagerie
  step "files: $TRANSACTIONS transactions, $ZNODES znodes" log_files "$folder"
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  first=$(find "$folder/version-2" -name 'log.*' | sort | head -1)
  bytes=$(logged "$work" "$first")
  all=$(logged "$work" "$folder")
  cat "$folder"/version-2/* >/dev/null

  printf '\n### One log of %d MiB with %d transactions, in page cache\n\n' $((bytes / 1048576)) "$ROLL"
  printf '| what | seconds | MiB/s | MiB resident |\n|---|---|---|---|\n'
  row "\`TxnLogToolkit\` of 3.9.5, dump to /dev/null" "$bytes" java -cp "$CLASSPATH" org.apache.zookeeper.server.persistence.TxnLogToolkit -d "$first"
  row "\`menagerie log verify\`" "$bytes" "$menagerie" log verify "$first"
  row "\`menagerie log dump --output toolkit\`, the same bytes" "$bytes" "$menagerie" log dump --output toolkit "$first"
  row "\`menagerie log dump\`" "$bytes" "$menagerie" log dump "$first"
  row "\`menagerie index build\`" "$bytes" bash -c 'rm -f "$2"; exec "$0" index build "$1" --index "$2"' "$menagerie" "$first" "$work/one.index"

  printf '\n### All %d transactions: logs of %d MiB\n\n' "$TRANSACTIONS" $((all / 1048576))
  printf '| what | seconds | MiB/s | MiB resident |\n|---|---|---|---|\n'
  row "\`menagerie index build\`" "$all" bash -c 'rm -f "$2"; exec "$0" index build "$1" --index "$2"' "$menagerie" "$folder" "$work/all.index"
  row "\`menagerie index build\` again, with nothing new" "" "$menagerie" index build "$folder" --index "$work/all.index"
  row "\`menagerie log verify --replay\`: every digest compared" "" "$menagerie" log verify --replay "$folder"
  row "\`menagerie snapshot write\`: replay, and the tree written" "" bash -c 'rm -rf "$2"; exec "$0" snapshot write "$1" --to "$2"' "$menagerie" "$folder" "$work/tree"
  row "ZooKeeper 3.9.5 loads the same files, as when it starts" "" java -Xmx4g -cp "$CLASSPATH" Tools load "$folder"

  size=$(stat -c %s "$work/all.index")
  awk -v size="$size" -v all="$all" -v n="$TRANSACTIONS" \
    'BEGIN { printf "\nThe index: %.0f MiB, %.1f %% of the logs, %.1f bytes a transaction.\n", size / 1048576, 100 * size / all, size / n }'
  printf '\n| 20 runs, a process each | median ms | longest ms |\n|---|---|---|\n'
  local ask=("$menagerie" index) at=(--index "$work/all.index")
  milliseconds "\`history\` of a znode with some 11 changes" "${ask[@]}" history /app/folder-7/znode-123007 "${at[@]}"
  milliseconds "\`history\` of a path that never was" "${ask[@]}" history /app/folder-7/nothing "${at[@]}"
  milliseconds "\`search --subtree\` of a folder with 10,000 changes, one hour" \
    "${ask[@]}" search --subtree /app/folder-7 --since 2023-11-15T00:00:00Z --until 2023-11-15T01:00:00Z "${at[@]}"
  milliseconds "\`search --subtree /app\`, with 8 million changes, one minute" \
    "${ask[@]}" search --subtree /app --since 2023-11-14T23:30:00Z --until 2023-11-14T23:31:00Z "${at[@]}"
  milliseconds "\`search --session\`" "${ask[@]}" search --session 0x1000000000000007 "${at[@]}"
  milliseconds "\`search --subtree /queue --kind deleted\`, the oldest first" \
    "${ask[@]}" search --subtree /queue --kind deleted --oldest-first "${at[@]}"
}

# The bytes of records: servers allocate zeros ahead, and nobody is faster for skipping them.
logged() { # logged WORK PATH
  rm -f "$1/bytes.index"
  "$CARGO_TARGET_DIR/release/menagerie" index build "$2" --index "$1/bytes.index" --output json | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p'
}
