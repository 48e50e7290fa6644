// Scheduling: the policy of sched(7) that a task has asked for. It is kept, checked and inherited as in
// Linux; the host schedules all tasks alike. Few tasks have one that is not the default: they are kept here,
// and not in each Task.
//
// Threading: any thread.
// Linux counterpart: policy, rt_priority, sched_reset_on_fork and dl of struct task_struct.
#ifndef SENTRY_KERNEL_SCHEDULING_H_
#define SENTRY_KERNEL_SCHEDULING_H_

#include <sched.h>

#include <cstdint>

namespace runsc {

class Task;

struct Scheduling {
  int policy = 0;    // SCHED_OTHER, …
  int priority = 0;  // 1 to 99 with SCHED_FIFO and SCHED_RR, else 0
  bool reset_on_fork = false;
  // SCHED_DEADLINE: ns, and its SCHED_FLAG_*.
  uint64_t runtime = 0, deadline = 0, period = 0;
  uint64_t deadline_flags = 0;

  friend bool operator==(const Scheduling&, const Scheduling&) = default;

  template <typename Coder>
  void Fields(Coder& coder) {
    coder(policy, priority, reset_on_fork, runtime, deadline, period, deadline_flags);
  }
};

inline constexpr int kSchedulingIdle = 5;  // SCHED_IDLE
inline constexpr int kMaxRealTimePriority = 99;
inline bool IsRealTimePolicy(int policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
// Those that nice values are for.
inline bool IsFairPolicy(int policy) { return policy == SCHED_OTHER || policy == SCHED_BATCH; }

// Whether Linux has that policy, and it takes these parameters (EINVAL else).
bool IsSchedulingPolicy(int policy);
bool IsValid(const Scheduling& scheduling);

Scheduling GetScheduling(const Task& task);
void SetScheduling(const Task& task, const Scheduling& scheduling);

}  // namespace runsc

#endif  // SENTRY_KERNEL_SCHEDULING_H_
