// What /proc/<pid>/fdinfo tells of a file beyond its offset and flags: each kind's own lines, as in proc(5),
// and its locks.
#include <sys/sysmacros.h>

#include "platform/base/log.h"
#include "sentry/fsimpl/epoll.h"
#include "sentry/fsimpl/eventfd.h"
#include "sentry/fsimpl/pidfd.h"
#include "sentry/fsimpl/proc_internal.h"
#include "sentry/fsimpl/signalfd.h"
#include "sentry/fsimpl/timerfd.h"
#include "sentry/vfs/inotify.h"

namespace runsc {
namespace {

void AddTime(TextBuilder& text, const char* name, int64_t nanoseconds) {
  text.Add("{}: ({}, {})\n", name, nanoseconds / kNanosecondsPerSecond, nanoseconds % kNanosecondsPerSecond);
}

void AddTimer(TextBuilder& text, TimerFile& timer) {
  TimerSetting setting = timer.Get();
  text.Add("clockid: {}\nticks: {}\nsettime flags: 0{:o}\n", timer.clock(), timer.ticks(),
           timer.is_absolute() ? 1 : 0);
  AddTime(text, "it_value", setting.value);
  AddTime(text, "it_interval", setting.interval);
}

void AddInterest(TextBuilder& text, const EpollFile& epoll, FDTable& table) {
  for (const EpollInterest::Info& info : epoll.List()) {
    InodeAttributes attributes;
    int64_t position = 0;
    if (Result<RefPtr<FileDescription>> file = table.Get(info.fd); file.ok()) {
      attributes = (*file)->Attributes().value_or(InodeAttributes());
      position = (*file)->Seek(0, SEEK_CUR).value_or(0);
    }
    text.Add("tfd: {:8} events: {:8x} data: {:16x}  pos:{} ino:{:x} sdev:{:x}\n", info.fd, info.events,
             info.data, position, attributes.ino, attributes.device);
  }
}

void AddWatches(TextBuilder& text, InotifyFile& inotify) {
  for (const InotifyFile::WatchInfo& watch : inotify.Watches()) {
    Result<InodeAttributes> watched = watch.inode->Attributes();
    if (!watched.ok()) continue;
    text.Add("inotify wd:{:x} ino:{:x} sdev:{:x} mask:{:x} ignored_mask:0 \n", watch.descriptor, watched->ino,
             watched->device, watch.mask);
  }
}

// -1: it has been waited for; 0: it cannot be seen from here.
void AddProcess(TextBuilder& text, const ThreadGroup& process, const PidNamespace& view) {
  pid_t pid = view.IdOf(process);
  if (pid != 0 && view.FindThreadGroup(pid).get() != &process) pid = -1;
  text.Add("Pid:\t{}\nNSpid:\t{}", pid, pid);
  if (pid > 0) {
    const std::vector<pid_t>& ids = process.numbers().ids;
    for (size_t level = static_cast<size_t>(view.level()) + 1; level < ids.size(); ++level)
      text.Add("\t{}", ids[level]);
  }
  text.Append("\n");
}

}  // namespace

void AddLockLine(TextBuilder& text, int number, const FileLocks::Info& info,
                 const InodeAttributes& attributes) {
  const RecordLock& lock = info.lock;
  const char* kind = info.flock ? "FLOCK " : lock.pid == -1 ? "OFDLCK" : "POSIX ";
  text.Add("{}: {} ADVISORY  {} {} {:02x}:{:02x}:{} {} ", number, kind,
           lock.type == FileLockType::kExclusive ? "WRITE" : "READ", lock.pid, major(attributes.device),
           minor(attributes.device), attributes.ino, lock.range.start);
  if (lock.range.end == UINT64_MAX) {
    text.Append("EOF\n");
  } else {
    text.Add("{}\n", lock.range.end - 1);
  }
}

void AddLeaseLine(TextBuilder& text, int number, const Leases::Info& info,
                  const InodeAttributes& attributes) {
  const char* type = info.type == LeaseType::kRead    ? "READ"
                     : info.type == LeaseType::kWrite ? "WRITE"
                                                      : "UNLCK";
  text.Add("{}: LEASE  {} {} {} {:02x}:{:02x}:{} 0 EOF\n", number,
           info.is_breaking ? "BREAKING " : "ACTIVE   ", type, info.pid, major(attributes.device),
           minor(attributes.device), attributes.ino);
}

void AddFileDetails(TextBuilder& text, FileDescription& file, FDTable& table, const PidNamespace& view) {
  if (auto* event = dynamic_cast<EventFile*>(&file))
    text.Add("eventfd-count: {:16x}\neventfd-semaphore: {}\n", event->count(), event->semaphore() ? 1 : 0);
  if (auto* timer = dynamic_cast<TimerFile*>(&file)) AddTimer(text, *timer);
  if (auto* signals = dynamic_cast<SignalFile*>(&file))
    text.Add("sigmask:\t{:016x}\n", signals->signals().bits());
  if (auto* epoll = dynamic_cast<EpollFile*>(&file)) AddInterest(text, *epoll, table);
  if (auto* inotify = dynamic_cast<InotifyFile*>(&file)) AddWatches(text, *inotify);
  if (auto* pidfd = dynamic_cast<PidfdFile*>(&file)) AddProcess(text, *pidfd->process(), view);
  const RefPtr<Inode> inode = file.inode();
  if (!inode) return;  // it always has one, which GCC cannot know
  FileLocks* locks = inode->locks_if_any();
  if (locks == nullptr) return;
  int number = 0;
  for (const FileLocks::Info& info : locks->List()) {
    if (info.lock.owner != file.lock_owner() && info.lock.owner != &table) continue;
    text.Append("lock:\t");
    AddLockLine(text, ++number, info, file.Attributes().value_or(InodeAttributes()));
  }
  Leases* leases = locks->leases_if_any();
  if (leases == nullptr) return;
  for (const Leases::Info& info : leases->List()) {
    if (info.owner != file.lock_owner()) continue;
    text.Append("lock:\t");
    AddLeaseLine(text, ++number, info, file.Attributes().value_or(InodeAttributes()));
  }
}

}  // namespace runsc
