#include "sentry/fsimpl/pty.h"

#include <asm/termbits.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "sentry/fsimpl/pty_file.h"

namespace runsc {
namespace {

constexpr unsigned kReplicaMajor = 136;
constexpr size_t kChunk = 2048;

}  // namespace

Pty::Pty(TimerQueue& timers, int index, std::function<void()> on_master_close)
    : timers_(timers), index_(index), on_master_close_(std::move(on_master_close)) {}

uint64_t Pty::device() const { return makedev(kReplicaMajor, index_); }

void Pty::SetReplicaPath(VfsPath path) {
  MutexLock lock(mu_);
  std::swap(replica_path_, path);
}

Result<RefPtr<FileDescription>> Pty::OpenFile(int flags) {
  VfsPath path;
  {
    MutexLock lock(mu_);
    path = replica_path_;
  }
  if (!path) return Errno(EIO);
  return MakeReplica(path, flags);
}

RefPtr<FileDescription> Pty::MakeMaster(const VfsPath& path, int flags) {
  return MakeRef<PtyMaster>(path, flags, RefPtr<Pty>(this));
}

Result<RefPtr<FileDescription>> Pty::MakeReplica(const VfsPath& path, int flags) {
  {
    MutexLock lock(mu_);
    if (locked_ || master_closed_) return Errno(EIO);
    Task* task = Task::CurrentOrNull();
    if (exclusive_ && task != nullptr && !task->creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EBUSY);
    ++replicas_;
    replica_opened_ = true;
  }
  master_queue_.Notify(EPOLLIN | EPOLLOUT);
  return RefPtr<FileDescription>(MakeRef<PtyReplica>(path, flags, RefPtr<Pty>(this)));
}

void Pty::CloseMaster() {
  VfsPath path;
  std::function<void()> on_close;
  {
    MutexLock lock(mu_);
    master_closed_ = true;
    std::swap(path, replica_path_);
    std::swap(on_close, on_master_close_);
  }
  if (on_close) on_close();
  Hangup();
  replica_queue_.Notify(EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR);
}

void Pty::CloseReplica() {
  {
    MutexLock lock(mu_);
    --replicas_;
    if (replicas_ == 0) exclusive_ = false;
  }
  master_queue_.Notify(EPOLLIN | EPOLLHUP);
}

void Pty::Settle(const std::vector<int>& signals) {
  bool for_master = false, for_replica = false, replica_room = false, master_room = false;
  {
    MutexLock lock(mu_);
    for_master = !discipline_.pending_output().empty() || packet_status_ != 0;
    for_replica = discipline_.CanRead(1);
    replica_room = discipline_.HasOutputRoom();
    master_room = discipline_.HasInputRoom();
  }
  EventMask master = (for_master ? EPOLLIN | EPOLLRDNORM : 0) | (master_room ? EPOLLOUT | EPOLLWRNORM : 0);
  EventMask replica = (for_replica ? EPOLLIN | EPOLLRDNORM : 0) | (replica_room ? EPOLLOUT | EPOLLWRNORM : 0);
  if (master != 0) master_queue_.Notify(master);
  if (replica != 0) replica_queue_.Notify(replica);
  for (int signal : signals) SignalForeground(signal);
}

// --- the master's side ---

Result<size_t> Pty::MasterRead(IoSequence& to) {
  if (to.empty()) return size_t{0};
  Result<size_t> done = size_t{0};
  {
    MutexLock lock(mu_);
    std::string_view output = discipline_.pending_output();
    if (packet_mode_ && (packet_status_ != 0 || !output.empty())) {
      uint8_t status = std::exchange(packet_status_, 0);
      RETURN_IF_ERROR(to.CopyOut(std::as_bytes(std::span(&status, 1))));
      if (status != 0) return size_t{1};
      if (to.empty()) return size_t{1};
      done = to.CopyOut(std::as_bytes(std::span(output)));
      if (done.ok()) {
        discipline_.ConsumeOutput(*done);
        *done += 1;
      }
    } else if (output.empty()) {
      return replicas_ == 0 && replica_opened_ ? Errno(EIO) : Errno(EAGAIN);
    } else {
      done = to.CopyOut(std::as_bytes(std::span(output)));
      if (done.ok()) discipline_.ConsumeOutput(*done);
    }
  }
  Settle();
  return done;
}

Result<size_t> Pty::MasterWrite(IoSequence& from) {
  size_t done = 0;
  std::vector<int> signals;
  while (!from.empty()) {
    IoSequence rest = from;
    std::string chunk(std::min(from.size(), kChunk), '\0');
    Result<size_t> got = from.CopyIn(std::as_writable_bytes(std::span(chunk)));
    if (!got.ok()) {
      if (done == 0) return got;
      break;
    }
    chunk.resize(*got);
    size_t taken = 0;
    {
      MutexLock lock(mu_);
      taken = discipline_.Input(chunk);
      std::vector<int> more = discipline_.TakeSignals();
      if (!more.empty() && packet_mode_ && (discipline_.termios().c_lflag & NOFLSH) == 0)
        packet_status_ |= TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE;
      signals.insert(signals.end(), more.begin(), more.end());
    }
    done += taken;
    if (taken < chunk.size()) {
      rest.Skip(taken);
      from = rest;
      break;
    }
  }
  Settle(signals);
  if (done == 0 && !from.empty()) return Errno(EAGAIN);
  return done;
}

EventMask Pty::MasterReadiness() {
  MutexLock lock(mu_);
  EventMask events = 0;
  if (!discipline_.pending_output().empty()) events |= EPOLLIN | EPOLLRDNORM;
  if (packet_mode_ && packet_status_ != 0) events |= EPOLLPRI | EPOLLIN | EPOLLRDNORM;
  if (discipline_.HasInputRoom()) events |= EPOLLOUT | EPOLLWRNORM;
  if (replicas_ == 0 && replica_opened_) events |= EPOLLHUP;
  return events;
}

// --- the replica's side ---

uint8_t Pty::minimum() {
  MutexLock lock(mu_);
  return discipline_.termios().c_cc[VMIN];
}
uint8_t Pty::wait_time() {
  MutexLock lock(mu_);
  return discipline_.termios().c_cc[VTIME];
}
bool Pty::is_canonical() {
  MutexLock lock(mu_);
  return (discipline_.termios().c_lflag & ICANON) != 0;
}
bool Pty::stops_output() {
  MutexLock lock(mu_);
  return (discipline_.termios().c_lflag & TOSTOP) != 0;
}

Result<size_t> Pty::ReplicaRead(IoSequence& to, size_t minimum, bool* was_empty) {
  std::string text;
  {
    MutexLock lock(mu_);
    if (master_closed_) return size_t{0};
    *was_empty = discipline_.Readable() == 0;
    if (!discipline_.CanRead(minimum)) return Errno(EAGAIN);
    text = discipline_.Read(to.size());
  }
  Settle();
  if (text.empty()) return size_t{0};
  return to.CopyOut(std::as_bytes(std::span(text)));
}

Result<size_t> Pty::ReplicaWrite(IoSequence& from) {
  size_t done = 0;
  while (!from.empty()) {
    IoSequence rest = from;
    std::string chunk(std::min(from.size(), kChunk), '\0');
    Result<size_t> got = from.CopyIn(std::as_writable_bytes(std::span(chunk)));
    if (!got.ok()) {
      if (done == 0) return got;
      break;
    }
    chunk.resize(*got);
    size_t taken = 0;
    {
      MutexLock lock(mu_);
      if (master_closed_) return Errno(EIO);
      taken = discipline_.Output(chunk);
    }
    done += taken;
    if (taken < chunk.size()) {
      rest.Skip(taken);
      from = rest;
      break;
    }
  }
  if (done > 0) master_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  if (done == 0 && !from.empty()) return Errno(EAGAIN);
  return done;
}

EventMask Pty::ReplicaReadiness() {
  MutexLock lock(mu_);
  if (master_closed_) return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDNORM | EPOLLWRNORM;
  EventMask events = 0;
  const KernelTermios& termios = discipline_.termios();
  size_t minimum = termios.c_cc[VTIME] == 0 ? std::max<size_t>(1, termios.c_cc[VMIN]) : 1;
  if (discipline_.CanRead(minimum)) events |= EPOLLIN | EPOLLRDNORM;
  if (discipline_.HasOutputRoom()) events |= EPOLLOUT | EPOLLWRNORM;
  return events;
}

// --- files ---

PtyReplica::PtyReplica(VfsPath path, int flags, RefPtr<Pty> pty)
    : FileDescription(std::move(path), flags),
      pty_(std::move(pty)),
      timer_(pty_->timers(), [queue = &pty_->replica_queue_] { queue->Notify(EPOLLIN); }) {}

Result<size_t> PtyReplica::Read(IoSequence& to) {
  constexpr int64_t kTenth = 100'000'000;
  // A deadline that is long gone was set by a read that a signal ended.
  constexpr int64_t kForgotten = 1'000'000'000;
  if (Task* task = Task::CurrentOrNull()) RETURN_IF_ERROR(pty_->CheckBackground(*task, SIGTTIN));
  if (to.empty()) return size_t{0};
  bool was_empty = true;
  if (pty_->is_canonical()) return pty_->ReplicaRead(to, 1, &was_empty);
  size_t minimum = pty_->minimum();
  int64_t wait = pty_->wait_time() * kTenth;
  if (minimum == 0 && wait == 0) return pty_->ReplicaRead(to, 0, &was_empty);
  size_t wanted = non_blocking() ? 1 : std::min<size_t>(std::max<size_t>(minimum, 1), to.size());
  Result<size_t> done = pty_->ReplicaRead(to, wanted, &was_empty);
  if (!done.is(EAGAIN)) read_deadline_.store(INT64_MAX);
  if (!done.is(EAGAIN) || wait == 0 || non_blocking()) return done;
  // VMIN > 0: the time runs from byte to byte, and not before the first.
  if (minimum > 0 && was_empty) return done;
  int64_t now = MonotonicNow();
  int64_t deadline = read_deadline_.load();
  if (deadline == INT64_MAX || now - deadline > kForgotten) {
    read_deadline_.store(now + wait);
    timer_.Set(Deadline::AtMonotonic(now + wait));
    return done;
  }
  if (now < deadline) {
    // Something came, but not enough.
    if (minimum > 0) {
      read_deadline_.store(now + wait);
      timer_.Set(Deadline::AtMonotonic(now + wait));
    }
    return done;
  }
  read_deadline_.store(INT64_MAX);
  return pty_->ReplicaRead(to, 0, &was_empty);
}

Result<size_t> PtyReplica::Write(IoSequence& from) {
  Task* task = Task::CurrentOrNull();
  if (task != nullptr && pty_->stops_output()) RETURN_IF_ERROR(pty_->CheckBackground(*task, SIGTTOU));
  return pty_->ReplicaWrite(from);
}

void MaybeBecomeControlling(Terminal& terminal, int flags) {
  if ((flags & O_NOCTTY) != 0 || (flags & O_ACCMODE) == O_WRONLY) return;
  if (Task* task = Task::CurrentOrNull()) (void)terminal.BecomeControlling(*task, false).ok();
}

}  // namespace runsc
