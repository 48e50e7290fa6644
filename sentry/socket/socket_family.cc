#include "sentry/socket/socket_family.h"

#include <array>

#include "sentry/socket/netlink_socket.h"
#include "sentry/socket/unix_socket.h"

namespace runsc {
namespace {

constexpr int kFamilies = 46;  // AF_MAX

std::array<SocketMaker, kFamilies>& Makers() {
  static auto* const makers = [] {
    auto* made = new std::array<SocketMaker, kFamilies>;
    (*made)[AF_UNIX] = [](Task&, int type, int protocol, int flags) {
      return UnixSocket::Create(type, protocol, flags);
    };
    (*made)[AF_NETLINK] = NetlinkSocket::Create;
    return made;
  }();
  return *makers;
}

}  // namespace

void RegisterSocketFamily(int family, SocketMaker maker) { Makers()[family] = std::move(maker); }

Result<RefPtr<SocketFile>> MakeSocket(Task& task, int family, int type, int protocol, int flags) {
  constexpr int kMaxType = SOCK_PACKET;
  if (family < 0 || family >= kFamilies) return Errno(EAFNOSUPPORT);
  if (type < 0 || type > kMaxType) return Errno(EINVAL);
  const SocketMaker& maker = Makers()[family];
  if (!maker) return Errno(EAFNOSUPPORT);
  return maker(task, type, protocol, flags);
}

}  // namespace runsc
