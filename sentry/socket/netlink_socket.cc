#include "sentry/socket/netlink_socket.h"

#include <linux/netlink.h>

#include <cstring>
#include <iterator>

#include "sentry/socket/netlink_route.h"

namespace runsc {
namespace {

constexpr size_t kMaxRequest = 32 << 10;
constexpr size_t kMaxQueued = 256;
}  // namespace

Result<RefPtr<SocketFile>> NetlinkSocket::Create(Task& task, int type, int protocol, int flags) {
  if (type != SOCK_RAW && type != SOCK_DGRAM) return Errno(ESOCKTNOSUPPORT);
  if (protocol != NETLINK_ROUTE) return Errno(EPROTONOSUPPORT);
  return RefPtr<SocketFile>(MakeRef<NetlinkSocket>(AF_NETLINK, type, protocol, flags));
}

uint32_t NetlinkSocket::PortId(Task* task) {
  if (port_ == 0) {
    // The first socket of a process has its pid, the others numbers that no pid has.
    static std::atomic<uint32_t> next{UINT32_MAX - 4096};
    static std::atomic<bool> pid_taken{false};
    bool first = task != nullptr && !pid_taken.exchange(true);
    port_ = first ? static_cast<uint32_t>(task->thread_group().pid()) : next.fetch_sub(1);
  }
  return port_;
}

Result<void> NetlinkSocket::Bind(Task& task, const SocketAddress& address) {
  sockaddr_nl name;
  if (address.bytes.size() < sizeof(name) || address.family() != AF_NETLINK) return Errno(EINVAL);
  std::memcpy(&name, address.bytes.data(), sizeof(name));
  MutexLock lock(mu_);
  if (port_ != 0 && name.nl_pid != 0 && name.nl_pid != port_) return Errno(EINVAL);
  if (name.nl_pid != 0) port_ = name.nl_pid;
  PortId(&task);
  groups_ = name.nl_groups;
  return Ok();
}

Result<void> NetlinkSocket::Connect(Task& task, const SocketAddress& address) {
  if (address.family() == AF_UNSPEC) return Ok();
  if (address.bytes.size() < sizeof(sockaddr_nl) || address.family() != AF_NETLINK) return Errno(EINVAL);
  MutexLock lock(mu_);
  PortId(&task);
  return Ok();
}

Result<size_t> NetlinkSocket::Send(Task* task, IoSequence& from, SendRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return Errno(EOPNOTSUPP);
  if (!request.address.empty()) {
    sockaddr_nl name;
    if (request.address.bytes.size() < sizeof(name) || request.address.family() != AF_NETLINK)
      return Errno(EINVAL);
    std::memcpy(&name, request.address.bytes.data(), sizeof(name));
    if (name.nl_pid != 0) return Errno(ECONNREFUSED);
    if (name.nl_groups != 0) return Errno(EPERM);
  }
  if (from.size() > kMaxRequest) return Errno(EMSGSIZE);
  std::string bytes(from.size(), '\0');
  ASSIGN_OR_RETURN(size_t length, from.CopyIn(std::as_writable_bytes(std::span(bytes))));
  bytes.resize(length);
  uint32_t port;
  {
    MutexLock lock(mu_);
    if (queue_.size() > kMaxQueued) return Errno(ENOBUFS);
    port = PortId(task);
  }
  std::vector<std::string> answers = AnswerRouteRequests(NetworkOfTask(), bytes, port, kMaxQueued);
  {
    MutexLock lock(mu_);
    std::move(answers.begin(), answers.end(), std::back_inserter(queue_));
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return length;
}

Result<size_t> NetlinkSocket::Receive(IoSequence& to, int flags, ReceivedMessage* message) {
  MutexLock lock(mu_);
  if (queue_.empty()) return Errno(EAGAIN);
  const std::string& front = queue_.front();
  message->length = front.size();
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  message->address = {std::string(reinterpret_cast<const char*>(&kernel), sizeof(kernel))};
  if (pass_credentials()) message->credentials = SocketCredentials{nullptr, 0, 0, 0};
  ASSIGN_OR_RETURN(size_t copied, to.CopyOut(std::as_bytes(std::span(front))));
  if (copied < front.size()) message->flags |= MSG_TRUNC;
  if ((flags & MSG_PEEK) == 0) queue_.pop_front();
  return copied;
}

Result<SocketAddress> NetlinkSocket::LocalAddress() {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  MutexLock lock(mu_);
  name.nl_pid = port_;
  name.nl_groups = groups_;
  return SocketAddress{std::string(reinterpret_cast<const char*>(&name), sizeof(name))};
}

Result<SocketAddress> NetlinkSocket::PeerAddress() {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  return SocketAddress{std::string(reinterpret_cast<const char*>(&name), sizeof(name))};
}

Result<std::string> NetlinkSocket::GetOption(Task& task, int level, int name, size_t limit) {
  if (level != SOL_NETLINK) return SocketFile::GetOption(task, level, name, limit);
  return std::string(sizeof(int), '\0');
}

Result<void> NetlinkSocket::SetOption(Task& task, int level, int name, std::string_view value) {
  if (level != SOL_NETLINK) return SocketFile::SetOption(task, level, name, value);
  switch (name) {
    case NETLINK_ADD_MEMBERSHIP:  // nothing ever changes, so nothing is ever told
    case NETLINK_DROP_MEMBERSHIP:
    case NETLINK_PKTINFO:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
    case NETLINK_CAP_ACK:
    case NETLINK_NO_ENOBUFS:
      return Ok();
    default:
      return Errno(ENOPROTOOPT);
  }
}

void NetlinkSocket::Deliver(std::string datagram) {
  {
    MutexLock lock(mu_);
    if (queue_.size() > kMaxQueued) return;
    queue_.push_back(std::move(datagram));
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

EventMask NetlinkSocket::Readiness(EventMask mask) {
  MutexLock lock(mu_);
  EventMask events = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
  if (!queue_.empty()) events |= EPOLLIN | EPOLLRDNORM;
  return events & mask;
}

}  // namespace runsc
