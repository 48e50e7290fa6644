#include "runsc/sandbox/network.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "platform/base/unique_fd.h"

namespace runsc {

void ChooseNetwork(std::string_view name, std::string_view by_default, BootOptions& options) {
  if (name.empty()) name = by_default;
  options.host_sockets = name != "off";
  options.own_network = name != "host";
}

void BringLoopbackUp() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  ::strcpy(request.ifr_name, "lo");
  if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return;
  request.ifr_flags |= IFF_UP;
  (void)::ioctl(socket.get(), SIOCSIFFLAGS, &request);
}

void AllowAllPorts() {
  UniqueFd file(::open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC));
  if (file) (void)!::write(file.get(), "0", 1);
}

}  // namespace runsc
