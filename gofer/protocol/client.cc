#include "gofer/protocol/client.h"

#include <sys/socket.h>

#include <cstring>

#include "platform/base/log.h"

namespace runsc::gofer {
namespace {
constexpr size_t kCloseBatch = 64;
}  // namespace

GoferClient::GoferClient(UniqueFd socket, std::function<void()> on_death)
    : socket_(std::move(socket)),
      on_death_(std::move(on_death)),
      receive_buffer_(std::make_unique<std::byte[]>(kMaxMessage)) {}

GoferClient::~GoferClient() = default;

Result<void> GoferClient::Exchange(std::vector<std::byte>& packet, std::vector<UniqueFd>& donated) {
  if (packet.size() > kMaxMessage) return Errno(E2BIG);
  Waiter waiter;
  uint32_t tag = 0;
  {
    MutexLock lock(mu_);
    if (dead_) return Errno(EIO);
    do {
      tag = next_tag_++;
    } while (!waiters_.emplace(tag, &waiter).second);
  }
  std::memcpy(packet.data() + offsetof(Header, tag), &tag, sizeof(tag));
  requests_.fetch_add(1, std::memory_order_relaxed);
  // On failure Die() settles every waiter, this one too.
  if (!SendPacket(socket_.get(), packet).ok()) Die();
  ReceiveUntilDone(waiter);
  RETURN_IF_ERROR(waiter.status);

  Header sent = HeaderOf(packet);
  Header header = HeaderOf(waiter.packet);
  if (header.type != sent.type || header.error > 4095) {
    Die();
    return Errno(EIO);
  }
  if (header.error != 0) return Errno(static_cast<int>(header.error));
  donated = std::move(waiter.fds);
  packet = std::move(waiter.packet);
  return Ok();
}

// The condition variable works on the native mutex, which the analysis cannot follow.
void GoferClient::ReceiveUntilDone(Waiter& waiter) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  mu_.Lock();
  while (!waiter.done) {
    if (receiving_) {
      std::unique_lock<std::mutex> native(mu_.native(), std::adopt_lock);
      waiter.wake.wait(native);
      native.release();
      continue;
    }
    receiving_ = true;
    mu_.Unlock();
    std::vector<UniqueFd> fds;
    auto packet = ReceivePacket(socket_.get(), std::span(receive_buffer_.get(), kMaxMessage), &fds);
    bool known = false;
    mu_.Lock();
    receiving_ = false;
    if (packet.ok()) {
      auto found = waiters_.find(HeaderOf(*packet).tag);
      known = found != waiters_.end();
      if (known) {
        Waiter& owner = *found->second;
        waiters_.erase(found);
        owner.packet.assign(packet->begin(), packet->end());
        owner.fds = std::move(fds);
        owner.done = true;
        if (&owner != &waiter) owner.wake.notify_one();
      }
    }
    if (!known) {
      mu_.Unlock();
      LOG_WARNING("gofer connection failed: {}", packet.ok() ? "unknown tag" : packet.error().name());
      Die();
      mu_.Lock();
    }
  }
  // The role is free: the next one that waits takes it.
  if (!receiving_ && !waiters_.empty()) waiters_.begin()->second->wake.notify_one();
  mu_.Unlock();
}

void GoferClient::Die() {
  {
    MutexLock lock(mu_);
    if (dead_) return;
    dead_ = true;
    for (auto& [tag, waiter] : waiters_) {
      waiter->status = Errno(EIO);
      waiter->done = true;
      waiter->wake.notify_one();
    }
    waiters_.clear();
  }
  // Ends the recvmsg of whoever has the receiver's role.
  shutdown(socket_.get(), SHUT_RDWR);
  if (on_death_) on_death_();
}

void GoferClient::CloseLater(NodeId node) {
  bool full = false;
  {
    MutexLock lock(mu_);
    closes_.push_back(node);
    full = closes_.size() >= kCloseBatch;
  }
  if (full) FlushCloses();
}

void GoferClient::FlushCloses() {
  Close close;
  {
    MutexLock lock(mu_);
    close.nodes.swap(closes_);
  }
  // A node that could not be closed costs the Gofer a descriptor, nothing else.
  if (!close.nodes.empty() && !Call(close).ok())
    LOG_DEBUG("gofer: close of {} nodes failed", close.nodes.size());
}

}  // namespace runsc::gofer
