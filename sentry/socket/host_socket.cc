#include "sentry/socket/host_socket.h"

#include <linux/capability.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "sentry/socket/socket_family.h"
#include "sentry/wait/host_poller.h"

namespace runsc {
namespace {

uint32_t first_unprivileged_port = 1024;

constexpr size_t kMaxDatagram = 64 << 10;
constexpr int kSendFlags = MSG_OOB | MSG_MORE | MSG_DONTROUTE | MSG_CONFIRM | MSG_EOR;
constexpr int kReceiveFlags = MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE;

struct AddressBuffer {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  SocketAddress Take() const {
    return {std::string(reinterpret_cast<const char*>(&storage), std::min<size_t>(length, sizeof(storage)))};
  }
};

// The host's number, by which /proc/net names the socket: netstat(8) and others look for who has it open.
uint64_t InodeNumber(int fd) {
  struct stat stat;
  return syscall(SYS_fstat, fd, &stat) == 0 ? stat.st_ino : 0;
}

const sockaddr* HostAddress(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr*>(address.bytes.data());
}

}  // namespace

HostSocket::HostSocket(int family, int type, int protocol, int flags, UniqueFd fd)
    : SocketFile(family, type, protocol, flags, InodeNumber(fd.get())), fd_(std::move(fd)) {}

Result<RefPtr<SocketFile>> HostSocket::Create(Task& task, int family, int type, int protocol, int flags) {
  if (type == SOCK_RAW || type == SOCK_PACKET) return Errno(EPERM);
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return Errno(ESOCKTNOSUPPORT);
  UniqueFd fd;
  if (const auto& container = task.thread_group().container(); container && container->has_own_network()) {
    ASSIGN_OR_RETURN(fd, container->OpenSocket(family, type, protocol));
  } else {
    fd.reset(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (!fd) return HostErrno();
  }
  return RefPtr<SocketFile>(MakeRef<HostSocket>(family, type, protocol, flags, std::move(fd)));
}

HostSocket::~HostSocket() { HostPoller::Get().Forget(fd_.get()); }

Errno HostSocket::Failed(EventMask wait_for) {
  Errno error = HostErrno();
  if (error == EAGAIN || error == EINPROGRESS || error == EALREADY)
    HostPoller::Get().Arm(fd_.get(), wait_queue_, wait_for);
  return error;
}

Result<void> HostSocket::Bind(Task& task, const SocketAddress& address) {
  // The port stands at the same place in both kinds of address.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  sockaddr_in start{};
  std::memcpy(&start, address.bytes.data(), std::min(address.bytes.size(), sizeof(start)));
  const uint16_t port = ntohs(start.sin_port);
  if (port != 0 && port < first_unprivileged_port && !task.creds().HasCapability(CAP_NET_BIND_SERVICE))
    return Errno(EACCES);
  if (bind(fd_.get(), HostAddress(address), address.bytes.size()) != 0) return HostErrno();
  return Ok();
}

Result<void> HostSocket::Listen(Task& task, int backlog) {
  if (listen(fd_.get(), backlog) != 0) return HostErrno();
  return Ok();
}

Result<RefPtr<SocketFile>> HostSocket::Accept(int flags, SocketAddress* peer) {
  AddressBuffer address;
  UniqueFd fd(accept4(fd_.get(), address.get(), &address.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return Failed(EPOLLIN);
  *peer = address.Take();
  return RefPtr<SocketFile>(MakeRef<HostSocket>(family(), type(), protocol(), flags, std::move(fd)));
}

Result<void> HostSocket::Connect(Task& task, const SocketAddress& address) {
  if (connect(fd_.get(), HostAddress(address), address.bytes.size()) != 0) return Failed(EPOLLOUT);
  return Ok();
}

Result<size_t> HostSocket::Send(Task* task, IoSequence& from, SendRequest& request) {
  msghdr message{};
  if (!request.address.empty()) {
    message.msg_name = request.address.bytes.data();
    message.msg_namelen = request.address.bytes.size();
  }
  if (!request.control.empty()) {
    message.msg_control = request.control.data();
    message.msg_controllen = request.control.size();
  }
  int flags = (request.flags & kSendFlags) | MSG_DONTWAIT | MSG_NOSIGNAL;
  if (type() == SOCK_STREAM) {
    return from.WithBlocks(from.size(), MemoryAccess::kRead,
                           [&](std::span<const iovec> blocks) -> Result<size_t> {
                             message.msg_iov = const_cast<iovec*>(blocks.data());
                             message.msg_iovlen = blocks.size();
                             ssize_t sent = sendmsg(fd_.get(), &message, flags);
                             if (sent < 0) return Failed(EPOLLOUT);
                             return static_cast<size_t>(sent);
                           });
  }
  if (from.size() > kMaxDatagram) return Errno(EMSGSIZE);
  IoSequence again = from;
  std::string data(from.size(), '\0');
  ASSIGN_OR_RETURN(size_t length, from.CopyIn(std::as_writable_bytes(std::span(data))));
  if (length < data.size()) return Errno(EFAULT);
  iovec block{data.data(), data.size()};
  message.msg_iov = &block;
  message.msg_iovlen = 1;
  ssize_t sent = sendmsg(fd_.get(), &message, flags);
  if (sent < 0) {
    Errno error = Failed(EPOLLOUT);
    from = again;
    return error;
  }
  return static_cast<size_t>(sent);
}

Result<size_t> HostSocket::Receive(IoSequence& to, int flags, ReceivedMessage* received) {
  AddressBuffer address;
  alignas(cmsghdr) std::array<char, 1024> control;
  auto receive = [&](std::span<const iovec> blocks) -> Result<size_t> {
    msghdr message{};
    address.length = sizeof(address.storage);
    message.msg_name = address.get();
    message.msg_namelen = address.length;
    message.msg_iov = const_cast<iovec*>(blocks.data());
    message.msg_iovlen = blocks.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = recvmsg(fd_.get(), &message, (flags & kReceiveFlags) | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) return Failed((flags & MSG_OOB) != 0 ? EPOLLPRI : EPOLLIN);
    address.length = message.msg_namelen;
    received->flags |= message.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_EOR | MSG_OOB | MSG_ERRQUEUE);
    received->control.assign(control.data(), message.msg_controllen);
    return static_cast<size_t>(got);
  };
  if (type() == SOCK_STREAM && (flags & MSG_TRUNC) == 0) {
    ASSIGN_OR_RETURN(size_t got, to.WithBlocks(to.size(), MemoryAccess::kWrite, receive));
    received->length = got;
    return got;
  }
  std::string data(std::min(to.size(), kMaxDatagram), '\0');
  iovec block{data.data(), data.size()};
  ASSIGN_OR_RETURN(size_t length, receive(std::span(&block, 1)));
  received->length = length;
  if (address.length > 0) received->address = address.Take();
  size_t kept = std::min(length, data.size());
  if ((flags & MSG_TRUNC) != 0 && type() == SOCK_STREAM) return kept;  // thrown away, as asked for
  return to.CopyOut(std::as_bytes(std::span(data).first(kept)));
}

Result<void> HostSocket::Shutdown(int how) {
  if (shutdown(fd_.get(), how) != 0) return HostErrno();
  wait_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP);
  return Ok();
}

Result<SocketAddress> HostSocket::LocalAddress() {
  AddressBuffer address;
  if (getsockname(fd_.get(), address.get(), &address.length) != 0) return HostErrno();
  return address.Take();
}

Result<SocketAddress> HostSocket::PeerAddress() {
  AddressBuffer address;
  if (getpeername(fd_.get(), address.get(), &address.length) != 0) return HostErrno();
  return address.Take();
}

EventMask HostSocket::Readiness(EventMask mask) {
  // EPOLL* and POLL* bits are the same numbers.
  pollfd entry{fd_.get(), static_cast<short>(mask & 0x7fff), 0};
  if (poll(&entry, 1, 0) < 0) return 0;
  EventMask events = static_cast<EventMask>(static_cast<unsigned short>(entry.revents));
  HostPoller::Get().ArmMissing(fd_.get(), wait_queue_, mask, events);
  return events & (mask | EPOLLERR | EPOLLHUP);
}

void HostSocket::WatchEdges() { HostPoller::Get().WatchEdges(fd_.get(), wait_queue_); }

Result<int> HostSocket::UnreadBytes() {
  int bytes = 0;
  if (ioctl(fd_.get(), FIONREAD, &bytes) != 0) return HostErrno();
  return bytes;
}

Result<int> HostSocket::UnsentBytes() {
  int bytes = 0;
  if (ioctl(fd_.get(), SIOCOUTQ, &bytes) != 0) return HostErrno();
  return bytes;
}

Result<int64_t> HostSocket::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  switch (request) {
    case SIOCATMARK: {
      int at_mark = 0;
      if (ioctl(fd_.get(), SIOCATMARK, &at_mark) != 0) return HostErrno();
      RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{at_mark}));
      return 0;
    }
    default:
      return SocketFile::Ioctl(memory, request, argument);
  }
}

void RegisterHostNetwork(uint32_t first_free_port) {
  first_unprivileged_port = first_free_port;
  for (int family : {AF_INET, AF_INET6}) {
    RegisterSocketFamily(family, [family](Task& task, int type, int protocol, int flags) {
      return HostSocket::Create(task, family, type, protocol, flags);
    });
  }
}

}  // namespace runsc
