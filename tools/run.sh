#!/bin/sh
# Builds runsc if need be, then runs it: tools/run.sh do echo hello
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
log=$(mktemp)
if ! "$top/tools/build.sh" runsc >"$log" 2>&1; then
  cat "$log" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
exec "$top/build/bin/runsc" "$@"
