#include "sentry/fsimpl/timerfd.h"

#include <algorithm>

namespace runsc {

TimerFile::TimerFile(TimerQueue& queue, clockid_t clock, int flags)
    : FileDescription(AnonymousPath("anon_inode:[timerfd]"), O_RDWR | flags),
      clock_(clock),
      timer_(queue, [this] { Fire(); }) {}

void TimerFile::Fire() {
  {
    MutexLock lock(mu_);
    if (when_ == 0 || fired_) return;  // set anew meanwhile
    if (ClockNow(clock_) < when_) {
      timer_.Set(Deadline::AtClock(clock_, when_));
      return;
    }
    fired_ = true;
    ++expirations_;
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

void TimerFile::CatchUpLocked() {
  if (!fired_) return;
  if (interval_ == 0) {
    when_ = 0;
    fired_ = false;
    return;
  }
  int64_t now = ClockNow(clock_);
  int64_t missed = std::max<int64_t>((now - when_) / interval_, 0);
  expirations_ += static_cast<uint64_t>(missed);
  when_ += (missed + 1) * interval_;
  fired_ = false;
  timer_.Set(Deadline::AtClock(clock_, when_));
}

TimerSetting TimerFile::GetLocked() {
  CatchUpLocked();
  TimerSetting setting{0, interval_};
  if (when_ != 0) setting.value = std::max<int64_t>(when_ - ClockNow(clock_), 1);
  return setting;
}

TimerSetting TimerFile::Get() {
  MutexLock lock(mu_);
  return GetLocked();
}

uint64_t TimerFile::ticks() {
  MutexLock lock(mu_);
  (void)GetLocked();  // counts what has expired
  return expirations_;
}

bool TimerFile::is_absolute() const {
  MutexLock lock(mu_);
  return absolute_;
}

TimerSetting TimerFile::Set(bool absolute, TimerSetting setting) {
  MutexLock lock(mu_);
  absolute_ = absolute;
  TimerSetting old = GetLocked();
  expirations_ = 0;
  fired_ = false;
  interval_ = setting.interval;
  when_ = setting.value;
  if (when_ == 0) {
    timer_.Set(Deadline::Never());
    return old;
  }
  if (!absolute && __builtin_add_overflow(ClockNow(clock_), setting.value, &when_)) when_ = INT64_MAX;
  timer_.Set(Deadline::AtClock(clock_, when_));
  return old;
}

Result<size_t> TimerFile::Read(IoSequence& to) {
  if (to.size() < sizeof(uint64_t)) return Errno(EINVAL);
  uint64_t value = 0;
  {
    MutexLock lock(mu_);
    if (expirations_ == 0) return Errno(EAGAIN);
    CatchUpLocked();
    value = std::exchange(expirations_, 0);
  }
  ASSIGN_OR_RETURN(size_t done, to.CopyOut(std::as_bytes(std::span(&value, 1))));
  if (done != sizeof(value)) return Errno(EFAULT);
  return done;
}

EventMask TimerFile::Readiness(EventMask mask) {
  MutexLock lock(mu_);
  return expirations_ > 0 ? mask & (EPOLLIN | EPOLLRDNORM) : 0;
}

}  // namespace runsc
