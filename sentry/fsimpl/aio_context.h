// AioContext: what io_setup(2) makes: requests under way, and the ring in guest memory where their ends are
// told.
//
// The guest may read the ring by itself and move its head, so the head is not to be trusted: it says how many
// events are unread, no more; events are given out from a copy in the Sentry.
// Owned by its address space (AioContexts hangs on the MemoryManager). Threading: any thread. `mu_` is held
// while the ring is written, and so stands outside mm's lock.
// Linux counterpart: fs/aio.c, struct kioctx.
#ifndef SENTRY_FSIMPL_AIO_CONTEXT_H_
#define SENTRY_FSIMPL_AIO_CONTEXT_H_

#include <linux/aio_abi.h>

#include <atomic>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "sentry/fsimpl/eventfd.h"
#include "sentry/ipc/ipc_object.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/wait/deferred.h"

namespace runsc {

class AioContext;

// What is told of a request when it has ended.
struct AioOrigin {
  uint64_t iocb = 0;  // guest address
  uint64_t data = 0;
  RefPtr<FileDescription> event_file;  // an EventFile, or null
};

// IOCB_CMD_POLL: waits for a file to become ready.
class AioPoll final : public Deferred {
 public:
  AioPoll(RefPtr<AioContext> context, RefPtr<FileDescription> file, EventMask events, AioOrigin origin);
  // Begins to wait, or completes at once.
  void Start();
  // Ends it, unless it has ended: with an event if `tell`. Whether it did.
  bool Cancel(bool tell);
  void Run(EventMask events) override;

 private:
  class ReadyWaiter final : public Waiter {
   public:
    explicit ReadyWaiter(AioPoll& poll) : poll_(poll) {}
    bool Notify(EventMask events) override {
      Defer(poll_, events);
      return true;
    }

   private:
    AioPoll& poll_;
  };
  bool Finish();  // whether this call ended it

  const RefPtr<AioContext> context_;
  const RefPtr<FileDescription> file_;
  const EventMask events_;
  const AioOrigin origin_;
  ReadyWaiter waiter_{*this};
  std::atomic<bool> done_{false};
};

class AioContext final : public RefCounted {
 public:
  // Maps a ring for at least `requests`. ENOMEM, EAGAIN (/proc/sys/fs/aio-max-nr).
  static Result<RefPtr<AioContext>> Create(MemoryManager& memory, uint32_t requests);
  uint64_t id() const { return ring_.value(); }
  uint32_t capacity() const { return capacity_; }
  uint64_t ring_length() const { return ring_length_; }  // bytes

  // Counts one more request. EAGAIN: there are as many as events fit into the ring.
  Result<void> Begin();
  // It came to nothing.
  void Abort();
  // It has ended with this result (or negative errno): an event.
  void Complete(const AioOrigin& origin, int64_t result);
  // False: it was shut down.
  bool AddPoll(uint64_t iocb, RefPtr<AioPoll> poll);
  void RemovePoll(uint64_t iocb, AioPoll& poll);
  RefPtr<AioPoll> FindPoll(uint64_t iocb);

  // Puts up to `limit` unread events to `to`; they are read then. How many. EFAULT: the ring is not there, or
  // not even one could be written (and none was read). EINVAL: it was destroyed.
  Result<size_t> TakeEvents(UserPtr<io_event> to, size_t limit);
  WaitQueue& wait_queue() { return wait_queue_; }
  // No more events; everything under way is forgotten. Before its address space goes.
  void Shutdown();

  // /proc/sys/fs/aio-nr and aio-max-nr.
  static std::atomic<uint64_t> total_requests, max_requests;

 private:
  AioContext(MemoryManager& memory, UserAddr ring, uint64_t ring_length, uint32_t capacity, uint32_t requests,
             IpcCharge charge);
  ~AioContext() override;
  Result<uint32_t> UnreadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const UserAddr ring_;
  const uint64_t ring_length_;
  const uint32_t capacity_;  // events in the ring
  const uint32_t requests_;  // what was asked for
  const IpcCharge charge_;
  WaitQueue wait_queue_;
  Mutex mu_{LockRank::kFileIo};
  MemoryManager* memory_ ABSL_GUARDED_BY(mu_);         // null after Shutdown
  std::vector<io_event> events_ ABSL_GUARDED_BY(mu_);  // what the ring should hold
  uint32_t tail_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t under_way_ ABSL_GUARDED_BY(mu_) = 0;
  absl::btree_multimap<uint64_t, RefPtr<AioPoll>> polls_ ABSL_GUARDED_BY(mu_);  // by iocb
};

// The contexts of one address space.
class AioContexts final : public RefCounted {
 public:
  static RefPtr<AioContexts> Of(MemoryManager& memory);
  // Null: no such context.
  RefPtr<AioContext> Find(uint64_t id);
  void Add(RefPtr<AioContext> context);
  RefPtr<AioContext> Remove(uint64_t id);

 private:
  ~AioContexts() override;
  Mutex mu_{LockRank::kLeaf};
  absl::flat_hash_map<uint64_t, RefPtr<AioContext>> contexts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_AIO_CONTEXT_H_
