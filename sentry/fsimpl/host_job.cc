#include "sentry/fsimpl/host_job.h"

#include <utility>

namespace runsc {

void HostJob::AskLocked() {
  ++asked_;
  ask_(std::exchange(to_change_, false));
}

Result<bool> HostJob::IsInForeground(Task& task, bool to_change) {
  ScopedWait wait(task, queue_, EPOLLIN);
  uint64_t number = 0;
  {
    MutexLock lock(mu_);
    number = asked_ + 1;
    to_change_ |= to_change;
    if (asked_ == answered_) {
      AskLocked();
    } else {
      ask_again_ = true;
    }
  }
  for (;;) {
    {
      MutexLock lock(mu_);
      if (answered_ >= number) return foreground_;
    }
    RETURN_IF_ERROR(task.Block());
  }
}

void HostJob::OnAnswer(bool foreground) {
  {
    MutexLock lock(mu_);
    if (answered_ == asked_) return;
    ++answered_;
    foreground_ = foreground;
    if (std::exchange(ask_again_, false)) AskLocked();
  }
  queue_.Notify(EPOLLIN);
}

}  // namespace runsc
