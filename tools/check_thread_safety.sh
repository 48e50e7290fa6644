#!/bin/sh
# Builds everything with clang, whose -Wthread-safety is an error (and which must compile
# the project as well as g++ does). Has a build folder of its own; later runs are incremental.
set -eu
cd "$(dirname "$0")/.."
command -v clang++ >/dev/null || { echo "SKIPPED: clang++ is not installed"; exit 77; }
[ -f build-clang/build.ninja ] || cmake --preset thread-safety \
  $(command -v ccache >/dev/null && echo "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache -DRUNSC_PCH=OFF") >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ninja -C build-clang >"$log" 2>&1 || { cat "$log"; exit 1; }
