// NetlinkSocket: AF_NETLINK, protocol ROUTE. A request is answered at once, into the socket's queue
// (netlink_route.h). Threading: any thread; `mu_` guards the queue. Linux counterpart:
// net/netlink/af_netlink.c, net/core/rtnetlink.c; netlink(7), rtnetlink(7).
#ifndef SENTRY_SOCKET_NETLINK_SOCKET_H_
#define SENTRY_SOCKET_NETLINK_SOCKET_H_

#include <deque>

#include "sentry/socket/socket_file.h"

namespace runsc {

class NetlinkSocket final : public SocketFile {
 public:
  // EPROTONOSUPPORT, ESOCKTNOSUPPORT.
  static Result<RefPtr<SocketFile>> Create(Task& task, int type, int protocol, int flags);
  using SocketFile::SocketFile;

  Result<void> Bind(Task& task, const SocketAddress& address) override;
  Result<void> Connect(Task& task, const SocketAddress& address) override;
  Result<size_t> Send(Task* task, IoSequence& from, SendRequest& request) override;
  Result<size_t> Receive(IoSequence& to, int flags, ReceivedMessage* message) override;
  Result<SocketAddress> LocalAddress() override;
  Result<SocketAddress> PeerAddress() override;
  Result<std::string> GetOption(Task& task, int level, int name, size_t limit) override;
  Result<void> SetOption(Task& task, int level, int name, std::string_view value) override;
  // A datagram from the kernel; lost if the queue is full.
  void Deliver(std::string datagram);
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &wait_queue_; }

 private:
  uint32_t PortId(Task* task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  WaitQueue wait_queue_;
  Mutex mu_{LockRank::kSocket};
  uint32_t port_ ABSL_GUARDED_BY(mu_) = 0;  // 0: not bound
  uint32_t groups_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::string> queue_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_SOCKET_NETLINK_SOCKET_H_
