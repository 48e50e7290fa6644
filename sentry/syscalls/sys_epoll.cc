#include "sentry/syscalls/sys_epoll.h"

#include "sentry/fsimpl/epoll.h"
#include "sentry/syscalls/signal_mask.h"
#include "sentry/syscalls/time_argument.h"
#include "sentry/wait/host_poller.h"

namespace runsc {
namespace {

struct Timeout {
  bool immediate = false;
  Deadline deadline = Deadline::Never();
};

Timeout FromMilliseconds(int milliseconds) {
  if (milliseconds < 0) return {};
  if (milliseconds == 0) return {true, Deadline::Never()};
  return {false, Deadline::After(int64_t{milliseconds} * 1'000'000)};
}

Result<int64_t> Deliver(Task& task, UserPtr<epoll_event> to, const std::vector<epoll_event>& events) {
  RETURN_IF_ERROR(task.memory().WriteArray(to, std::span<const epoll_event>(events)));
  return static_cast<int64_t>(events.size());
}

Result<int64_t> Wait(Task& task, int fd, UserPtr<epoll_event> to, int max, Timeout timeout) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (max <= 0 || static_cast<size_t>(max) > INT32_MAX / sizeof(epoll_event)) return Errno(EINVAL);
  auto* epoll = dynamic_cast<EpollFile*>(file.get());
  if (epoll == nullptr) return Errno(EINVAL);
  std::vector<epoll_event> events = epoll->Collect(static_cast<size_t>(max));
  if (events.empty() && timeout.immediate) {
    // What has come to the host's descriptors must be seen by who does not wait, too.
    HostPoller::Get().Collect();
    events = epoll->Collect(static_cast<size_t>(max));
  }
  if (!events.empty() || timeout.immediate) return Deliver(task, to, events);
  Result<void> slept;
  {
    ScopedWait wait(task, *epoll->wait_queue(), EPOLLIN, /*exclusive=*/true);
    for (;;) {
      events = epoll->Collect(static_cast<size_t>(max));
      if (!events.empty() || !slept.ok()) break;
      // After the last sleep, too, it looks once more: a wake-up that only this task got is not lost.
      slept = task.Block(timeout.deadline);
    }
  }
  if (!events.empty() || slept.is(ETIMEDOUT)) return Deliver(task, to, events);
  return Errno(EINTR);
}

}  // namespace

Result<int64_t> SysEpollCreate(Task& task, int size) {
  if (size <= 0) return Errno(EINVAL);
  return SysEpollCreate1(task, 0);
}

Result<int64_t> SysEpollCreate1(Task& task, int flags) {
  if ((flags & ~EPOLL_CLOEXEC) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(int fd, task.AddFile(MakeRef<EpollFile>(), (flags & EPOLL_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysEpollCtl(Task& task, Fd epoll, EpollOperation operation, Fd fd,
                            UserPtr<const epoll_event> event) {
  epoll_event wanted{};
  if (operation != EPOLL_CTL_DEL) {
    ASSIGN_OR_RETURN(wanted, task.memory().Read(event));
  }
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(epoll));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> target, task.GetFile(fd));
  if (!target->CanBePolled()) return Errno(EPERM);
  auto* instance = dynamic_cast<EpollFile*>(file.get());
  if (instance == nullptr) return Errno(EINVAL);
  RETURN_IF_ERROR(instance->Control(operation, std::move(target), fd, wanted));
  return 0;
}

Result<int64_t> SysEpollWait(Task& task, Fd epoll, UserPtr<epoll_event> events, int max, int timeout_ms) {
  return Wait(task, epoll, events, max, FromMilliseconds(timeout_ms));
}

Result<int64_t> SysEpollPwait(Task& task, Fd epoll, UserPtr<epoll_event> events, int max, int timeout_ms,
                              UserPtr<const uint64_t> mask, uint64_t mask_size) {
  RETURN_IF_ERROR(ApplyTemporaryMask(task, mask, mask_size));
  return Wait(task, epoll, events, max, FromMilliseconds(timeout_ms));
}

Result<int64_t> SysEpollPwait2(Task& task, Fd epoll, UserPtr<epoll_event> events, int max,
                               UserPtr<const timespec> timeout, UserPtr<const uint64_t> mask,
                               uint64_t mask_size) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
  RETURN_IF_ERROR(ApplyTemporaryMask(task, mask, mask_size));
  return Wait(task, epoll, events, max, Timeout{time == 0, AfterOrNever(time)});
}

}  // namespace runsc
