#include "sentry/syscalls/sys_event_files.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <array>

#include "sentry/fsimpl/eventfd.h"
#include "sentry/fsimpl/pipe.h"
#include "sentry/fsimpl/signalfd.h"
#include "sentry/fsimpl/timerfd.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

Result<RefPtr<FileDescription>> GetTimer(Task& task, int fd, TimerFile** timer) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  *timer = dynamic_cast<TimerFile*>(file.get());
  if (*timer == nullptr) return Errno(EINVAL);
  return file;
}

}  // namespace

Result<int64_t> SysPipe(Task& task, UserPtr<int32_t> fds) { return SysPipe2(task, fds, OpenFlags{0}); }

Result<int64_t> SysPipe2(Task& task, UserPtr<int32_t> fds, OpenFlags flags) {
  constexpr int kNotificationPipe = O_EXCL;  // O_NOTIFICATION_PIPE, of kernels with CONFIG_WATCH_QUEUE
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | kNotificationPipe)) != 0) return Errno(EINVAL);
  if ((flags & kNotificationPipe) != 0) return Errno(ENOPKG);
  const bool close_on_exec = (flags & O_CLOEXEC) != 0;
  FDTable& table = task.fd_table();
  ASSIGN_OR_RETURN(int reader, table.Reserve(0, task.Limit(RLIMIT_NOFILE)));
  Result<int> writer = table.Reserve(0, task.Limit(RLIMIT_NOFILE));
  if (!writer.ok()) {
    table.Cancel(reader);
    return writer.error();
  }
  std::array<int32_t, 2> numbers{reader, *writer};
  Result<void> written = task.memory().WriteArray(fds, std::span<const int32_t>(numbers));
  if (!written.ok()) {
    table.Cancel(reader);
    table.Cancel(*writer);
    return written.error();
  }
  PipeEnds ends = MakePipe(task.creds(), flags);
  table.Install(reader, std::move(ends.reader), close_on_exec);
  table.Install(*writer, std::move(ends.writer), close_on_exec);
  return 0;
}

Result<int64_t> SysEventfd(Task& task, uint32_t initial) { return SysEventfd2(task, initial, 0); }

Result<int64_t> SysEventfd2(Task& task, uint32_t initial, int flags) {
  if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) != 0) return Errno(EINVAL);
  auto file = MakeRef<EventFile>(initial, (flags & EFD_SEMAPHORE) != 0, flags & EFD_NONBLOCK);
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(file), (flags & EFD_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysSignalfd(Task& task, Fd fd, UserPtr<const uint64_t> mask, uint64_t size) {
  return SysSignalfd4(task, fd, mask, size, 0);
}

Result<int64_t> SysSignalfd4(Task& task, Fd fd, UserPtr<const uint64_t> mask, uint64_t size, int flags) {
  if (size != sizeof(uint64_t)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint64_t bits, task.memory().Read(mask));
  if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) != 0) return Errno(EINVAL);
  if (fd == -1) {
    auto file = MakeRef<SignalFile>(SignalSet(bits), flags & SFD_NONBLOCK);
    ASSIGN_OR_RETURN(int added, task.AddFile(std::move(file), (flags & SFD_CLOEXEC) != 0));
    return added;
  }
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  auto* signals = dynamic_cast<SignalFile*>(file.get());
  if (signals == nullptr) return Errno(EINVAL);
  signals->SetSignals(SignalSet(bits));
  return static_cast<int>(fd);
}

Result<int64_t> SysTimerfdCreate(Task& task, ClockId clock, int flags) {
  if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) != 0) return Errno(EINVAL);
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
      clock != CLOCK_REALTIME_ALARM && clock != CLOCK_BOOTTIME_ALARM)
    return Errno(EINVAL);
  if (WithoutAlarm(clock) != clock && !task.creds().HasCapability(CAP_WAKE_ALARM)) return Errno(EPERM);
  auto file = MakeRef<TimerFile>(task.kernel().timers(), WithoutAlarm(clock), flags & TFD_NONBLOCK);
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(file), (flags & TFD_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysTimerfdSettime(Task& task, Fd fd, int flags, UserPtr<const itimerspec> from,
                                  UserPtr<itimerspec> old) {
  ASSIGN_OR_RETURN(itimerspec value, task.memory().Read(from));
  if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(TimerSetting setting, ToSetting(value));
  TimerFile* timer = nullptr;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, GetTimer(task, fd, &timer));
  const bool absolute = (flags & TFD_TIMER_ABSTIME) != 0;
  if (absolute) setting = OnMachine(task, timer->clock(), setting);
  TimerSetting before = timer->Set(absolute, setting);
  if (old) RETURN_IF_ERROR(task.memory().Write(old, FromSetting(before)));
  return 0;
}

Result<int64_t> SysTimerfdGettime(Task& task, Fd fd, UserPtr<itimerspec> to) {
  TimerFile* timer = nullptr;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, GetTimer(task, fd, &timer));
  RETURN_IF_ERROR(task.memory().Write(to, FromSetting(timer->Get())));
  return 0;
}

}  // namespace runsc
