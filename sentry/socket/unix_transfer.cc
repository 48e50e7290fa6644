// Sending and receiving on unix sockets: the queues and their flow control.
#include <algorithm>

#include "sentry/socket/unix_endpoint.h"

namespace runsc {
namespace {

// What a message costs its sender's buffer besides its bytes, about what Linux's truesize adds.
constexpr size_t kMessageOverhead = 512;
constexpr size_t kMaxChunk = 64 << 10;
constexpr size_t kMaxDatagramsQueued = 10;  // net.unix.max_dgram_qlen
constexpr size_t kMaxDatagram = 8 << 20;

bool SameSender(const SocketCredentials& a, const SocketCredentials& b) {
  return a.pid == b.pid && a.uid == b.uid && a.gid == b.gid && a.pid_namespace == b.pid_namespace;
}

// Copies up to `length` bytes of guest memory.
Result<std::string> CopyData(IoSequence& from, size_t length) {
  std::string data(length, '\0');
  ASSIGN_OR_RETURN(size_t got, from.CopyIn(std::as_writable_bytes(std::span(data))));
  data.resize(got);
  return data;
}

}  // namespace

Result<size_t> UnixEndpoint::Send(IoSequence& from, Outgoing& outgoing) {
  RefPtr<UnixEndpoint> peer = outgoing.to;
  {
    MutexLock lock(mu_);
    if (int error = std::exchange(error_, 0); error != 0 && is_datagram()) return Errno(error);
    if (send_shutdown_ && (peer_ || is_datagram())) return Errno(EPIPE);
    if (!peer) peer = peer_;
  }
  if (!peer) return Errno(ENOTCONN);
  return type_ == SOCK_STREAM ? SendStream(from, outgoing, *peer) : SendPacket(from, outgoing, *peer);
}

Result<size_t> UnixEndpoint::SendStream(IoSequence& from, Outgoing& outgoing, UnixEndpoint& peer) {
  size_t sent = 0;
  // The urgent byte is a message of its own.
  auto length_of = [&](size_t left) { return outgoing.urgent && left > 1 ? left - 1 : left; };
  while (!from.empty()) {
    Result<void> delivered = Errno(EAGAIN);
    if (!BufferIsFull()) {
      Message message;
      const bool is_urgent = outgoing.urgent && from.size() == 1;
      size_t half = std::max<int>(send_limit_.load() / 2, kPageSize);
      Result<std::string> data = CopyData(from, std::min({length_of(from.size()), half, kMaxChunk}));
      if (!data.ok()) return sent > 0 ? Result<size_t>(sent) : data.error();
      message.data = std::move(*data);
      size_t length = message.data.size();
      message.credentials = outgoing.credentials;
      message.files = FilesInFlight(std::move(outgoing.files));
      outgoing.files.clear();
      message.urgent = is_urgent ? 1 : 0;
      delivered = Deliver(peer, message);
      if (delivered.ok()) {
        sent += length;
        continue;
      }
    }
    return sent > 0 ? Result<size_t>(sent) : delivered.error();
  }
  return sent;
}

Result<size_t> UnixEndpoint::SendPacket(IoSequence& from, Outgoing& outgoing, UnixEndpoint& peer) {
  constexpr size_t kHeadroom = 32;
  size_t length = from.size();
  if (length + kHeadroom > static_cast<size_t>(send_limit_.load()) || length > kMaxDatagram)
    return Errno(EMSGSIZE);
  if (BufferIsFull()) return Errno(EAGAIN);
  IoSequence again = from;
  Message message;
  ASSIGN_OR_RETURN(message.data, CopyData(from, length));
  if (message.data.size() < length) return Errno(EFAULT);
  message.credentials = outgoing.credentials;
  message.files = FilesInFlight(std::move(outgoing.files));
  outgoing.files.clear();
  Result<void> delivered = Deliver(peer, message);
  if (delivered.ok()) return length;
  if (delivered.is(EAGAIN)) {
    from = again;
    outgoing.files = message.files.Take();
  } else if (delivered.is(ECONNREFUSED)) {
    // The peer has gone for good: a datagram socket is no longer connected to it.
    RefPtr<UnixEndpoint> gone;
    MutexLock lock(mu_);
    if (peer_ == &peer && is_datagram()) {
      std::swap(gone, peer_);
      state_ = state_ == State::kConnected ? State::kUnconnected : state_;
    }
  }
  return delivered.error();
}

bool UnixEndpoint::QueueIsFullLocked() const { return queue_.size() > kMaxDatagramsQueued; }

Result<void> UnixEndpoint::Deliver(UnixEndpoint& peer, Message& message) {
  message.sender = RefPtr<UnixEndpoint>(this);
  message.charge = message.data.size() + kMessageOverhead;
  const bool is_urgent = message.urgent != 0;
  {
    MutexLock lock(peer.mu_);
    if (peer.state_ == State::kClosed) return is_datagram() ? Errno(ECONNREFUSED) : Errno(EPIPE);
    if (peer.receive_shutdown_) return Errno(EPIPE);
    if (is_datagram()) {
      if (peer.peer_ && peer.peer_ != this) return Errno(EPERM);
      if (!peer.peer_ && &peer != this && peer.QueueIsFullLocked()) {
        peer.BlockLocked(*this);
        return Errno(EAGAIN);
      }
    }
    send_used_.fetch_add(static_cast<int64_t>(message.charge));
    // Another one that waits becomes a byte like others.
    if (is_urgent) message.urgent = peer.urgent_ = ++peer.urgent_count_;
    peer.queue_.push_back(std::move(message));
  }
  if (is_urgent) peer.SendUrgentSignal();
  peer.wait_queue_.Notify(EPOLLIN | EPOLLRDNORM | (is_urgent ? EventMask{EPOLLPRI} : 0));
  return Ok();
}

void UnixEndpoint::ReleaseBudget(size_t charge) {
  send_used_.fetch_sub(static_cast<int64_t>(charge));
  if (HasSendRoom()) wait_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
}

void UnixEndpoint::Finish(std::vector<Message>& done) {
  for (Message& message : done) {
    if (message.sender) message.sender->ReleaseBudget(message.charge);
  }
  done.clear();
}

Result<size_t> UnixEndpoint::Receive(IoSequence& to, const ReceiveOptions& options,
                                     ReceivedMessage* message) {
  Taken taken;
  std::vector<RefPtr<UnixEndpoint>> blocked;
  size_t size = 0;
  Errno error(0);
  {
    MutexLock lock(mu_);
    const bool is_urgent = type_ == SOCK_STREAM && (options.flags & MSG_OOB) != 0;
    Result<size_t> received = is_urgent              ? ReceiveUrgentLocked(to, options, &taken)
                              : type_ == SOCK_STREAM ? ReceiveStreamLocked(to, options, &taken)
                                                     : ReceivePacketLocked(to, options.flags, &taken);
    // (What was passed over is gone even if there was nothing to read behind it.)
    error = received.ok() ? Errno(0) : received.error();
    size = received.value_or(0);
    if (received.ok() && is_urgent) message->flags |= MSG_OOB;
    if (!taken.done.empty() && !QueueIsFullLocked()) blocked = std::exchange(blocked_, {});
  }
  Finish(taken.done);
  NotifyBlocked(blocked);
  if (error.value() != 0) return error;
  message->length = std::max(size, taken.length);
  if (taken.length > size) message->flags |= MSG_TRUNC;
  if (options.pass_credentials) message->credentials = taken.credentials;
  message->files = taken.files.empty() ? std::move(taken.peeked_files) : taken.files.Take();
  if (taken.sender) {
    SocketAddress address = taken.sender->LocalAddress();
    if (address.bytes.size() > sizeof(sa_family_t)) message->address = std::move(address);
  }
  return size;
}

Result<size_t> UnixEndpoint::NothingThereLocked() {
  if (int error = std::exchange(error_, 0); error != 0) return Errno(error);
  if (receive_shutdown_) return size_t{0};
  return Errno(EAGAIN);
}

Result<size_t> UnixEndpoint::ReceiveStreamLocked(IoSequence& to, const ReceiveOptions& options,
                                                 Taken* taken) {
  if (state_ != State::kConnected) return Errno(EINVAL);
  if (queue_.empty()) return NothingThereLocked();
  bool peek = (options.flags & MSG_PEEK) != 0;
  size_t total = 0;
  size_t index = 0;
  while (index < queue_.size() && !to.empty()) {
    if (!PassUrgentLocked(options, total > 0, &index, taken)) break;
    if (index == queue_.size()) {
      if (total == 0) return NothingThereLocked();
      break;
    }
    Message& message = queue_[index];
    if (!taken->sender) {
      taken->sender = message.sender;
      taken->credentials = message.credentials;
    } else if (options.pass_credentials && !SameSender(taken->credentials, message.credentials)) {
      break;
    }
    std::string_view rest = std::string_view(message.data).substr(message.consumed);
    Result<size_t> copied = to.CopyOut(std::as_bytes(std::span(rest)));
    if (!copied.ok()) return total > 0 ? Result<size_t>(total) : copied;
    total += *copied;
    bool had_files = !message.files.empty();
    if (peek) {
      if (had_files) taken->peeked_files = message.files.files();
      if (had_files || *copied < rest.size()) break;
      ++index;
      continue;
    }
    if (had_files) taken->files = std::move(message.files);
    message.consumed += *copied;
    if (message.consumed < message.data.size()) break;
    taken->done.push_back(std::move(message));
    queue_.pop_front();
    if (had_files) break;  // a message with descriptors ends a read
  }
  return total;
}

Result<size_t> UnixEndpoint::ReceivePacketLocked(IoSequence& to, int flags, Taken* taken) {
  if (type_ == SOCK_SEQPACKET && state_ != State::kConnected) return Errno(ENOTCONN);
  if (queue_.empty()) return NothingThereLocked();
  Message& message = queue_.front();
  taken->length = message.data.size();
  taken->sender = message.sender;
  taken->credentials = message.credentials;
  Result<size_t> copied = to.CopyOut(std::as_bytes(std::span(message.data)));
  if ((flags & MSG_PEEK) != 0) {
    taken->peeked_files = message.files.files();
    return copied;
  }
  taken->files = std::move(message.files);
  taken->done.push_back(std::move(message));
  queue_.pop_front();
  return copied;
}

}  // namespace runsc
