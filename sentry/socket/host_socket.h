// HostSocket: an internet socket of the guest that is one of the host's, in the network namespace that the
// Sentry is in. Every argument is checked and copied; options that reach beyond the socket are not passed on.
//
// The host descriptor is non-blocking; HostPoller tells when to try again.
// Threading: any thread.
#ifndef SENTRY_SOCKET_HOST_SOCKET_H_
#define SENTRY_SOCKET_HOST_SOCKET_H_

#include "platform/base/unique_fd.h"
#include "sentry/socket/socket_file.h"

namespace runsc {

class HostSocket final : public SocketFile {
 public:
  // EPERM: raw sockets; else as socket(2).
  static Result<RefPtr<SocketFile>> Create(Task& task, int family, int type, int protocol, int flags);
  HostSocket(int family, int type, int protocol, int flags, UniqueFd fd);
  ~HostSocket() override;

  Result<void> Bind(Task& task, const SocketAddress& address) override;
  Result<void> Listen(Task& task, int backlog) override;
  Result<RefPtr<SocketFile>> Accept(int flags, SocketAddress* peer) override;
  Result<void> Connect(Task& task, const SocketAddress& address) override;
  Result<size_t> Send(Task* task, IoSequence& from, SendRequest& request) override;
  Result<size_t> Receive(IoSequence& to, int flags, ReceivedMessage* message) override;
  Result<void> Shutdown(int how) override;
  Result<SocketAddress> LocalAddress() override;
  Result<SocketAddress> PeerAddress() override;
  Result<std::string> GetOption(Task& task, int level, int name, size_t limit) override;
  Result<void> SetOption(Task& task, int level, int name, std::string_view value) override;
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &wait_queue_; }
  void WatchEdges() override;

 protected:
  Result<int> UnreadBytes() override;
  Result<int> UnsentBytes() override;

 private:
  // The errno of a host call that failed; arms the poller if it would have blocked.
  Errno Failed(EventMask wait_for);

  const UniqueFd fd_;
  WaitQueue wait_queue_;
};

// AF_INET and AF_INET6; before the first task runs. Ports below `first_free_port` are for who has
// CAP_NET_BIND_SERVICE.
void RegisterHostNetwork(uint32_t first_free_port);

}  // namespace runsc

#endif  // SENTRY_SOCKET_HOST_SOCKET_H_
