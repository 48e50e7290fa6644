// SeccompListener: system calls that wait for what a supervisor says (SECCOMP_RET_USER_NOTIF). The filter
// that asks and the supervisor's descriptor share it.
//
// Threading: any thread. Linux counterpart: struct notification, struct seccomp_knotif; seccomp_unotify(2).
#ifndef SENTRY_KERNEL_SECCOMP_LISTENER_H_
#define SENTRY_KERNEL_SECCOMP_LISTENER_H_

#include <linux/seccomp.h>

#include <deque>
#include <optional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class Task;

// What becomes of a system call.
struct SyscallDecision {
  bool serve = true;
  bool interrupted = false;  // not served now: ERESTARTSYS
  int64_t value = 0;         // not served: what the result's register gets

  static SyscallDecision Refuse(int64_t value) { return {false, false, value}; }
};

class SeccompListener final : public RefCounted {
 public:
  // `wait_killable`: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
  explicit SeccompListener(bool wait_killable);

  // --- by the task that makes the call ---
  // Waits for an answer. -ENOSYS without a supervisor.
  SyscallDecision Ask(Task& task, const seccomp_data& data);

  // --- by the supervisor ---
  struct Request {
    uint64_t id = 0;
    RefPtr<Task> task;
    seccomp_data data{};
  };
  // The next call that nobody has taken; null: there is none.
  std::optional<Request> Take();
  // It could not be told after all.
  void PutBack(uint64_t id);
  // ENOENT: the call is not waiting any more; EINPROGRESS: it is not taken, or has its answer.
  Result<void> Answer(const seccomp_notif_resp& response);
  // Whether the call is taken and waits.
  bool IsValid(uint64_t id) const;
  // The caller of a call that is taken, to give it a descriptor. With `answers` nobody else can answer it
  // from now on. ENOENT, EINPROGRESS.
  Result<RefPtr<Task>> Target(uint64_t id, bool answers);
  // Ends what Target(…, true) began: the descriptor is the call's result, or (negative) there is none.
  void FinishTarget(uint64_t id, int fd);
  EventMask Readiness(EventMask mask) const;
  WaitQueue& queue() { return queue_; }
  // The descriptor is closed: every call that waits, and all that will be made, get ENOSYS.
  void Close();
  // No task has the filter any more.
  void Orphan();

 private:
  enum class State { kNew, kTaken, kAnswering, kAnswered };
  struct Entry {
    Request request;
    State state = State::kNew;
    int64_t value = 0;
    int32_t error = 0;
    uint32_t flags = 0;
  };
  ~SeccompListener() override;
  Entry* FindLocked(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const Entry* FindLocked(uint64_t id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static SyscallDecision DecisionOf(const Entry& entry);
  Result<void> Wait(Task& task, uint64_t id);

  const bool wait_killable_;
  WaitQueue queue_;
  mutable Mutex mu_{LockRank::kPipe};
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mu_);
  uint64_t next_id_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool orphaned_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SECCOMP_LISTENER_H_
