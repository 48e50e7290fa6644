#include "sentry/kernel/posix_timers.h"

#include <sys/time.h>

#include <algorithm>
#include <vector>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {
namespace {

// However short its interval, a timer fires no more often than this; what it missed is its overrun.
constexpr int64_t kMinPeriod = 50'000;
constexpr int64_t kMinPeriodWhilePending = 10'000'000;
constexpr int64_t kMinCpuLook = 1'000'000;
constexpr int64_t kMaxCpuLook = 50'000'000;
constexpr size_t kMaxTimers = 65536;
constexpr int kCpuLimit = 3;  // behind the ITIMER_* ones

int SignalOf(int which) {
  return which == ITIMER_REAL ? SIGALRM : which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF;
}

}  // namespace

// Fields are guarded by the owner's mu_, but for the constants.
struct PosixTimers::Entry {
  Entry(PosixTimers& owner, TimerQueue& queue) : timer(queue, [this, &owner] { owner.Fire(*this); }) {}

  int id = -1;  // -1: an interval timer
  clockid_t clock = CLOCK_MONOTONIC;
  std::optional<CpuClock> cpu_clock;
  const Task* clock_thread = nullptr;  // whose CPU time; null: the process's
  RefPtr<ThreadGroup> clock_group;     // another process, whose CPU time it is
  TimerEvent event;

  bool armed = false;
  int64_t when = 0;  // on `clock`
  int64_t interval = 0;
  int64_t last_cpu_reading = 0;
  int64_t cpu_look = kMinCpuLook;
  bool signal_sent = false;  // and not taken yet
  int64_t missed = 0;        // expirations since it was sent
  int last_overrun = 0;
  Timer timer;  // last: cancelled before the rest goes
};

namespace {

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

PosixTimers::PosixTimers(ThreadGroup& thread_group) : thread_group_(thread_group) {
  TimerQueue& queue = thread_group.kernel().timers();
  for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    auto entry = std::make_unique<Entry>(*this, queue);
    entry->event.signal = SignalOf(which);
    if (which == ITIMER_VIRTUAL) entry->cpu_clock = CpuClock{.kind = CpuClock::Kind::kUser};
    if (which == ITIMER_PROF) entry->cpu_clock = CpuClock{.kind = CpuClock::Kind::kProfile};
    intervals_[which] = std::move(entry);
  }
  intervals_[kCpuLimit] = std::make_unique<Entry>(*this, queue);
  intervals_[kCpuLimit]->event.signal = SIGXCPU;
  intervals_[kCpuLimit]->cpu_clock = CpuClock{.kind = CpuClock::Kind::kProfile};
}

ThreadGroup& PosixTimers::ClockGroup(const Entry& entry) const {
  return entry.clock_group ? *entry.clock_group : thread_group_;
}

PosixTimers::~PosixTimers() { Clear(); }

void PosixTimers::Clear() {
  absl::btree_map<int, std::unique_ptr<Entry>> gone;
  {
    Lock lock(mu_);
    cleared_ = true;
    gone.swap(timers_);
    for (auto& entry : intervals_) entry->armed = false;
  }
  for (auto& entry : intervals_) entry->timer.Cancel();
}

void PosixTimers::OnExec() {
  // Destroyed after the lock's release: a callback may be waiting for it.
  absl::btree_map<int, std::unique_ptr<Entry>> gone;
  Lock lock(mu_);
  gone.swap(timers_);
  next_id_ = 0;
}

TimerSetting PosixTimers::GetLocked(const Entry& entry) const {
  TimerSetting setting{0, entry.interval};
  if (!entry.armed) return TimerSetting{0, entry.id >= 0 ? entry.interval : 0};
  int64_t now = entry.cpu_clock ? CpuNow(ClockGroup(entry), *entry.cpu_clock, entry.clock_thread)
                                : ClockNow(entry.clock);
  // A timer that is due, but has not fired yet, is still running.
  setting.value = std::max<int64_t>(entry.when - now, 1);
  return setting;
}

void PosixTimers::ArmLocked(Entry& entry, int64_t not_before) {
  if (!entry.cpu_clock) {
    Deadline deadline = Deadline::AtClock(entry.clock, entry.when);
    if (!deadline.is_never() && deadline.monotonic() < not_before)
      deadline = Deadline::AtMonotonic(not_before);
    entry.timer.Set(deadline);
    return;
  }
  int64_t now = CpuNow(ClockGroup(entry), *entry.cpu_clock, entry.clock_thread);
  // A process that does not run is looked at less and less often.
  entry.cpu_look = now != entry.last_cpu_reading ? kMinCpuLook : std::min(entry.cpu_look * 2, kMaxCpuLook);
  entry.last_cpu_reading = now;
  int64_t threads = entry.clock_thread != nullptr ? 1 : std::max<int64_t>(ClockGroup(entry).task_count(), 1);
  entry.timer.Set(Deadline::After(std::max((entry.when - now) / threads, entry.cpu_look)));
}

void PosixTimers::SetLocked(Entry& entry, bool absolute, TimerSetting setting) {
  entry.missed = 0;
  entry.last_overrun = 0;
  entry.interval = setting.interval;
  entry.armed = setting.value > 0 && !cleared_;
  if (!entry.armed) {
    entry.timer.Set(Deadline::Never());
    return;
  }
  entry.when = setting.value;
  if (!absolute) {
    int64_t now = entry.cpu_clock ? CpuNow(ClockGroup(entry), *entry.cpu_clock, entry.clock_thread)
                                  : ClockNow(entry.clock);
    if (__builtin_add_overflow(now, setting.value, &entry.when)) entry.when = INT64_MAX;
  }
  ArmLocked(entry, 0);
}

TimerSetting PosixTimers::GetInterval(int which) {
  Lock lock(mu_);
  return GetLocked(*intervals_[which]);
}

TimerSetting PosixTimers::SetInterval(int which, TimerSetting setting) {
  Lock lock(mu_);
  TimerSetting old = GetLocked(*intervals_[which]);
  SetLocked(*intervals_[which], false, setting);
  return old;
}

Result<int> PosixTimers::Create(Task& task, clockid_t clock, const TimerEvent& event) {
  auto entry = std::make_unique<Entry>(*this, thread_group_.kernel().timers());
  entry->clock = clock;
  entry->event = event;
  entry->cpu_clock = CpuClock::Decode(clock);
  if (entry->cpu_clock && entry->cpu_clock->thread) {
    entry->clock_thread = &task;
    if (pid_t id = entry->cpu_clock->id; id != 0 && id != task.tid()) {
      RefPtr<Task> other = task.pid_namespace().FindTask(id);
      if (!other || &other->thread_group() != &thread_group_) return Errno(EINVAL);
      entry->clock_thread = other.get();
    }
  }
  if (entry->cpu_clock && !entry->cpu_clock->thread && entry->cpu_clock->id != 0) {
    RefPtr<ThreadGroup> other = task.pid_namespace().FindThreadGroup(entry->cpu_clock->id);
    if (!other) return Errno(EINVAL);
    // (A timer must not keep its own process.)
    if (other.get() != &thread_group_) entry->clock_group = std::move(other);
  }
  Lock lock(mu_);
  if (timers_.size() >= std::min<uint64_t>(thread_group_.Limit(RLIMIT_SIGPENDING), kMaxTimers))
    return Errno(EAGAIN);
  while (timers_.contains(next_id_)) next_id_ = next_id_ == INT32_MAX ? 0 : next_id_ + 1;
  int id = next_id_;
  next_id_ = next_id_ == INT32_MAX ? 0 : next_id_ + 1;
  entry->id = id;
  if (!entry->event.has_value) entry->event.value = static_cast<uint64_t>(id);
  timers_.emplace(id, std::move(entry));
  return id;
}

Result<void> PosixTimers::Delete(int id) {
  std::unique_ptr<Entry> gone;  // as in OnExec
  Lock lock(mu_);
  auto place = timers_.find(id);
  if (place == timers_.end()) return Errno(EINVAL);
  gone = std::move(place->second);
  timers_.erase(place);
  return Ok();
}

Result<TimerSetting> PosixTimers::Get(int id) {
  Lock lock(mu_);
  auto place = timers_.find(id);
  if (place == timers_.end()) return Errno(EINVAL);
  return GetLocked(*place->second);
}

clockid_t PosixTimers::ClockOf(int id) const {
  Lock lock(mu_);
  auto place = timers_.find(id);
  return place != timers_.end() ? place->second->clock : CLOCK_REALTIME;
}

Result<TimerSetting> PosixTimers::Set(int id, bool absolute, TimerSetting setting) {
  Lock lock(mu_);
  auto place = timers_.find(id);
  if (place == timers_.end()) return Errno(EINVAL);
  TimerSetting old = GetLocked(*place->second);
  SetLocked(*place->second, absolute, setting);
  return old;
}

Result<int> PosixTimers::Overrun(int id) {
  Lock lock(mu_);
  auto place = timers_.find(id);
  if (place == timers_.end()) return Errno(EINVAL);
  return place->second->last_overrun;
}

bool PosixTimers::IsPending(const Entry& entry) const {
  for (const RefPtr<Task>& task : thread_group_.Tasks()) {
    if (entry.event.thread != nullptr && task.get() != entry.event.thread) continue;
    if (task->PendingSignals().Has(entry.event.signal)) return true;
  }
  return false;
}

void PosixTimers::ArmCpuLimitLocked() {
  const uint64_t soft = thread_group_.Limit(RLIMIT_CPU);
  constexpr uint64_t kMost = INT64_MAX / kNanosecondsPerSecond;
  // No time at all counts as a second (Linux: update_rlimit_cpu()).
  const TimerSetting setting{
      soft < kMost ? static_cast<int64_t>(std::max<uint64_t>(soft, 1)) * kNanosecondsPerSecond : 0, 0};
  SetLocked(*intervals_[kCpuLimit], true, setting);
}

void PosixTimers::UpdateCpuLimit() {
  Lock lock(mu_);
  ArmCpuLimitLocked();
}

// Linux: check_process_timers().
void PosixTimers::FireCpuLimit() {
  Entry& entry = *intervals_[kCpuLimit];
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

void PosixTimers::Fire(Entry& entry) {
  if (&entry == intervals_[kCpuLimit].get()) return FireCpuLimit();
  bool pending = entry.event.signal != 0 && IsPending(entry);
  int64_t now = entry.cpu_clock ? CpuNow(ClockGroup(entry), *entry.cpu_clock, entry.clock_thread)
                                : ClockNow(entry.clock);
  bool send = false;
  int overrun = 0;
  {
    Lock lock(mu_);
    if (!entry.armed || cleared_) return;
    if (now < entry.when) {  // CPU time goes on, or a clock was set back
      ArmLocked(entry, 0);
      return;
    }
    int64_t expirations = 1;
    if (entry.interval > 0) {
      expirations += (now - entry.when) / entry.interval;
      int64_t passed = 0;
      // After an interval of centuries the next time never comes.
      if (__builtin_mul_overflow(expirations, entry.interval, &passed) ||
          __builtin_add_overflow(entry.when, passed, &entry.when))
        entry.when = INT64_MAX;
    } else {
      entry.armed = false;
    }
    if (entry.signal_sent && pending) {
      entry.missed += expirations;
    } else {
      entry.signal_sent = send = entry.event.signal != 0;
      entry.missed = expirations - 1;
      entry.last_overrun = overrun = static_cast<int>(std::min<int64_t>(entry.missed, INT32_MAX));
    }
    if (entry.armed) ArmLocked(entry, MonotonicNow() + (send ? kMinPeriod : kMinPeriodWhilePending));
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
  for (const RefPtr<Task>& task : thread_group_.Tasks()) {
    if (task.get() == entry.event.thread && task->root_tid() == entry.event.thread_id)
      (void)task->SendSignal(info).ok();
  }
}

void PosixTimers::OnSignalTaken(siginfo_t& info) {
  Lock lock(mu_);
  auto place = timers_.find(info.si_timerid);
  if (place == timers_.end()) return;
  Entry& entry = *place->second;
  entry.signal_sent = false;
  entry.last_overrun = static_cast<int>(std::min<int64_t>(entry.missed, INT32_MAX));
  entry.missed = 0;
  info.si_overrun = entry.last_overrun;
}

}  // namespace runsc
