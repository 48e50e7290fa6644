// The options of internet sockets that reach the host: ip(7), ipv6(7), tcp(7), udp(7).
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <algorithm>

#include "sentry/socket/host_socket.h"

namespace runsc {
namespace {

constexpr size_t kMaxOption = 512;

enum class Route : uint8_t { kOwn, kHost, kRefuse };

// Who answers an option: the Sentry itself, the host's socket, or nobody.
Route RouteOf(int level, int name) {
  switch (level) {
    case SOL_SOCKET:
      switch (name) {
        case SO_ERROR:
        case SO_ACCEPTCONN:
        case SO_REUSEADDR:
        case SO_REUSEPORT:
        case SO_KEEPALIVE:
        case SO_BROADCAST:
        case SO_LINGER:
        case SO_SNDBUF:
        case SO_RCVBUF:
        case SO_OOBINLINE:
        case SO_DONTROUTE:
        case SO_NO_CHECK:
        case SO_TIMESTAMP:
        case SO_TIMESTAMPNS:
        case SO_RCVLOWAT:
        case SO_INCOMING_CPU:
        case SO_PROTOCOL:
          return Route::kHost;
        default:
          return Route::kOwn;
      }
    case IPPROTO_TCP:
      switch (name) {
        case TCP_NODELAY:
        case TCP_MAXSEG:
        case TCP_CORK:
        case TCP_KEEPIDLE:
        case TCP_KEEPINTVL:
        case TCP_KEEPCNT:
        case TCP_SYNCNT:
        case TCP_LINGER2:
        case TCP_DEFER_ACCEPT:
        case TCP_WINDOW_CLAMP:
        case TCP_INFO:
        case TCP_QUICKACK:
        case TCP_CONGESTION:
        case TCP_USER_TIMEOUT:
        case TCP_FASTOPEN:
        case TCP_FASTOPEN_CONNECT:
        case TCP_NOTSENT_LOWAT:
        case TCP_INQ:
        case TCP_THIN_LINEAR_TIMEOUTS:
        case TCP_THIN_DUPACK:
        case TCP_SAVE_SYN:
        case TCP_SAVED_SYN:
        case TCP_CC_INFO:
          return Route::kHost;
        default:
          return Route::kRefuse;
      }
    case IPPROTO_IP:
      switch (name) {
        case IP_TOS:
        case IP_TTL:
        case IP_PKTINFO:
        case IP_RECVTOS:
        case IP_RECVTTL:
        case IP_RECVERR:
        case IP_MTU:
        case IP_MTU_DISCOVER:
        case IP_RECVORIGDSTADDR:
        case IP_FREEBIND:
        case IP_BIND_ADDRESS_NO_PORT:
        case IP_MULTICAST_TTL:
        case IP_MULTICAST_LOOP:
        case IP_MULTICAST_IF:
        case IP_ADD_MEMBERSHIP:
        case IP_DROP_MEMBERSHIP:
        case IP_ADD_SOURCE_MEMBERSHIP:
        case IP_DROP_SOURCE_MEMBERSHIP:
        case IP_BLOCK_SOURCE:
        case IP_UNBLOCK_SOURCE:
        case MCAST_JOIN_GROUP:
        case MCAST_LEAVE_GROUP:
        case IP_MULTICAST_ALL:
        case IP_RETOPTS:
        case IP_MINTTL:
          return Route::kHost;
        default:
          return Route::kRefuse;
      }
    case IPPROTO_IPV6:
      switch (name) {
        case IPV6_V6ONLY:
        case IPV6_UNICAST_HOPS:
        case IPV6_MULTICAST_HOPS:
        case IPV6_MULTICAST_LOOP:
        case IPV6_MULTICAST_IF:
        case IPV6_RECVPKTINFO:
        case IPV6_RECVTCLASS:
        case IPV6_RECVHOPLIMIT:
        case IPV6_RECVERR:
        case IPV6_TCLASS:
        case IPV6_MTU:
        case IPV6_MTU_DISCOVER:
        case IPV6_JOIN_GROUP:
        case IPV6_LEAVE_GROUP:
        case MCAST_JOIN_GROUP:
        case MCAST_LEAVE_GROUP:
        case IPV6_MULTICAST_ALL:
        case IPV6_MINHOPCOUNT:
        case IPV6_ADDR_PREFERENCES:
        case IPV6_DONTFRAG:
        case IPV6_FREEBIND:
          return Route::kHost;
        default:
          return Route::kRefuse;
      }
    case IPPROTO_UDP:
      return name == UDP_CORK || name == UDP_SEGMENT || name == UDP_GRO ? Route::kHost : Route::kRefuse;
    default:
      return Route::kRefuse;
  }
}

}  // namespace

Result<std::string> HostSocket::GetOption(Task& task, int level, int name, size_t limit) {
  switch (RouteOf(level, name)) {
    case Route::kOwn:
      return SocketFile::GetOption(task, level, name, limit);
    case Route::kRefuse:
      return Errno(ENOPROTOOPT);
    case Route::kHost:
      break;
  }
  std::string value(std::min(limit, kMaxOption), '\0');
  socklen_t length = value.size();
  if (getsockopt(fd_.get(), level, name, value.data(), &length) != 0) return HostErrno();
  value.resize(std::min<size_t>(length, value.size()));
  return value;
}

Result<void> HostSocket::SetOption(Task& task, int level, int name, std::string_view value) {
  switch (RouteOf(level, name)) {
    case Route::kOwn:
      return SocketFile::SetOption(task, level, name, value);
    case Route::kRefuse:
      return Errno(ENOPROTOOPT);
    case Route::kHost:
      break;
  }
  if (value.size() > kMaxOption) return Errno(EINVAL);
  if (setsockopt(fd_.get(), level, name, value.data(), value.size()) != 0) return HostErrno();
  return Ok();
}

}  // namespace runsc
