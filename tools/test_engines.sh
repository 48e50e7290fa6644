#!/bin/sh
# Container engines from Debian's packages driving runsc; installs those that are missing, as root.
#   tools/test_engines.sh [docker|podman|containerd|cri] [ARGUMENT OF THE TEST...]
# Arguments after -- are runsc's global flags, as: tools/test_engines.sh docker --only running -- --platform=ptrace
set -eu
cd "$(dirname "$0")/.."
packages="docker.io containerd podman crun runc containernetworking-plugins busybox-static iproute2 iptables
python3-grpcio python3-protobuf protobuf-compiler gcc"
missing=$(for p in $packages; do dpkg-query -W "$p" >/dev/null 2>&1 || echo "$p"; done)
if [ -n "$missing" ]; then
  # A daemon that the package would start is none of ours.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; ours=1; }
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
  [ -z "${ours:-}" ] || rm /usr/sbin/policy-rc.d
fi
tools/build.sh runsc
case ${1:-} in
  docker | podman | containerd | cri) engines=$1; shift ;;
  *) engines="docker podman containerd cri" ;;
esac
failed=0
for engine in $engines; do
  echo "== $engine"
  timeout -k 30 1200 python3 "test/engines/${engine}_test.py" build/bin/runsc "$@" || { [ $? = 77 ] || failed=1; }
done
exit $failed
