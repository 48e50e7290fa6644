#include "sentry/fsimpl/aio_context.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>

namespace runsc {
namespace {

struct RingHeader {  // struct aio_ring
  uint32_t id, nr, head, tail, magic, compat_features, incompat_features, header_length;
};
constexpr uint32_t kRingMagic = 0xa10a10a1;
constexpr uint32_t kCompatibleFeatures = 1;

}  // namespace

std::atomic<uint64_t> AioContext::total_requests{0};
std::atomic<uint64_t> AioContext::max_requests{65536};

// --- AioPoll ---

AioPoll::AioPoll(RefPtr<AioContext> context, RefPtr<FileDescription> file, EventMask events, AioOrigin origin)
    : context_(std::move(context)), file_(std::move(file)), events_(events), origin_(std::move(origin)) {}

void AioPoll::Start() {
  if (WaitQueue* queue = file_->wait_queue()) queue->Add(waiter_, events_);
  if (!context_->AddPoll(origin_.iocb, RefPtr<AioPoll>(this))) {
    Finish();
    return;
  }
  Run(events_);
  // A notification may have been quicker than we.
  if (done_.load()) context_->RemovePoll(origin_.iocb, *this);
}

bool AioPoll::Finish() {
  if (done_.exchange(true)) return false;
  // (Once only: nobody else removes it.)
  if (WaitQueue* queue = file_->wait_queue()) queue->Remove(waiter_);
  context_->RemovePoll(origin_.iocb, *this);
  return true;
}

void AioPoll::Run(EventMask) {
  const EventMask ready = file_->Readiness(events_);
  if (ready != 0 && Finish()) context_->Complete(origin_, ready);
}

bool AioPoll::Cancel(bool tell) {
  if (!Finish()) return false;
  if (tell) context_->Complete(origin_, 0);
  return true;
}

// --- AioContext ---

Result<RefPtr<AioContext>> AioContext::Create(MemoryManager& memory, uint32_t requests) {
  // As many as Linux makes on a machine with few CPUs, in whole pages.
  constexpr uint64_t kMinimum = 8;
  const uint64_t wanted = std::max<uint64_t>(requests, kMinimum) * 2 + 2;
  const uint64_t length = *PageRoundUp(sizeof(RingHeader) + wanted * sizeof(io_event));
  const auto capacity = static_cast<uint32_t>((length - sizeof(RingHeader)) / sizeof(io_event));
  ASSIGN_OR_RETURN(IpcCharge charge, IpcCharge::Take(capacity * sizeof(io_event)));
  uint64_t total = total_requests.load();
  do {
    if (total + requests > max_requests.load()) return Errno(EAGAIN);
  } while (!total_requests.compare_exchange_weak(total, total + requests));

  MMapOptions options{.length = length, .prot = PROT_READ | PROT_WRITE, .name = "/[aio] (deleted)"};
  Result<UserAddr> ring = memory.MMap(options);
  RingHeader header{.id = 0,
                    .nr = capacity,
                    .head = 0,
                    .tail = 0,
                    .magic = kRingMagic,
                    .compat_features = kCompatibleFeatures,
                    .incompat_features = 0,
                    .header_length = sizeof(RingHeader)};
  if (!ring.ok() || !memory.MAdvise(*ring, length, MADV_DONTFORK).ok() ||
      !memory.Write(UserPtr<RingHeader>(*ring), header).ok()) {
    if (ring.ok()) (void)memory.MUnmap(*ring, length);
    total_requests.fetch_sub(requests);
    return Errno(ENOMEM);
  }
  return RefPtr<AioContext>::Adopt(
      new AioContext(memory, *ring, length, capacity, requests, std::move(charge)));
}

AioContext::AioContext(MemoryManager& memory, UserAddr ring, uint64_t ring_length, uint32_t capacity,
                       uint32_t requests, IpcCharge charge)
    : ring_(ring),
      ring_length_(ring_length),
      capacity_(capacity),
      requests_(requests),
      charge_(std::move(charge)),
      memory_(&memory),
      events_(capacity) {}

AioContext::~AioContext() { total_requests.fetch_sub(requests_); }

// How many events the guest has not read, if its head is right; less than the capacity in any case.
Result<uint32_t> AioContext::UnreadLocked() {
  ASSIGN_OR_RETURN(uint32_t head, memory_->Read(UserPtr<const uint32_t>(ring_ + offsetof(RingHeader, head))));
  head %= capacity_;
  return (tail_ + capacity_ - head) % capacity_;
}

Result<void> AioContext::Begin() {
  MutexLock lock(mu_);
  if (memory_ == nullptr) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint32_t unread, UnreadLocked());
  if (under_way_ + unread >= capacity_ - 1) return Errno(EAGAIN);
  ++under_way_;
  return Ok();
}

void AioContext::Abort() {
  MutexLock lock(mu_);
  --under_way_;
}

void AioContext::Complete(const AioOrigin& origin, int64_t result) {
  // Keeps the address space while the ring is written; let go of without the lock.
  RefPtr<MemoryManager> memory;
  {
    MutexLock lock(mu_);
    --under_way_;
    if (memory_ == nullptr) return;
    memory = RefPtr<MemoryManager>::TryFrom(memory_);
    if (!memory) return;
    const io_event event{origin.data, origin.iocb, result, 0};
    events_[tail_] = event;
    // A guest that has unmapped its ring does not see it there, and gets EFAULT of io_getevents(2).
    (void)memory->Write(UserPtr<io_event>(ring_ + sizeof(RingHeader) + uint64_t{tail_} * sizeof(event)),
                        event);
    tail_ = (tail_ + 1) % capacity_;
    (void)memory->Write(UserPtr<uint32_t>(ring_ + offsetof(RingHeader, tail)), tail_);
  }
  if (origin.event_file) static_cast<EventFile&>(*origin.event_file).Signal();
  wait_queue_.Notify(EPOLLIN);
}

bool AioContext::AddPoll(uint64_t iocb, RefPtr<AioPoll> poll) {
  MutexLock lock(mu_);
  if (memory_ == nullptr) return false;
  polls_.emplace(iocb, std::move(poll));
  return true;
}

void AioContext::RemovePoll(uint64_t iocb, AioPoll& poll) {
  RefPtr<AioPoll> removed;
  MutexLock lock(mu_);
  auto [begin, end] = polls_.equal_range(iocb);
  for (auto it = begin; it != end; ++it) {
    if (it->second.get() != &poll) continue;
    removed = std::move(it->second);
    polls_.erase(it);
    return;
  }
}

RefPtr<AioPoll> AioContext::FindPoll(uint64_t iocb) {
  MutexLock lock(mu_);
  auto found = polls_.find(iocb);
  return found != polls_.end() ? found->second : nullptr;
}

Result<size_t> AioContext::TakeEvents(UserPtr<io_event> to, size_t limit) {
  MutexLock lock(mu_);
  if (memory_ == nullptr) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint32_t unread, UnreadLocked());
  const size_t count = std::min<size_t>(unread, limit);
  uint32_t head = (tail_ + capacity_ - unread) % capacity_;
  size_t taken = 0;
  for (; taken < count; ++taken) {
    if (!memory_->Write(to.At(taken), events_[head]).ok()) break;
    head = (head + 1) % capacity_;
  }
  if (taken == 0) return count == 0 ? Result<size_t>(taken) : Errno(EFAULT);
  RETURN_IF_ERROR(memory_->Write(UserPtr<uint32_t>(ring_ + offsetof(RingHeader, head)), head));
  return taken;
}

void AioContext::Shutdown() {
  std::vector<RefPtr<AioPoll>> polls;
  {
    MutexLock lock(mu_);
    memory_ = nullptr;
    for (const auto& [iocb, poll] : polls_) polls.push_back(poll);
  }
  for (const auto& poll : polls) poll->Cancel(false);
  wait_queue_.Notify(EPOLLIN);
}

// --- AioContexts ---

RefPtr<AioContexts> AioContexts::Of(MemoryManager& memory) {
  RefPtr<RefCounted> contexts = memory.attachment();
  if (!contexts) contexts = memory.GetOrAttach([] { return RefPtr<RefCounted>(MakeRef<AioContexts>()); });
  return RefPtr<AioContexts>(static_cast<AioContexts*>(contexts.get()));
}

AioContexts::~AioContexts() {
  for (const auto& [id, context] : contexts_) context->Shutdown();
}

RefPtr<AioContext> AioContexts::Find(uint64_t id) {
  MutexLock lock(mu_);
  auto found = contexts_.find(id);
  return found != contexts_.end() ? found->second : nullptr;
}

void AioContexts::Add(RefPtr<AioContext> context) {
  const uint64_t id = context->id();
  RefPtr<AioContext> replaced;  // the guest has unmapped its ring, and this one is in its place
  {
    MutexLock lock(mu_);
    RefPtr<AioContext>& slot = contexts_[id];
    replaced = std::exchange(slot, std::move(context));
  }
  if (replaced) replaced->Shutdown();
}

RefPtr<AioContext> AioContexts::Remove(uint64_t id) {
  MutexLock lock(mu_);
  auto found = contexts_.find(id);
  if (found == contexts_.end()) return nullptr;
  RefPtr<AioContext> removed = std::move(found->second);
  contexts_.erase(found);
  return removed;
}

}  // namespace runsc
