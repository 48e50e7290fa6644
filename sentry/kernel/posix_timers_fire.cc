// When timers fire, and what they then do.
#include <sys/time.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer_entry.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {
namespace {

// However short its interval, a timer fires no more often than this; what it missed is its overrun.
constexpr int64_t kMinPeriod = 50'000;
// While its signal waits there is nothing to do but to count, which is done when that is taken, or, should
// another signal stand for it, by a look now and then.
constexpr int64_t kMinPendingLook = 10'000'000;
constexpr int64_t kMaxPendingLook = 1'280'000'000;
constexpr int64_t kMinCpuLook = 1'000'000;
constexpr int64_t kMaxCpuLook = 50'000'000;
// One thread serves the timers of all processes: each of them gets this much at a time, and the more timers
// it has, the longer each of these waits at least.
constexpr int kMostAtOnce = 16;
constexpr int64_t kPeriodPerTimer = 10'000;

CpuUsage UsageOf(const ThreadGroup& group, const Task* thread) {
  if (thread == nullptr) return group.GetCpuUsage();
  for (const RefPtr<Task>& task : group.Tasks()) {
    if (task.get() == thread) return task->GetCpuUsage();
  }
  return {};
}

int64_t CpuNow(const ThreadGroup& group, CpuClock clock, const Task* thread) {
  CpuUsage usage = UsageOf(group, thread);
  return clock.kind == CpuClock::Kind::kUser ? usage.user : usage.user + usage.system;
}

}  // namespace

void PosixTimers::ScheduleLocked(Entry& entry, Deadline deadline) {
  if (entry.due) due_.erase(*entry.due);
  entry.due.reset();
  if (!deadline.is_never()) {
    entry.due = {deadline.monotonic(), next_sequence_++};
    due_.emplace(*entry.due, &entry);
  }
  WaitForFirstLocked();
}

void PosixTimers::WaitForFirstLocked() {
  const int64_t first = due_.empty() ? INT64_MAX : due_.begin()->first.first;
  // One that is due already keeps its place among those of other processes.
  if (first == waits_for_ || (first < waits_for_ && waits_for_ <= MonotonicNow())) return;
  waits_for_ = first;
  timer_.Set(Deadline::AtMonotonic(first));
}

void PosixTimers::FireDue() {
  for (int i = 0; i < kMostAtOnce; ++i) {
    Entry* entry = nullptr;
    {
      Lock lock(mu_);
      if (due_.empty() || due_.begin()->first.first > MonotonicNow()) break;
      entry = due_.begin()->second;
      due_.erase(due_.begin());
      entry->due.reset();
    }
    Fire(*entry);
  }
  Lock lock(mu_);
  waits_for_ = due_.empty() ? INT64_MAX : std::max(due_.begin()->first.first, MonotonicNow());
  timer_.Set(Deadline::AtMonotonic(waits_for_));
}

int64_t PosixTimers::NowOf(const Entry& entry) const {
  return entry.cpu_clock ? CpuNow(ClockGroup(entry), *entry.cpu_clock, entry.clock_thread)
                         : ClockNow(entry.clock);
}

int64_t PosixTimers::MinPeriodLocked(int64_t least) const {
  return std::max(least, static_cast<int64_t>(timers_.size()) * kPeriodPerTimer);
}

void PosixTimers::ArmLocked(Entry& entry, int64_t not_before) {
  if (!entry.cpu_clock) {
    Deadline deadline = Deadline::AtClock(entry.clock, entry.when);
    if (!deadline.is_never() && deadline.monotonic() < not_before)
      deadline = Deadline::AtMonotonic(not_before);
    ScheduleLocked(entry, deadline);
    return;
  }
  int64_t now = NowOf(entry);
  // A process that does not run is looked at less and less often.
  entry.cpu_look = now != entry.last_cpu_reading ? kMinCpuLook : std::min(entry.cpu_look * 2, kMaxCpuLook);
  entry.last_cpu_reading = now;
  int64_t threads = entry.clock_thread != nullptr ? 1 : std::max<int64_t>(ClockGroup(entry).task_count(), 1);
  Deadline deadline =
      Deadline::After(std::max((entry.when - now) / threads, MinPeriodLocked(entry.cpu_look)));
  if (deadline.monotonic() < not_before) deadline = Deadline::AtMonotonic(not_before);
  ScheduleLocked(entry, deadline);
}

bool PosixTimers::IsPending(const Entry& entry) const {
  const int signal = entry.event.signal;
  if (signal == 0) return false;
  if (thread_group_.PendingSignals().Has(signal)) return true;
  RefPtr<Task> task = EventThread(entry);
  return task && task->PendingSignals().Has(signal);
}

RefPtr<Task> PosixTimers::EventThread(const Entry& entry) const {
  if (entry.event.thread == nullptr) return nullptr;
  RefPtr<Task> task = thread_group_.kernel().root_pid_namespace()->FindTask(entry.event.thread_id);
  return task.get() == entry.event.thread ? task : nullptr;
}

void PosixTimers::ArmCpuLimitLocked() {
  const uint64_t soft = thread_group_.Limit(RLIMIT_CPU);
  constexpr uint64_t kMost = INT64_MAX / kNanosecondsPerSecond;
  // No time at all counts as a second (Linux: update_rlimit_cpu()).
  const TimerSetting setting{
      soft < kMost ? static_cast<int64_t>(std::max<uint64_t>(soft, 1)) * kNanosecondsPerSecond : 0, 0};
  SetLocked(*intervals_[Entry::kCpuLimit], true, setting);
}

void PosixTimers::UpdateCpuLimit() {
  Lock lock(mu_);
  ArmCpuLimitLocked();
}

// Linux: check_process_timers().
void PosixTimers::FireCpuLimit() {
  Entry& entry = *intervals_[Entry::kCpuLimit];
  const int64_t now = CpuNow(thread_group_, *entry.cpu_clock, nullptr);
  int signal = 0;
  {
    Lock lock(mu_);
    if (!entry.armed || cleared_) return;
    if (now < entry.when) return ArmLocked(entry, 0);
    ResourceLimit limit = thread_group_.limits().Get(RLIMIT_CPU);
    signal = static_cast<uint64_t>(now / kNanosecondsPerSecond) >= limit.maximum ? SIGKILL : SIGXCPU;
    entry.armed = false;
    if (signal == SIGXCPU && limit.current < limit.maximum) {
      ++limit.current;
      thread_group_.limits().Set(RLIMIT_CPU, limit);
      ArmCpuLimitLocked();
    }
  }
  (void)thread_group_.SendSignal(MakeSignalInfo(signal, SI_KERNEL)).ok();
}

int64_t PosixTimers::ExpireLocked(Entry& entry, int64_t now) {
  if (entry.interval == 0) {
    entry.armed = false;
    return 1;
  }
  const int64_t expirations = 1 + (now - entry.when) / entry.interval;
  int64_t passed = 0;
  // After an interval of centuries the next time never comes.
  if (__builtin_mul_overflow(expirations, entry.interval, &passed) ||
      __builtin_add_overflow(entry.when, passed, &entry.when))
    entry.when = INT64_MAX;
  return expirations;
}

void PosixTimers::Fire(Entry& entry) {
  if (&entry == intervals_[Entry::kCpuLimit].get()) return FireCpuLimit();
  bool pending = IsPending(entry);
  int64_t now = NowOf(entry);
  bool send = false;
  int overrun = 0;
  {
    Lock lock(mu_);
    if (!entry.armed || cleared_) return;
    if (now < entry.when) {  // CPU time goes on, or a clock was set back
      ArmLocked(entry, 0);
      return;
    }
    int64_t expirations = ExpireLocked(entry, now);
    int64_t pause = kMinPeriod;
    if (entry.signal_sent && pending) {
      entry.missed += expirations;
      pause = entry.pending_look;
      entry.pending_look = std::min(2 * pause, kMaxPendingLook);
    } else {
      entry.signal_sent = send = entry.event.signal != 0;
      entry.missed = expirations - 1;
      entry.last_overrun = overrun = static_cast<int>(std::min<int64_t>(entry.missed, INT32_MAX));
      entry.pending_look = kMinPendingLook;
    }
    if (entry.armed) ArmLocked(entry, MonotonicNow() + MinPeriodLocked(pause));
  }
  if (send) Send(entry, overrun);
}

void PosixTimers::Send(const Entry& entry, int overrun) {
  if (entry.id < 0) {
    (void)thread_group_.SendSignal(MakeSignalInfo(entry.event.signal, SI_KERNEL)).ok();
    return;
  }
  siginfo_t info = MakeSignalInfo(entry.event.signal, SI_TIMER);
  info.si_timerid = entry.id;
  info.si_overrun = overrun;
  info.si_value.sival_ptr = reinterpret_cast<void*>(entry.event.value);
  if (entry.event.thread == nullptr) {
    (void)thread_group_.SendSignal(info).ok();
    return;
  }
  if (RefPtr<Task> task = EventThread(entry)) (void)task->SendSignal(info).ok();
}

void PosixTimers::OnSignalTaken(siginfo_t& info) {
  Lock lock(mu_);
  auto place = timers_.find(info.si_timerid);
  if (place == timers_.end()) return;
  Entry& entry = *place->second;
  if (entry.signal_sent && entry.armed && entry.interval > 0) {
    const int64_t now = NowOf(entry);
    if (now >= entry.when) entry.missed += ExpireLocked(entry, now);
    ArmLocked(entry, MonotonicNow() + MinPeriodLocked(kMinPeriod));
  }
  entry.signal_sent = false;
  entry.last_overrun = static_cast<int>(std::min<int64_t>(entry.missed, INT32_MAX));
  entry.missed = 0;
  info.si_overrun = entry.last_overrun;
}

}  // namespace runsc
