#include "runsc/sandbox/network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "platform/base/unique_fd.h"
#include "runsc/sandbox/sandbox.h"

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

void AllowPortsAndPing() {
  auto set = [](const char* name, const std::string& value) {
    UniqueFd file(::open((std::string("/proc/sys/net/ipv4/") + name).c_str(), O_WRONLY | O_CLOEXEC));
    if (file) (void)!::write(file.get(), value.data(), value.size());
  };
  set("ip_unprivileged_port_start", "0");
  const uint32_t gid = ::geteuid() == 0 ? kNobody : ::getegid();
  set("ping_group_range", fmt::format("{0} {0}", gid));
}

}  // namespace runsc
