// HostNetwork: what the Sentry knows of the network namespace whose sockets the guest uses: rtnetlink(7),
// netdevice(7) and /proc/net, for reading only. All descriptors are opened before the Sentry confines itself,
// so that its policy needs neither open(2) nor sockets of these families.
//
// Without one (--network=off) the guest sees a loopback interface that the Sentry describes itself
// (netlink_route.h, network_device.cc).
//
// Owner: the process; made once at boot. Threading: any thread; a lock for the netlink socket.
// Linux counterpart: struct net.
#ifndef SENTRY_SOCKET_HOST_NETWORK_H_
#define SENTRY_SOCKET_HOST_NETWORK_H_

#include <net/if.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc {

class HostNetwork {
 public:
  // Files of /proc/net that are the host's own.
  static constexpr std::array<std::string_view, 12> kFiles = {"dev",        "tcp", "tcp6",     "udp",
                                                              "udp6",       "raw", "route",    "if_inet6",
                                                              "ipv6_route", "arp", "sockstat", "snmp"};

  // Opens what it needs in the caller's network namespace; what the host lacks stays closed.
  HostNetwork();
  HostNetwork(const HostNetwork&) = delete;
  HostNetwork& operator=(const HostNetwork&) = delete;

  std::vector<int> Descriptors() const;

  // The answers to one request of rtnetlink, of kind GET, each a datagram to `port`, at most
  // `limit`. ENOBUFS: the host had no more; what came until then is lost.
  Result<std::vector<std::string>> AskRoute(std::string_view request, uint32_t port, size_t limit)
      ABSL_LOCKS_EXCLUDED(mu_);
  // An ioctl of netdevice(7) that reads: SIOCGIF....
  Result<void> AskDevice(uint32_t request, ifreq* entry) const;
  // SIOCGIFCONF: the interfaces that have an address of IPv4.
  Result<std::vector<ifreq>> Interfaces() const;
  // The whole of kFiles[index] as it is now; "" if there is no such file.
  std::string ReadFile(size_t index) const;

 private:
  UniqueFd route_, device_;
  std::array<UniqueFd, kFiles.size()> files_;
  Mutex mu_{LockRank::kLeaf};  // a request and its answers
  uint32_t sequence_ ABSL_GUARDED_BY(mu_) = 0;
};

// The one of this process; null: there is none.
HostNetwork* GetHostNetwork();
// At boot, before there are other threads. `network` lives as long as the process.
void SetHostNetwork(HostNetwork* network);

}  // namespace runsc

#endif  // SENTRY_SOCKET_HOST_NETWORK_H_
