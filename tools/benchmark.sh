#!/bin/sh
# Builds what is missing and times the same work natively, in runsc and in a peer (Debian's gVisor
# when it is installed, or --peer 'COMMAND'), in one run. Prints one table, in ratios; draws the plot.
#   tools/benchmark.sh [--programs] [--svg FILE] [--quick] [--platform P] [--peer 'COMMAND'] …
#   tools/benchmark.sh --containers [--rounds N] [--peer 'COMMAND']   containers, in turns with runc and crun
#   tools/benchmark.sh --crowd [--peer 'COMMAND']   many sandboxes at once
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" = --containers ]; then
  shift
  tools/build.sh runsc >&2
  exec test/benchmark/containers.py "$@"
fi
if [ "${1:-}" = --crowd ]; then
  shift
  tools/build.sh runsc benchmark_crowd >&2
  exec test/benchmark/crowd.py "$@"
fi
tools/build.sh runsc benchmark_micro >&2
exec test/benchmark/run.py "$@"
