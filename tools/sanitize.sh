#!/bin/sh
# Builds with sanitizers, or with debug checks (the order of locks), and runs the tests with that.
#   tools/sanitize.sh [address|thread|debug] [--short] [ctest arguments, e.g. -R syscalls.ptrace]
# address (the default): ASan and UBSan; thread: TSan; debug: the order of locks, which the other two check as well. Each in
# a build folder of its own: build-asan, build-tsan, build-debug. --short: of the tests those that take least time
# for what they reach. Findings end up in build-*/findings with functions and lines, each once; there must
# be none but those that tools/sanitizer_suppressions.txt explains. ARCHITECTURE.md says what sanitizers see.
set -eu
cd "$(dirname "$0")/.."

kind=address
short=
case "${1:-}" in
  address | thread | debug) kind=$1; shift ;;
esac
if [ "${1:-}" = --short ]; then
  short="-R ^(unit|gofer|platform\.systrap|syscalls\.systrap|security\.systrap\.syscalls|runsc\.pod\.systrap)"
  shift
fi
case $kind in
  address) preset=asan ;;
  thread) preset=tsan ;;
  debug) preset=debug ;;
esac
build=build-$preset
if [ $kind != debug ] && [ ! -e "$(clang++ -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.asan-x86_64.a" ]; then
  echo "SKIPPED: no clang++ with the sanitizers' runtimes (apt-get install clang libclang-rt-14-dev)"
  exit 77
fi

if [ ! -f "$build/build.ninja" ]; then
  launcher=
  if command -v ccache >/dev/null; then
    launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DRUNSC_PCH=OFF"
  fi
  # shellcheck disable=SC2086
  cmake --preset $preset $launcher >/dev/null
fi
ninja -C "$build"

# What has no code of ours in it, counts what a process has and may, makes filters that the
# runtimes' calls are not in, or fills the machine, which with a runtime takes very long.
skipped='^check\.|^sanitize\.|^engines\.|^fuzz\.parsers|^benchmark\.|^syscalls\.native\.'
[ $kind = debug ] || skipped="$skipped|^security\.posture|^unit\.(platform_seccomp|runsc_oci)$|\.bombs$"
# Trees of mounts that grow while four threads clone them into each other: minutes.
[ $kind != thread ] || skipped="$skipped|\.mount_api$"

reports=$PWD/$build/reports
rm -rf "$reports" "$build/findings"
mkdir -m 1777 "$reports"
# For the unit tests; runsc takes care of its reports itself.
export TSAN_OPTIONS="log_path=$reports/unit symbolize=0 stack_trace_format=DEFAULT exitcode=0 atexit_sleep_ms=0 report_thread_leaks=0"
# The runtimes want an address space that is laid out as on older kernels.
run="setarch -R"
[ $kind = debug ] && run=
code=0
# shellcheck disable=SC2086
RUNSC_SANITIZER_REPORT=$reports/report $run ctest --test-dir "$build" --output-on-failure --no-tests=error \
  --timeout 180 $short -E "$skipped" "$@" || code=$?
[ $kind = debug ] && exit $code
tools/sanitizer_findings.py --suppressions tools/sanitizer_suppressions.txt "$reports" >"$build/findings" || code=1
cat "$build/findings"
exit $code
