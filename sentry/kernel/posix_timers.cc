#include "sentry/kernel/posix_timers.h"

#include <sys/time.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer_entry.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxTimers = 65536;  // of a user, whatever RLIMIT_SIGPENDING says

int SignalOf(int which) {
  return which == ITIMER_REAL ? SIGALRM : which == ITIMER_VIRTUAL ? SIGVTALRM : SIGPROF;
}

}  // namespace

PosixTimers::PosixTimers(ThreadGroup& thread_group)
    : thread_group_(thread_group), timer_(thread_group.kernel().timers(), [this] { FireDue(); }) {
  for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    auto entry = std::make_unique<Entry>();
    entry->event.signal = SignalOf(which);
    if (which == ITIMER_VIRTUAL) entry->cpu_clock = CpuClock{.kind = CpuClock::Kind::kUser};
    if (which == ITIMER_PROF) entry->cpu_clock = CpuClock{.kind = CpuClock::Kind::kProfile};
    intervals_[which] = std::move(entry);
  }
  intervals_[Entry::kCpuLimit] = std::make_unique<Entry>();
  intervals_[Entry::kCpuLimit]->event.signal = SIGXCPU;
  intervals_[Entry::kCpuLimit]->cpu_clock = CpuClock{.kind = CpuClock::Kind::kProfile};
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
    due_.clear();
  }
  timer_.Cancel();
}

void PosixTimers::OnExec() {
  absl::btree_map<int, std::unique_ptr<Entry>> gone;
  {
    Lock lock(mu_);
    gone.swap(timers_);
    for (auto& [id, entry] : gone) {
      entry->armed = false;
      ScheduleLocked(*entry, Deadline::Never());
    }
    next_id_ = 0;
  }
  WaitUntilNoneFires();
}

void PosixTimers::WaitUntilNoneFires() {
  timer_.Cancel();
  Lock lock(mu_);
  waits_for_ = INT64_MAX;
  WaitForFirstLocked();
}

TimerSetting PosixTimers::GetLocked(const Entry& entry) const {
  TimerSetting setting{0, entry.interval};
  if (!entry.armed) return TimerSetting{0, entry.id >= 0 ? entry.interval : 0};
  int64_t now = NowOf(entry);
  int64_t left = entry.when - now;
  // One whose signal waits goes on, unseen.
  if (left <= 0 && entry.id >= 0 && entry.interval > 0)
    left = entry.interval - (now - entry.when) % entry.interval;
  // A timer that is due, but has not fired yet, is still running.
  setting.value = std::max<int64_t>(left, 1);
  return setting;
}

void PosixTimers::SetLocked(Entry& entry, bool absolute, TimerSetting setting) {
  entry.missed = 0;
  entry.last_overrun = 0;
  entry.interval = setting.interval;
  entry.armed = setting.value > 0 && !cleared_;
  if (!entry.armed) {
    ScheduleLocked(entry, Deadline::Never());
    return;
  }
  entry.when = setting.value;
  if (!absolute) {
    int64_t now = NowOf(entry);
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
  auto entry = std::make_unique<Entry>();
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
  ASSIGN_OR_RETURN(entry->counted,
                   thread_group_.kernel().user_timers().Add(
                       task.creds().ruid, std::min(thread_group_.Limit(RLIMIT_SIGPENDING), kMaxTimers)));
  Lock lock(mu_);
  while (timers_.contains(next_id_)) next_id_ = next_id_ == INT32_MAX ? 0 : next_id_ + 1;
  int id = next_id_;
  next_id_ = next_id_ == INT32_MAX ? 0 : next_id_ + 1;
  entry->id = id;
  if (!entry->event.has_value) entry->event.value = static_cast<uint64_t>(id);
  timers_.emplace(id, std::move(entry));
  return id;
}

Result<void> PosixTimers::Delete(int id) {
  std::unique_ptr<Entry> gone;
  {
    Lock lock(mu_);
    auto place = timers_.find(id);
    if (place == timers_.end()) return Errno(EINVAL);
    gone = std::move(place->second);
    gone->armed = false;
    ScheduleLocked(*gone, Deadline::Never());
    timers_.erase(place);
  }
  WaitUntilNoneFires();
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

}  // namespace runsc
