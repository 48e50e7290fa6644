#include "sentry/fsimpl/signalfd.h"

#include <sys/signalfd.h>

#include <cstring>

#include "sentry/kernel/task.h"

namespace runsc {
namespace {

signalfd_siginfo ToRecord(const siginfo_t& info) {
  signalfd_siginfo record{};
  record.ssi_signo = static_cast<uint32_t>(info.si_signo);
  record.ssi_errno = info.si_errno;
  record.ssi_code = info.si_code;
  if (info.si_code == SI_TIMER) {
    record.ssi_tid = static_cast<uint32_t>(info.si_timerid);
    record.ssi_overrun = static_cast<uint32_t>(info.si_overrun);
    record.ssi_ptr = reinterpret_cast<uint64_t>(info.si_value.sival_ptr);
    record.ssi_int = info.si_value.sival_int;
    return record;
  }
  bool from_kernel = info.si_code > 0 && info.si_code != SI_KERNEL;
  if (from_kernel && info.si_signo == SIGCHLD) {
    record.ssi_pid = static_cast<uint32_t>(info.si_pid);
    record.ssi_uid = info.si_uid;
    record.ssi_status = info.si_status;
    record.ssi_utime = static_cast<uint64_t>(info.si_utime);
    record.ssi_stime = static_cast<uint64_t>(info.si_stime);
  } else if (from_kernel && info.si_signo == SIGPOLL) {
    record.ssi_band = static_cast<uint32_t>(info.si_band);
    record.ssi_fd = info.si_fd;
  } else if (from_kernel && (info.si_signo == SIGSEGV || info.si_signo == SIGBUS || info.si_signo == SIGILL ||
                             info.si_signo == SIGFPE || info.si_signo == SIGTRAP)) {
    record.ssi_addr = reinterpret_cast<uint64_t>(info.si_addr);
  } else {
    record.ssi_pid = static_cast<uint32_t>(info.si_pid);
    record.ssi_uid = info.si_uid;
    record.ssi_ptr = reinterpret_cast<uint64_t>(info.si_value.sival_ptr);
    record.ssi_int = info.si_value.sival_int;
  }
  return record;
}

}  // namespace

// Hands a process's notifications on.
class SignalFile::Relay final : public Waiter {
 public:
  Relay(WaitQueue& to, ThreadGroup& group) : to_(to), group_(&group) {
    group.signal_queue().Add(*this, EPOLLIN);
  }
  ~Relay() override { group_->signal_queue().Remove(*this); }
  const ThreadGroup& group() const { return *group_; }
  bool Notify(EventMask) override {
    to_.Notify(EPOLLIN | EPOLLRDNORM);
    return true;
  }

 private:
  WaitQueue& to_;
  const RefPtr<ThreadGroup> group_;
};

SignalFile::SignalFile(SignalSet set, int flags)
    : FileDescription(AnonymousPath("anon_inode:[signalfd]"), O_RDWR | flags),
      set_((set & ~kUnblockableSignals).bits()) {}

SignalFile::~SignalFile() = default;

void SignalFile::SetSignals(SignalSet set) {
  set_.store((set & ~kUnblockableSignals).bits(), std::memory_order_relaxed);
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

Result<size_t> SignalFile::Read(IoSequence& to) {
  if (to.size() < sizeof(signalfd_siginfo)) return Errno(EINVAL);
  Task& task = Task::Current();
  size_t done = 0;
  while (to.size() >= sizeof(signalfd_siginfo)) {
    std::optional<siginfo_t> info = task.TakeSignal(signals());
    if (!info) break;
    signalfd_siginfo record = ToRecord(*info);
    Result<size_t> got = to.CopyOut(std::as_bytes(std::span(&record, 1)));
    if (!got.ok() || *got != sizeof(record)) {
      if (done == 0) return Errno(EFAULT);
      break;
    }
    done += sizeof(record);
  }
  if (done == 0) return Errno(EAGAIN);
  return done;
}

EventMask SignalFile::Readiness(EventMask mask) {
  Task* task = Task::CurrentOrNull();
  if (task == nullptr || (task->PendingSignals() & signals()).empty()) return 0;
  return mask & (EPOLLIN | EPOLLRDNORM);
}

WaitQueue* SignalFile::wait_queue() {
  Task* task = Task::CurrentOrNull();
  if (task == nullptr) return &wait_queue_;
  ThreadGroup& group = task->thread_group();
  std::vector<std::unique_ptr<Relay>> gone;  // destroyed after the lock
  MutexLock lock(mu_);
  for (size_t i = 0; i < relays_.size();) {
    if (&relays_[i]->group() == &group) return &wait_queue_;
    if (relays_[i]->group().IsExiting()) {
      gone.push_back(std::move(relays_[i]));
      relays_[i] = std::move(relays_.back());
      relays_.pop_back();
    } else {
      ++i;
    }
  }
  relays_.push_back(std::make_unique<Relay>(wait_queue_, group));
  return &wait_queue_;
}

}  // namespace runsc
