#include "sentry/kernel/async_io.h"

#include <poll.h>
#include <sys/stat.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "sentry/kernel/process_group.h"
#include "sentry/kernel/task.h"

namespace runsc {
namespace {

// Few files have one: they are found here and not in each FileDescription.
struct Table {
  Mutex mu{LockRank::kLeaf};
  absl::flat_hash_map<const FileDescription*, RefPtr<AsyncIo>> all ABSL_GUARDED_BY(mu);
};
Table& Files() {
  static auto* const table = new Table;
  return *table;
}

// Whether the owner may be signalled by who made it the owner (Linux: sigio_perm).
bool MaySignal(Uid ruid, Uid euid, const Credentials& target) {
  return euid == 0 || euid == target.suid || euid == target.ruid || ruid == target.suid ||
         ruid == target.ruid;
}

}  // namespace

class AsyncIo::ReleaseListener final : public FileReleaseListener {
 public:
  void OnFileReleased(FileDescription& file) override {
    if (RefPtr<AsyncIo> io = Find(file)) io->Detach(file);
  }
};

RefPtr<AsyncIo> AsyncIo::Find(const FileDescription& file) {
  Table& table = Files();
  MutexLock lock(table.mu);
  auto place = table.all.find(&file);
  return place != table.all.end() ? place->second : nullptr;
}

RefPtr<AsyncIo> AsyncIo::FindOrMake(FileDescription& file) {
  Table& table = Files();
  RefPtr<AsyncIo> made;
  {
    MutexLock lock(table.mu);
    RefPtr<AsyncIo>& place = table.all[&file];
    if (place) return place;
    made = place = RefPtr<AsyncIo>::Adopt(new AsyncIo(file.inode()->file_type() == S_IFSOCK));
  }
  file.AddReleaseListener(MakeRef<ReleaseListener>());
  return made;
}

AsyncIo::~AsyncIo() = default;

void AsyncIo::Detach(FileDescription& file) {
  Stop(file);
  Unwatch();
  RefPtr<AsyncIo> self;  // dropped after the lock
  Table& table = Files();
  MutexLock lock(table.mu);
  auto place = table.all.find(&file);
  if (place == table.all.end()) return;
  self = std::move(place->second);
  table.all.erase(place);
}

void AsyncIo::SetOwner(Owner owner, const Credentials& by) {
  MutexLock lock(mu_);
  std::swap(target_.owner, owner);  // the old one goes after the lock
  target_.ruid = by.ruid;
  target_.euid = by.euid;
}

void AsyncIo::SetOwnerIfNone(Owner owner, const Credentials& by) {
  MutexLock lock(mu_);
  const Owner& now = target_.owner;
  if (now.thread || now.process || now.group) return;
  target_ = Target{std::move(owner), by.ruid, by.euid, target_.signal, target_.fd};
}

AsyncIo::Owner AsyncIo::owner() const {
  MutexLock lock(mu_);
  return target_.owner;
}

void AsyncIo::SetSignal(int signal) {
  MutexLock lock(mu_);
  target_.signal = signal;
}

int AsyncIo::signal() const {
  MutexLock lock(mu_);
  return target_.signal;
}

bool AsyncIo::ReadyWaiter::Notify(EventMask events) {
  events &= events_.load(std::memory_order_relaxed);
  if (events != 0) Defer(io_, events);
  return false;
}

void AsyncIo::Start(FileDescription& file, int fd, EventMask events) {
  {
    MutexLock lock(mu_);
    target_.fd = fd;
    if (started_) return;
    started_ = true;
    ready_.Listen(*file.wait_queue(), events);
  }
  (void)file.Readiness(events);  // has a host descriptor watched for what is not there yet
}

void AsyncIo::Stop(FileDescription& file) {
  MutexLock lock(mu_);
  if (std::exchange(started_, false)) file.wait_queue()->Remove(ready_);
}

Result<void> AsyncIo::Watch(FileDescription& directory, int fd, uint32_t mask, bool once, Uid user) {
  // The inode's lists are locked outside of mu_.
  RefPtr<InotifyFile> watch;
  {
    MutexLock lock(mu_);
    watch = watch_;
  }
  if (!watch) {
    ASSIGN_OR_RETURN(watch, InotifyFile::Create(O_NONBLOCK, user));
  }
  RETURN_IF_ERROR(watch->AddWatch(directory.inode(), mask | IN_MASK_ADD));
  MutexLock lock(mu_);
  target_.fd = fd;
  if (watch_ == watch) {
    watches_once_ &= once;
  } else if (!watch_) {
    watch_ = watch;
    watches_once_ = once;
    changed_.Listen(*watch_->wait_queue(), EPOLLIN);
  }
  return Ok();
}

void AsyncIo::Unwatch() {
  RefPtr<InotifyFile> watch;  // goes after the lock
  MutexLock lock(mu_);
  if (!watch_) return;
  watch_->wait_queue()->Remove(changed_);
  watch = std::move(watch_);
}

void AsyncIo::SendLeaseBreak(int fd) {
  Target target;
  {
    MutexLock lock(mu_);
    target = target_;
  }
  target.fd = fd;
  SendTo(target, POLL_MSG, POLLIN | POLLRDNORM | POLLMSG);
}

void AsyncIo::ForgetOwner() {
  Owner owner;  // goes after the lock
  MutexLock lock(mu_);
  std::swap(target_.owner, owner);
  target_.signal = 0;
}

void AsyncIo::Run(EventMask events) {
  Target target;
  RefPtr<InotifyFile> watch;
  bool once = false;
  {
    MutexLock lock(mu_);
    if (!started_ && !watch_) return;
    target = target_;
    watch = watch_;
    once = watches_once_;
  }
  if (watch) {
    size_t changes = watch->DiscardEvents();
    if (once && changes != 0) {
      Unwatch();
      changes = 1;
    }
    for (; changes != 0; --changes) SendTo(target, POLL_MSG, POLLIN | POLLRDNORM | POLLMSG);
  } else if (is_socket_ && (events & (EPOLLHUP | EPOLLRDHUP)) != 0) {
    SendTo(target, POLL_HUP, POLLHUP | POLLERR);
  } else {
    if ((events & EPOLLIN) != 0) SendTo(target, POLL_IN, POLLIN | POLLRDNORM);
    if ((events & EPOLLOUT) != 0) SendTo(target, POLL_OUT, POLLOUT | POLLWRNORM | POLLWRBAND);
    if ((events & EPOLLPRI) != 0) SendTo(target, POLL_PRI, POLLPRI | POLLRDBAND);
    if ((events & (EPOLLIN | EPOLLOUT | EPOLLPRI)) == 0) SendTo(target, POLL_ERR, POLLERR);
  }
}

void AsyncIo::SendTo(const Target& target, int code, int64_t band) const {
  siginfo_t chosen = MakeSignalInfo(target.signal, code);
  chosen.si_band = band;
  chosen.si_fd = target.fd;
  SendSignalTo(target, chosen, true);
}

void AsyncIo::SendUrgent() {
  Target target;
  {
    MutexLock lock(mu_);
    target = target_;
  }
  SendSignalTo(target, MakeSignalInfo(SIGURG, SI_KERNEL), false);
}

void AsyncIo::SendSignalTo(const Target& target, const siginfo_t& info, bool or_sigio) {
  auto send = [&](auto& receiver, const RefPtr<Task>& task) {
    RefPtr<const Credentials> creds = task ? task->GetCreds() : nullptr;
    if (!creds || !MaySignal(target.ruid, target.euid, *creds)) return;
    // SIGIO says that something was lost when the chosen signal's queue is full (fcntl(2)).
    const bool sent = info.si_signo != 0 && receiver.SendSignal(info).ok();
    if (!sent && or_sigio) (void)receiver.SendSignal(MakeSignalInfo(SIGIO, SI_KERNEL));
  };
  const Owner& owner = target.owner;
  if (owner.thread) send(*owner.thread, owner.thread);
  if (owner.process) send(*owner.process, owner.process->leader());
  if (!owner.group) return;
  for (const RefPtr<ThreadGroup>& member : owner.group->Members()) send(*member, member->leader());
}

}  // namespace runsc
