#!/bin/sh
# Container engines from Debian's packages driving runsc; installs those that are missing, as root.
#   tools/test_engines.sh [docker|podman|containerd|cri|systemd|machine] [ARGUMENT OF THE TEST...]
# Arguments after -- are runsc's global flags, as: tools/test_engines.sh docker --only running -- --platform=ptrace
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
  docker | podman | containerd | cri | systemd | machine) engines=$1; shift ;;
  *) engines="docker podman containerd cri systemd" ;;
esac
packages="busybox-static iproute2"
for engine in $engines; do
  case $engine in
    docker) packages="$packages docker.io containerd runc crun iptables" ;;
    podman) packages="$packages podman runc crun containernetworking-plugins iptables" ;;
    containerd) packages="$packages containerd runc" ;;
    systemd) packages="$packages systemd dbus util-linux podman conmon containerd docker.io containernetworking-plugins python3-grpcio python3-protobuf protobuf-compiler gcc" ;;
    # Not an engine, but another kernel, with AppArmor, SELinux and all controllers.
    machine) packages="$packages qemu-system-x86 seabios apparmor checkpolicy crun" ;;
    cri) packages="$packages containerd runc containernetworking-plugins iptables python3-grpcio python3-protobuf protobuf-compiler gcc" ;;
  esac
done
missing=$(for p in $packages; do dpkg-query -W "$p" >/dev/null 2>&1 || echo "$p"; done)
if [ -n "$missing" ]; then
  # shellcheck disable=SC2086
  [ "$(id -u)" = 0 ] || { echo "SKIPPED: not installed, and only root can:" $missing; exit 77; }
  # A daemon that the package would start is none of ours.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; ours=1; }
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
  [ -z "${ours:-}" ] || rm /usr/sbin/policy-rc.d
fi
tools/build.sh runsc
case $engines in
  *machine*)
    # Unpacked, not installed: it is only to be booted in an emulator.
    if [ ! -d build/kernel/boot ]; then
      mkdir -p build/kernel
      image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
      (cd build/kernel && apt-get download -qq "$image" && dpkg -x "$image"_*.deb . && rm -rf "$image"_*.deb lib usr) ||
        echo "tools/test_engines.sh: cannot fetch a kernel" >&2
    fi
    ;;
esac
failed=0
skipped=1
for engine in $engines; do
  echo "== $engine"
  code=0
  timeout -k 30 1200 python3 "test/engines/${engine}_test.py" build/bin/runsc "$@" || code=$?
  [ $code = 77 ] || skipped=0
  [ $code = 77 ] || [ $code = 0 ] || failed=1
done
[ $skipped = 0 ] || exit 77
exit $failed
