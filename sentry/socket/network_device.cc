// netdevice(7): the ioctls that if_nametoindex(3), ifconfig and others make on any socket. Of the host's
// interfaces where there is a HostNetwork, else of one that is made up here, lo.
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "sentry/socket/host_network.h"
#include "sentry/socket/socket_file.h"

namespace runsc {
namespace {

constexpr int kLoopbackIndex = 1;
constexpr char kLoopbackName[] = "lo";
constexpr int kLoopbackMtu = 65536;

sockaddr InternetAddress(uint32_t address) {
  sockaddr_in internet{};
  internet.sin_family = AF_INET;
  internet.sin_addr.s_addr = htonl(address);
  sockaddr generic;
  static_assert(sizeof(generic) == sizeof(internet));
  std::memcpy(&generic, &internet, sizeof(generic));
  return generic;
}

Result<std::vector<ifreq>> ConfiguredInterfaces() {
  if (HostNetwork* network = NetworkOfTask()) return network->Interfaces();
  ifreq loopback{};
  std::memcpy(loopback.ifr_name, kLoopbackName, sizeof(kLoopbackName));
  loopback.ifr_addr = InternetAddress(INADDR_LOOPBACK);
  return std::vector<ifreq>{loopback};
}

Result<int64_t> GetConfiguration(UserMemory& memory, uint64_t argument) {
  struct Configuration {  // struct ifconf
    int32_t length;
    int32_t padding;
    uint64_t buffer;
  };
  ASSIGN_OR_RETURN(Configuration configuration, memory.Read(UserPtr<Configuration>(argument)));
  ASSIGN_OR_RETURN(std::vector<ifreq> entries, ConfiguredInterfaces());
  // With no buffer, the length that one would need.
  if (configuration.buffer != 0) {
    entries.resize(
        std::min(entries.size(), static_cast<size_t>(std::max(configuration.length, 0)) / sizeof(ifreq)));
    RETURN_IF_ERROR(memory.WriteArray(UserPtr<ifreq>(configuration.buffer), std::span<const ifreq>(entries)));
  }
  configuration.length = static_cast<int32_t>(entries.size() * sizeof(ifreq));
  RETURN_IF_ERROR(memory.Write(UserPtr<Configuration>(argument), configuration));
  return 0;
}

}  // namespace

Result<int64_t> NetworkDeviceIoctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  if (request == SIOCGIFCONF) return GetConfiguration(memory, argument);
  switch (request) {
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFHWADDR:
    case SIOCGIFMTU:
    case SIOCGIFMETRIC:
    case SIOCGIFTXQLEN:
      break;
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFMTU:
    case SIOCSIFNAME:
      return Errno(EPERM);
    default:
      return Errno(ENOTTY);
  }
  ASSIGN_OR_RETURN(ifreq entry, memory.Read(UserPtr<ifreq>(argument)));
  entry.ifr_name[IFNAMSIZ - 1] = '\0';
  if (HostNetwork* network = NetworkOfTask()) {
    RETURN_IF_ERROR(network->AskDevice(request, &entry));
    RETURN_IF_ERROR(memory.Write(UserPtr<ifreq>(argument), entry));
    return 0;
  }
  if (request == SIOCGIFNAME) {
    if (entry.ifr_ifindex != kLoopbackIndex) return Errno(ENODEV);
    std::memset(entry.ifr_name, 0, sizeof(entry.ifr_name));
    std::memcpy(entry.ifr_name, kLoopbackName, sizeof(kLoopbackName));
  } else {
    if (std::strcmp(entry.ifr_name, kLoopbackName) != 0) return Errno(ENODEV);
    std::memset(&entry.ifr_ifru, 0, sizeof(entry.ifr_ifru));
  }
  switch (request) {
    case SIOCGIFINDEX:
      entry.ifr_ifindex = kLoopbackIndex;
      break;
    case SIOCGIFFLAGS:
      entry.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
      break;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
      entry.ifr_addr = InternetAddress(INADDR_LOOPBACK);
      break;
    case SIOCGIFNETMASK:
      entry.ifr_addr = InternetAddress(0xff000000);
      break;
    case SIOCGIFBRDADDR:
      entry.ifr_addr = InternetAddress(0);
      break;
    case SIOCGIFHWADDR:
      entry.ifr_hwaddr.sa_family = ARPHRD_LOOPBACK;
      break;
    case SIOCGIFMTU:
      entry.ifr_mtu = kLoopbackMtu;
      break;
    case SIOCGIFTXQLEN:
      entry.ifr_qlen = 1000;
      break;
    default:
      break;
  }
  RETURN_IF_ERROR(memory.Write(UserPtr<ifreq>(argument), entry));
  return 0;
}

}  // namespace runsc
