#include "sentry/socket/unix_socket.h"

#include <sys/un.h>

namespace runsc {

Result<std::string> ParseUnixAddress(const SocketAddress& address) {
  constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
  if (address.bytes.size() <= kPathOffset || address.bytes.size() > sizeof(sockaddr_un) ||
      address.family() != AF_UNIX)
    return Errno(EINVAL);
  std::string name = address.bytes.substr(kPathOffset);
  if (name[0] == '\0') return name;
  name.resize(std::min(name.size(), name.find('\0')));
  name += '\0';
  return name;
}

Result<RefPtr<SocketFile>> UnixSocket::Create(int type, int protocol, int flags) {
  if (protocol != 0 && protocol != AF_UNIX) return Errno(EPROTONOSUPPORT);
  if (type == SOCK_RAW) type = SOCK_DGRAM;  // as unix_create() has it
  if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET) return Errno(ESOCKTNOSUPPORT);
  return RefPtr<SocketFile>(MakeRef<UnixSocket>(MakeRef<UnixEndpoint>(type), flags));
}

Result<std::pair<RefPtr<SocketFile>, RefPtr<SocketFile>>> UnixSocket::CreatePair(Task& task, int type,
                                                                                 int protocol, int flags) {
  ASSIGN_OR_RETURN(RefPtr<SocketFile> a, Create(type, protocol, flags));
  ASSIGN_OR_RETURN(RefPtr<SocketFile> b, Create(type, protocol, flags));
  UnixEndpoint::Pair(static_cast<UnixSocket&>(*a).endpoint_, static_cast<UnixSocket&>(*b).endpoint_,
                     SocketCredentials::Effective(task));
  return std::pair(std::move(a), std::move(b));
}

UnixSocket::UnixSocket(RefPtr<UnixEndpoint> endpoint, int flags)
    : SocketFile(AF_UNIX, endpoint->type(), 0, flags), endpoint_(std::move(endpoint)) {
  Result<InodeAttributes> attributes = inode()->Attributes();
  if (attributes.ok()) endpoint_->set_inode_number(attributes->ino);
  endpoint_->SetFile(*this);
}

UnixSocket::~UnixSocket() {
  endpoint_->Close();
  if (CountFilesInFlight() > 0) CollectUnreachableSockets();
}

Result<void> UnixSocket::Bind(Task& task, const SocketAddress& address) {
  if (address.bytes.size() == sizeof(sa_family_t) && address.family() == AF_UNIX)
    return endpoint_->Bind(task, "");
  ASSIGN_OR_RETURN(std::string name, ParseUnixAddress(address));
  return endpoint_->Bind(task, std::move(name));
}

Result<void> UnixSocket::Listen(Task& task, int backlog) {
  return endpoint_->Listen(SocketCredentials::Effective(task), backlog);
}

Result<RefPtr<SocketFile>> UnixSocket::Accept(int flags, SocketAddress* peer) {
  ASSIGN_OR_RETURN(RefPtr<UnixEndpoint> endpoint, endpoint_->Accept());
  *peer = endpoint->PeerAddress().value_or(SocketAddress::OfFamily(AF_UNIX));
  return RefPtr<SocketFile>(MakeRef<UnixSocket>(std::move(endpoint), flags));
}

Result<void> UnixSocket::Connect(Task& task, const SocketAddress& address) {
  return endpoint_->Connect(task, address);
}

Result<size_t> UnixSocket::Send(Task* task, IoSequence& from, SendRequest& request) {
  const bool urgent = (request.flags & MSG_OOB) != 0;
  if (urgent && (type() != SOCK_STREAM || from.empty())) return Errno(EOPNOTSUPP);
  UnixEndpoint::Outgoing outgoing;
  if (!request.address.empty()) {
    if (type() == SOCK_STREAM) return endpoint_->PeerAddress().ok() ? Errno(EISCONN) : Errno(EOPNOTSUPP);
    if (type() == SOCK_DGRAM) {
      if (task == nullptr) return Errno(EINVAL);
      ASSIGN_OR_RETURN(outgoing.to, UnixEndpoint::Find(*task, request.address, type()));
    }
  }
  if (request.credentials) {
    outgoing.credentials = *request.credentials;
  } else if (Task* sender = task != nullptr ? task : Task::CurrentOrNull()) {
    outgoing.credentials = SocketCredentials::Real(*sender);
  }
  outgoing.files = std::move(request.files);
  outgoing.urgent = urgent;
  Result<size_t> sent = endpoint_->Send(from, outgoing);
  if (sent.is(EAGAIN)) request.files = std::move(outgoing.files);
  return sent;
}

Result<size_t> UnixSocket::Receive(IoSequence& to, int flags, ReceivedMessage* message) {
  if ((flags & MSG_OOB) != 0 && type() != SOCK_STREAM) return Errno(EOPNOTSUPP);
  return endpoint_->Receive(to, {flags, pass_credentials(), urgent_inline()}, message);
}

}  // namespace runsc
