#!/bin/sh
# Fuzzes what hostile bytes reach. A target is the name of a parser's fuzzer (test/fuzz/NAME_fuzzer.cc), or
# `syscalls`: random system calls in a sandbox on each platform. Without targets: all of them.
#   tools/fuzz.sh [seconds per target] [target...]     60 seconds, all; ends at the first find
#   tools/fuzz.sh --short [target...]                  some thousand runs of each parser, as the tests do
# Corpora grow in build-fuzz/corpus/NAME; a find is left in build-fuzz/finds and is tried again with
# build-fuzz/bin/fuzz/NAME FILE. Needs clang and its runtimes: 77 says that they are not there.
set -eu
cd "$(dirname "$0")/.."

limit=
case "${1:-}" in
  --short) limit="-runs=4000 -max_total_time=60"; shift ;;
  [0-9]*) seconds=$1; shift ;;
esac
seconds=${seconds:-60}
: "${limit:=-max_total_time=$seconds}"

targets=
syscalls=
for target; do
  if [ "$target" = syscalls ]; then syscalls=1; else targets="$targets $target"; fi
done
if [ $# = 0 ]; then
  targets=$(ls test/fuzz | sed -n 's/_fuzzer\.cc$//p' | grep -v '^syscall$')
  [ "${limit#-runs}" != "$limit" ] || syscalls=1
fi

if [ -n "$targets" ]; then
  runtime=$(clang++ -print-file-name=libclang_rt.fuzzer-x86_64.a 2>/dev/null ||:)
  if [ ! -e "$(clang++ -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.fuzzer-x86_64.a" ] && [ ! -e "$runtime" ]; then
    echo "SKIPPED: no clang++ with libFuzzer (apt-get install clang)"
    exit 77
  fi
  if [ ! -f build-fuzz/build.ninja ]; then
    launcher=
    if command -v ccache >/dev/null; then
      launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache"
    fi
    # shellcheck disable=SC2086
    cmake --preset fuzz $launcher >/dev/null
  fi
  # shellcheck disable=SC2086
  nice -n 19 ninja -C build-fuzz $(printf '%s_fuzzer ' $targets)
  mkdir -p build-fuzz/finds
fi

for target in $targets; do
  echo "== $target"
  mkdir -p "build-fuzz/corpus/$target"
  # A large input is a slow one; -close_fd_mask keeps the warnings of what is fuzzed out of the output.
  # shellcheck disable=SC2086
  if ! "build-fuzz/bin/fuzz/$target" $limit -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/finds/$target-" "build-fuzz/corpus/$target" >"build-fuzz/$target.log" 2>&1; then
    tail -60 "build-fuzz/$target.log"
    echo "tools/fuzz.sh: $target: a find (above; whole log in build-fuzz/$target.log)"
    exit 1
  fi
  grep -E '^(Done|stat::number_of_executed_units)|cov: [0-9]* ' "build-fuzz/$target.log" | tail -2
done

if [ -n "$syscalls" ]; then
  tools/build.sh runsc syscall_fuzzer
  seed=$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
  for platform in ptrace systrap; do
    echo "== system calls on $platform, seed $seed"
    log="build/syscall_fuzzer.$platform.log"
    # The guest can reach its own standard output too: what is no text is left out.
    timeout -k 5 $((seconds + 60)) build/bin/runsc do --platform=$platform --memory=1g -- \
      build/bin/fuzz/syscall_fuzzer "$seed" "$seconds" </dev/null >"$log" 2>&1 ||:
    tail -c 4000 "$log" | tr -cd '[:print:]\n' | tail -3
    grep -aq 'the kernel is still there' "$log" || { echo "tools/fuzz.sh: $platform: a find"; exit 1; }
  done
fi
