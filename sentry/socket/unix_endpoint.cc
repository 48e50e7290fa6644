#include "sentry/socket/unix_endpoint.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>

#include "absl/container/btree_map.h"
#include "sentry/socket/unix_names.h"
#include "sentry/socket/unix_socket.h"

namespace runsc {
namespace {

// Every endpoint, for /proc/net/unix.
struct EndpointList {
  Mutex mu{LockRank::kLeaf};
  absl::btree_map<const UnixEndpoint*, UnixEndpoint*> endpoints ABSL_GUARDED_BY(mu);
};
EndpointList& AllEndpoints() {
  static auto* const list = new EndpointList;
  return *list;
}

SocketAddress AddressOf(const std::string& name) {
  SocketAddress address = SocketAddress::OfFamily(AF_UNIX);
  address.bytes += name;
  return address;
}

bool IsAbstract(const std::string& name) { return !name.empty() && name[0] == '\0'; }

}  // namespace

UnixEndpoint::UnixEndpoint(int type) : type_(type) {
  EndpointList& list = AllEndpoints();
  MutexLock lock(list.mu);
  list.endpoints.emplace(this, this);
}

UnixEndpoint::~UnixEndpoint() {
  EndpointList& list = AllEndpoints();
  MutexLock lock(list.mu);
  list.endpoints.erase(this);
}

void UnixEndpoint::Pair(const RefPtr<UnixEndpoint>& a, const RefPtr<UnixEndpoint>& b,
                        const SocketCredentials& credentials) {
  for (const auto& [self, other] : {std::pair(a, b), std::pair(b, a)}) {
    MutexLock lock(self->mu_);
    self->state_ = State::kConnected;
    self->peer_ = other;
    self->peer_credentials_ = credentials;
  }
}

// --- names ---

Result<void> UnixEndpoint::Bind(Task& task, std::string name) {
  {
    MutexLock lock(mu_);
    if (named_ || binding_) {
      // An autobind of what has a name already is no error.
      return name.empty() && named_ ? Ok() : Result<void>(Errno(EINVAL));
    }
    if (name.empty() || IsAbstract(name)) return BindAbstract(std::move(name));
    binding_ = true;
  }
  std::string_view path(name.data(), name.size() - 1);
  uint32_t mode = S_IFSOCK | (0777 & ~task.fs().Get().umask);
  Result<VfsPath> place = VfsBindSocket(task.path_context(), path, mode);
  MutexLock lock(mu_);
  binding_ = false;
  if (!place.ok()) return place.error();
  place->inode()->SetAttachment(RefPtr<RefCounted>(this));
  path_ = std::move(*place);
  name_ = std::move(name);
  named_ = owns_name_ = true;
  return Ok();
}

Result<void> UnixEndpoint::BindAbstract(std::string name) {
  if (name.empty()) {
    ASSIGN_OR_RETURN(name, AbstractNames::Get().AddAny(*this));
  } else {
    RETURN_IF_ERROR(AbstractNames::Get().Add(name, *this));
  }
  name_ = std::move(name);
  named_ = owns_name_ = true;
  return Ok();
}

Result<RefPtr<UnixEndpoint>> UnixEndpoint::Find(Task& task, const SocketAddress& address, int type) {
  ASSIGN_OR_RETURN(std::string name, ParseUnixAddress(address));
  RefPtr<UnixEndpoint> found;
  if (IsAbstract(name)) {
    found = AbstractNames::Get().Find(name, type);
  } else {
    PathContext context = task.path_context();
    ASSIGN_OR_RETURN(VfsPath path,
                     Walk(context, context.cwd, std::string_view(name.data(), name.size() - 1)));
    RETURN_IF_ERROR(VfsAccess(context, path, W_OK));
    RefPtr<Inode> inode = path.inode();
    if (inode->file_type() != S_IFSOCK) return Errno(ECONNREFUSED);
    RefPtr<RefCounted> object = inode->attachment();
    if (auto* endpoint = dynamic_cast<UnixEndpoint*>(object.get())) found = RefPtr<UnixEndpoint>(endpoint);
  }
  if (!found) return Errno(ECONNREFUSED);
  {
    MutexLock lock(found->mu_);
    if (found->state_ == State::kClosed) return Errno(ECONNREFUSED);
  }
  if (found->type_ != type) return Errno(EPROTOTYPE);
  return found;
}

SocketAddress UnixEndpoint::LocalAddress() const {
  MutexLock lock(mu_);
  return AddressOf(name_);
}

Result<SocketAddress> UnixEndpoint::PeerAddress() const {
  RefPtr<UnixEndpoint> peer;
  {
    MutexLock lock(mu_);
    peer = peer_;
  }
  if (!peer) return Errno(ENOTCONN);
  return peer->LocalAddress();
}

SocketCredentials UnixEndpoint::peer_credentials() const {
  MutexLock lock(mu_);
  return state_ == State::kListening ? own_credentials_ : peer_credentials_;
}

// --- connections ---

Result<void> UnixEndpoint::Listen(const SocketCredentials& credentials, int backlog) {
  constexpr unsigned kMaxBacklog = 4096;  // net.core.somaxconn
  if (is_datagram()) return Errno(EOPNOTSUPP);
  std::vector<RefPtr<UnixEndpoint>> blocked;
  {
    MutexLock lock(mu_);
    if (!named_) return Errno(EINVAL);
    if (state_ != State::kUnconnected && state_ != State::kListening) return Errno(EINVAL);
    size_t limit = std::min(static_cast<unsigned>(backlog), kMaxBacklog);
    if (limit > backlog_limit_) blocked = std::exchange(blocked_, {});
    backlog_limit_ = limit;
    state_ = State::kListening;
    own_credentials_ = credentials;
  }
  NotifyBlocked(blocked);
  return Ok();
}

Result<RefPtr<UnixEndpoint>> UnixEndpoint::Accept() {
  if (is_datagram()) return Errno(EOPNOTSUPP);
  RefPtr<UnixEndpoint> accepted;
  std::vector<RefPtr<UnixEndpoint>> blocked;
  {
    MutexLock lock(mu_);
    if (state_ != State::kListening) return Errno(EINVAL);
    if (backlog_.empty()) return receive_shutdown_ ? Errno(EINVAL) : Errno(EAGAIN);
    accepted = std::move(backlog_.front());
    backlog_.pop_front();
    blocked = std::exchange(blocked_, {});
  }
  NotifyBlocked(blocked);
  return accepted;
}

Result<void> UnixEndpoint::Connect(Task& task, const SocketAddress& address) {
  return is_datagram() ? ConnectDatagram(task, address) : ConnectStream(task, address);
}

Result<void> UnixEndpoint::ConnectDatagram(Task& task, const SocketAddress& address) {
  RefPtr<UnixEndpoint> other;
  if (address.family() != AF_UNSPEC) {
    ASSIGN_OR_RETURN(other, Find(task, address, type_));
    MutexLock lock(other->mu_);
    if (other->peer_ && other->peer_ != this) return Errno(EPERM);
  }
  std::vector<Message> dropped;
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed) return Errno(EINVAL);
    // What came from the old peer is not to be read as the new one's.
    if (peer_ && peer_ != other) {
      for (Message& message : queue_) dropped.push_back(std::move(message));
      queue_.clear();
    }
    std::swap(peer_, other);
    state_ = peer_ ? State::kConnected : State::kUnconnected;
    peer_credentials_ = {};
  }
  Finish(dropped);
  return Ok();
}

Result<void> UnixEndpoint::ConnectStream(Task& task, const SocketAddress& address) {
  ASSIGN_OR_RETURN(RefPtr<UnixEndpoint> listener, Find(task, address, type_));
  auto accepted = MakeRef<UnixEndpoint>(type_);
  SocketCredentials own = SocketCredentials::Effective(task);
  // A socket that connects to itself is caught by its state: it listens.
  TwoMutexLock lock(mu_, listener->mu_);
  listener->mu_.AssertHeld();
  if (listener->state_ != State::kListening || listener->receive_shutdown_) return Errno(ECONNREFUSED);
  if (state_ == State::kConnected) return Errno(EISCONN);
  if (state_ != State::kUnconnected) return Errno(EINVAL);
  if (listener->backlog_.size() > listener->backlog_limit_) {
    listener->BlockLocked(*this);
    return Errno(EAGAIN);
  }
  {
    // Nobody else knows it yet; the lock is for the analysis.
    UnixEndpoint& fresh = *accepted;
    fresh.mu_.AssertHeld();
    fresh.state_ = State::kConnected;
    fresh.peer_ = RefPtr<UnixEndpoint>(this);
    fresh.peer_credentials_ = own;
    fresh.named_ = listener->named_;
    fresh.name_ = listener->name_;
  }
  state_ = State::kConnected;
  peer_ = accepted;
  peer_credentials_ = listener->own_credentials_;
  listener->backlog_.push_back(std::move(accepted));
  listener->wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  wait_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  return Ok();
}

Result<void> UnixEndpoint::Shutdown(int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return Errno(EINVAL);
  RefPtr<UnixEndpoint> peer;
  std::vector<RefPtr<UnixEndpoint>> blocked;
  {
    MutexLock lock(mu_);
    if (how != SHUT_WR) receive_shutdown_ = true;
    if (how != SHUT_RD) send_shutdown_ = true;
    if (!is_datagram()) peer = peer_;
    blocked = std::exchange(blocked_, {});
  }
  if (peer) peer->PeerShutdown(how == SHUT_RDWR ? SHUT_RDWR : how == SHUT_RD ? SHUT_WR : SHUT_RD, 0);
  wait_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
  NotifyBlocked(blocked);
  return Ok();
}

void UnixEndpoint::PeerShutdown(int how, int error) {
  {
    MutexLock lock(mu_);
    if (how != SHUT_WR) receive_shutdown_ = true;
    if (how != SHUT_RD) send_shutdown_ = true;
    if (error != 0) error_ = error;
  }
  wait_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

void UnixEndpoint::Close() {
  RefPtr<UnixEndpoint> peer;
  VfsPath path;
  std::string abstract;
  std::vector<Message> dropped;
  std::deque<RefPtr<UnixEndpoint>> backlog;
  bool had_unread = false;
  std::vector<RefPtr<UnixEndpoint>> blocked;
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    receive_shutdown_ = send_shutdown_ = true;
    std::swap(peer, peer_);
    std::swap(path, path_);
    if (owns_name_ && IsAbstract(name_)) abstract = name_;
    had_unread = HasUnreadLocked();
    for (Message& message : queue_) dropped.push_back(std::move(message));
    queue_.clear();
    urgent_ = 0;
    file_ = nullptr;
    std::swap(backlog, backlog_);
    blocked = std::exchange(blocked_, {});
  }
  if (!abstract.empty()) AbstractNames::Get().Remove(abstract, *this);
  if (path && path.inode()->attachment() == this) path.inode()->SetAttachment(nullptr);
  if (peer) {
    if (is_datagram()) {
      peer->wait_queue_.Notify(EPOLLOUT | EPOLLERR);
    } else {
      peer->PeerShutdown(SHUT_RDWR, had_unread ? ECONNRESET : 0);
    }
  }
  for (const RefPtr<UnixEndpoint>& waiting : backlog) {
    RefPtr<UnixEndpoint> client;
    {
      MutexLock lock(waiting->mu_);
      client = waiting->peer_;
    }
    waiting->Close();
    if (client) client->PeerShutdown(SHUT_RDWR, ECONNRESET);
  }
  Finish(dropped);
  NotifyBlocked(blocked);
}

bool UnixEndpoint::IsListening() const {
  MutexLock lock(mu_);
  return state_ == State::kListening;
}

int UnixEndpoint::TakeError() {
  MutexLock lock(mu_);
  return std::exchange(error_, 0);
}

// --- readiness ---

EventMask UnixEndpoint::Readiness() {
  EventMask events = 0;
  RefPtr<UnixEndpoint> peer;
  {
    MutexLock lock(mu_);
    if (error_ != 0) events |= EPOLLERR;
    if (receive_shutdown_ && send_shutdown_) events |= EPOLLHUP;
    if (receive_shutdown_) events |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
    if (!queue_.empty() || !backlog_.empty()) events |= EPOLLIN | EPOLLRDNORM;
    if (urgent_ != 0) events |= EPOLLPRI;
    if (!is_datagram() && state_ == State::kUnconnected) events |= EPOLLHUP;
    if (state_ != State::kListening && HasSendRoom()) events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
    if (is_datagram()) peer = peer_;
  }
  // A datagram socket cannot send while its peer's queue is full.
  if (peer && (events & EPOLLOUT) != 0 && peer != this) {
    MutexLock lock(peer->mu_);
    if (peer->peer_ != this && peer->QueueIsFullLocked()) {
      peer->BlockLocked(*this);
      events &= ~static_cast<EventMask>(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
    }
  }
  return events;
}

bool UnixEndpoint::HasSendRoom() const {
  return send_used_.load(std::memory_order_relaxed) * 4 <= send_limit_.load(std::memory_order_relaxed);
}

void UnixEndpoint::BlockLocked(UnixEndpoint& sender) {
  for (const RefPtr<UnixEndpoint>& waiting : blocked_) {
    if (waiting == &sender) return;
  }
  blocked_.push_back(RefPtr<UnixEndpoint>(&sender));
}

void UnixEndpoint::NotifyBlocked(std::vector<RefPtr<UnixEndpoint>>& blocked) {
  for (const RefPtr<UnixEndpoint>& sender : blocked) sender->wait_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
}

Result<int> UnixEndpoint::UnreadBytes() const {
  MutexLock lock(mu_);
  if (state_ == State::kListening) return Errno(EINVAL);
  size_t bytes = 0;
  for (const Message& message : queue_) {
    bytes += message.data.size() - message.consumed;
    if (type_ != SOCK_STREAM && type_ != SOCK_SEQPACKET) break;
  }
  return static_cast<int>(std::min<size_t>(bytes, INT32_MAX));
}

// --- the collector, /proc ---

void UnixEndpoint::VisitFilesInFlight(absl::FunctionRef<void(FileDescription&)> visit) {
  std::vector<RefPtr<UnixEndpoint>> waiting;
  {
    MutexLock lock(mu_);
    for (const Message& message : queue_) {
      for (const RefPtr<FileDescription>& file : message.files.files()) visit(*file);
    }
    waiting.assign(backlog_.begin(), backlog_.end());
  }
  for (const RefPtr<UnixEndpoint>& endpoint : waiting) endpoint->VisitFilesInFlight(visit);
}

void UnixEndpoint::TakeFilesInFlight(std::vector<RefPtr<FileDescription>>* files) {
  std::vector<FilesInFlight> taken;
  std::vector<RefPtr<UnixEndpoint>> waiting;
  {
    MutexLock lock(mu_);
    for (Message& message : queue_) taken.push_back(std::move(message.files));
    waiting.assign(backlog_.begin(), backlog_.end());
  }
  for (FilesInFlight& in_flight : taken) {
    for (RefPtr<FileDescription>& file : in_flight.Take()) files->push_back(std::move(file));
  }
  for (const RefPtr<UnixEndpoint>& endpoint : waiting) endpoint->TakeFilesInFlight(files);
}

std::string UnixEndpoint::ProcNetUnix() {
  std::vector<RefPtr<UnixEndpoint>> endpoints;
  {
    EndpointList& list = AllEndpoints();
    MutexLock lock(list.mu);
    for (const auto& [key, endpoint] : list.endpoints) {
      if (auto held = RefPtr<UnixEndpoint>::TryFrom(endpoint)) endpoints.push_back(std::move(held));
    }
  }
  constexpr unsigned kListeningFlag = 1 << 16;  // __SO_ACCEPTCON
  std::string text;
  for (const RefPtr<UnixEndpoint>& endpoint : endpoints) {
    MutexLock lock(endpoint->mu_);
    if (endpoint->state_ == State::kClosed) continue;
    bool listening = endpoint->state_ == State::kListening;
    int state = endpoint->state_ == State::kConnected ? 3 : 1;  // SS_CONNECTED, SS_UNCONNECTED
    text += fmt::format("{:016x}: {:08X} {:08X} {:08X} {:04X} {:02X} {:5}", 0, endpoint->ref_count(), 0,
                        listening ? kListeningFlag : 0, endpoint->type_, state,
                        endpoint->inode_number_.load(std::memory_order_relaxed));
    if (endpoint->named_) {
      std::string name = endpoint->name_;
      if (!IsAbstract(name)) name.pop_back();
      for (char& c : name) c = c == '\0' ? '@' : c;
      text += " " + name;
    }
    text += "\n";
  }
  return text;
}

}  // namespace runsc
