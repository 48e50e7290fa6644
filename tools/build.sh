#!/bin/sh
# Builds runsc (build/bin/runsc) and its tests, from a bare Debian 12 on: missing packages
# are installed when this runs as root or sudo works. Does little when all is up to date.
#   tools/build.sh [target...]
set -eu
cd "$(dirname "$0")/.."

packages="g++ cmake ninja-build pkg-config python3 libabsl-dev libboost-dev libseccomp-dev libfmt-dev
catch2 libprotobuf-dev protobuf-compiler nlohmann-json3-dev libcap-dev"
[ -z "${RUNSC_CHECKS:-}" ] || packages="$packages clang clang-format libclang-rt-14-dev busybox-static runc crun"

if command -v dpkg-query >/dev/null; then
  # shellcheck disable=SC2086
  missing=$(for p in $packages; do
    [ -e "/var/lib/dpkg/info/$p.list" ] || [ -e "/var/lib/dpkg/info/$p:amd64.list" ] || echo "$p"
  done)
  if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    # shellcheck disable=SC2086
    echo "tools/build.sh: installing" $missing >&2
    if ! { $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
      $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >&2; then
      echo "tools/build.sh: could not install these packages; install them, then run this again:" $missing >&2
      exit 1
    fi
  fi
fi

if [ ! -f build/build.ninja ]; then
  launcher=
  if command -v ccache >/dev/null; then
    launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DRUNSC_PCH=OFF"
  fi
  # shellcheck disable=SC2086
  cmake --preset release $launcher
fi
exec ninja -C build "$@"
