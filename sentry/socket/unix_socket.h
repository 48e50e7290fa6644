// UnixSocket: the open file of a unix(7) socket.
#ifndef SENTRY_SOCKET_UNIX_SOCKET_H_
#define SENTRY_SOCKET_UNIX_SOCKET_H_

#include <atomic>

#include "sentry/socket/unix_endpoint.h"

namespace runsc {

class UnixSocket final : public SocketFile {
 public:
  // EPROTONOSUPPORT, ESOCKTNOSUPPORT. `type` without SOCK_NONBLOCK and SOCK_CLOEXEC.
  static Result<RefPtr<SocketFile>> Create(int type, int protocol, int flags);
  static Result<std::pair<RefPtr<SocketFile>, RefPtr<SocketFile>>> CreatePair(Task& task, int type,
                                                                              int protocol, int flags);
  UnixSocket(RefPtr<UnixEndpoint> endpoint, int flags);
  ~UnixSocket() override;
  UnixEndpoint& endpoint() { return *endpoint_; }

  Result<void> Bind(Task& task, const SocketAddress& address) override;
  Result<void> Listen(Task& task, int backlog) override;
  Result<RefPtr<SocketFile>> Accept(int flags, SocketAddress* peer) override;
  Result<void> Connect(Task& task, const SocketAddress& address) override;
  Result<size_t> Send(Task* task, IoSequence& from, SendRequest& request) override;
  Result<size_t> Receive(IoSequence& to, int flags, ReceivedMessage* message) override;
  Result<void> Shutdown(int how) override { return endpoint_->Shutdown(how); }
  Result<SocketAddress> LocalAddress() override { return endpoint_->LocalAddress(); }
  Result<SocketAddress> PeerAddress() override { return endpoint_->PeerAddress(); }
  EventMask Readiness(EventMask mask) override {
    return endpoint_->Readiness() & (mask | EPOLLERR | EPOLLHUP);
  }
  WaitQueue* wait_queue() override { return &endpoint_->wait_queue(); }

  // How many messages hold this file (the collector's lock guards it).
  int in_flight = 0;

 protected:
  int TakeError() override { return endpoint_->TakeError(); }
  bool IsListening() const override { return endpoint_->IsListening(); }
  SocketCredentials PeerCredentials() const override { return endpoint_->peer_credentials(); }
  void SendBufferChanged(int bytes) override { endpoint_->SetSendLimit(bytes); }
  Result<int> UnreadBytes() override { return endpoint_->UnreadBytes(); }
  Result<int> UnsentBytes() override { return endpoint_->UnsentBytes(); }
  Result<bool> IsAtUrgentMark() override { return endpoint_->IsAtUrgentMark(); }

 private:
  const RefPtr<UnixEndpoint> endpoint_;
};

// The bytes behind sun_family; a path ends with one NUL. EINVAL, ENAMETOOLONG never: see unix(7).
Result<std::string> ParseUnixAddress(const SocketAddress& address);

}  // namespace runsc

#endif  // SENTRY_SOCKET_UNIX_SOCKET_H_
