#!/bin/sh
# Builds everything and runs all tests: unit, system calls (natively and in the sandbox),
# security, command line, and the checks of format, layers and locks.
#   tools/test.sh [ctest arguments, e.g. -R syscalls.ptrace]
set -eu
cd "$(dirname "$0")/.."
RUNSC_CHECKS=1 tools/build.sh
# Two at a time, of which one compiles (tools/cmake/RunscTargets.cmake: runsc_test). A test that says nothing of its own
# time has three minutes: one that hangs shall not hang the rest.
exec ctest --test-dir build --output-on-failure --no-tests=error --parallel 2 --timeout 180 "$@"
