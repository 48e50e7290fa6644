#!/bin/sh
# Fails if clang-format would change a tracked file. `tools/check_format.sh --fix` changes them.
set -eu
cd "$(dirname "$0")/.."
command -v clang-format >/dev/null || { echo "SKIPPED: clang-format is not installed"; exit 77; }
mode='--dry-run -Werror'
[ "${1:-}" != --fix ] || mode=-i
# shellcheck disable=SC2086
git ls-files -z '*.h' '*.cc' ':!third_party' | xargs -0 -P "$(nproc)" -n 16 clang-format $mode --style=file
