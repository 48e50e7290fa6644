// PosixTimers: the timers of one process that send signals: ITIMER_REAL (alarm), ITIMER_VIRTUAL,
// ITIMER_PROF, and those of timer_create(2).
//
// Owned by the ThreadGroup, which calls OnExec and, when its last task goes, Clear.
// Threading: any thread, without the task tree or signal lock; a timer fires on the timer queue's thread.
// Linux counterpart: kernel/time/posix-timers.c, itimer.c.
//
// A timer on CPU time looks again each time that its process can have used up what is left at the
// earliest; nothing looks while no such timer is set.
#ifndef SENTRY_KERNEL_POSIX_TIMERS_H_
#define SENTRY_KERNEL_POSIX_TIMERS_H_

#include <signal.h>
#include <time.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/kernel/cpu_clock.h"
#include "sentry/time/timer_queue.h"

namespace runsc {

class Task;
class ThreadGroup;

// Nanoseconds.
struct TimerSetting {
  int64_t value = 0;  // 0: off
  int64_t interval = 0;
};

// struct sigevent, decoded.
struct TimerEvent {
  int signal = 0;  // 0: SIGEV_NONE
  uint64_t value = 0;
  bool has_value = false;        // else the timer's id
  const Task* thread = nullptr;  // SIGEV_THREAD_ID: compared only
  pid_t thread_id = 0;           // its root_tid
};

class PosixTimers {
 public:
  explicit PosixTimers(ThreadGroup& thread_group);
  ~PosixTimers();

  // `which` is ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF. Set returns what was set before.
  TimerSetting GetInterval(int which);
  TimerSetting SetInterval(int which, TimerSetting setting);

  // RLIMIT_CPU has been set, or inherited: SIGXCPU each second from the soft limit on, SIGKILL at the hard
  // one.
  void UpdateCpuLimit();

  // A timer_create(2) timer of `task` on a clock that the caller has checked. EAGAIN: too many.
  Result<int> Create(Task& task, clockid_t clock, const TimerEvent& event);
  // EINVAL: no such timer.
  Result<void> Delete(int id);
  Result<TimerSetting> Get(int id);
  clockid_t ClockOf(int id) const;  // CLOCK_REALTIME if there is no such timer
  Result<TimerSetting> Set(int id, bool absolute, TimerSetting setting);
  Result<int> Overrun(int id);

  // A signal with si_code SI_TIMER has been taken off a queue: puts in how often the timer expired
  // since it was sent. Call without locks.
  void OnSignalTaken(siginfo_t& info);
  void OnExec();  // interval timers stay
  void Clear();   // nothing fires afterwards

 private:
  struct Entry;
  using Lock = MutexLock;
  // What is due, on the timer queue's thread.
  void FireDue() ABSL_LOCKS_EXCLUDED(mu_);
  void Fire(Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Counts what has expired by `now`, which is not before its time, and goes on to the next time.
  int64_t ExpireLocked(Entry& entry, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ScheduleLocked(Entry& entry, Deadline deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WaitForFirstLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An entry that is in neither map any more is used by nobody afterwards.
  void WaitUntilNoneFires() ABSL_LOCKS_EXCLUDED(mu_);
  int64_t MinPeriodLocked(int64_t least) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t NowOf(const Entry& entry) const;  // on its clock
  RefPtr<Task> EventThread(const Entry& entry) const;
  bool IsPending(const Entry& entry) const;
  TimerSetting GetLocked(const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetLocked(Entry& entry, bool absolute, TimerSetting setting) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ArmLocked(Entry& entry, int64_t not_before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Send(const Entry& entry, int overrun);
  void ArmCpuLimitLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FireCpuLimit();
  ThreadGroup& ClockGroup(const Entry& entry) const;

  ThreadGroup& thread_group_;
  mutable Mutex mu_{LockRank::kPosixTimers};
  std::unique_ptr<Entry> intervals_[4];  // ITIMER_*, and RLIMIT_CPU; made with this object
  absl::btree_map<int, std::unique_ptr<Entry>> timers_ ABSL_GUARDED_BY(mu_);
  int next_id_ ABSL_GUARDED_BY(mu_) = 0;
  bool cleared_ ABSL_GUARDED_BY(mu_) = false;
  // Those that wait, by monotonic time and then the order in which they were set.
  absl::btree_map<std::pair<int64_t, uint64_t>, Entry*> due_ ABSL_GUARDED_BY(mu_);
  uint64_t next_sequence_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t waits_for_ ABSL_GUARDED_BY(mu_) = INT64_MAX;  // what timer_ is set to
  Timer timer_;                                         // the only one of the process in the queue
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_POSIX_TIMERS_H_
