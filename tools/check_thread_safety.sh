#!/bin/sh
# Builds everything with clang, whose -Wthread-safety is an error (and which must compile the project as well as
# g++ does): with its sanitizers, where it has their runtimes, so that tools/sanitize.sh needs no other build. Gives way
# to whatever else runs.
set -eu
cd "$(dirname "$0")/.."
command -v clang++ >/dev/null || { echo "SKIPPED: clang++ is not installed"; exit 77; }
preset=thread-safety build=build-clang
[ ! -e "$(clang++ -print-resource-dir)/lib/linux/libclang_rt.asan-x86_64.a" ] || preset=asan build=build-asan
[ -f $build/build.ninja ] || cmake --preset $preset \
  $(command -v ccache >/dev/null && echo "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache -DRUNSC_PCH=OFF") >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
nice -n 19 ninja -C $build >"$log" 2>&1 || { cat "$log"; exit 1; }
