// How sockets are made: a family registers what makes its sockets at boot.
// Threading: registration before the first task runs. Linux counterpart: net_proto_family.
#ifndef SENTRY_SOCKET_SOCKET_FAMILY_H_
#define SENTRY_SOCKET_SOCKET_FAMILY_H_

#include <functional>

#include "sentry/socket/socket_file.h"

namespace runsc {

// `type` without SOCK_NONBLOCK and SOCK_CLOEXEC; `flags`: O_NONBLOCK or 0.
using SocketMaker = std::function<Result<RefPtr<SocketFile>>(Task& task, int type, int protocol, int flags)>;

// AF_UNIX and AF_NETLINK are there from the start.
void RegisterSocketFamily(int family, SocketMaker maker);
// EAFNOSUPPORT, and what the family says.
Result<RefPtr<SocketFile>> MakeSocket(Task& task, int family, int type, int protocol, int flags);

}  // namespace runsc

#endif  // SENTRY_SOCKET_SOCKET_FAMILY_H_
