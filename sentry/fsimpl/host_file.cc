#include "sentry/fsimpl/host_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sentry/fsimpl/host_stream.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/wait/host_poller.h"

namespace runsc {
namespace {

// What a terminal or an odd device takes in one blocking write once poll(2) called it writable.
constexpr size_t kPolledWrite = 2048;

bool IsReady(int fd, short events) {
  pollfd poll{fd, events, 0};
  return ::poll(&poll, 1, 0) > 0;
}

bool IsSeekable(uint32_t file_type) {
  return file_type == S_IFREG || file_type == S_IFDIR || file_type == S_IFBLK;
}

const char* NameFor(uint32_t file_type) {
  switch (file_type) {
    case S_IFIFO:
      return "pipe:[%]";
    case S_IFSOCK:
      return "socket:[%]";
    default:
      return "host:[%]";
  }
}

}  // namespace

void HostTerminal::AddInode(HostInode& inode) {
  MutexLock lock(inode_mu_);
  inodes_.push_back(&inode);
}

void HostTerminal::ForgetInode(const HostInode& inode) {
  MutexLock lock(inode_mu_);
  std::erase(inodes_, &inode);
}

Result<RefPtr<FileDescription>> HostTerminal::OpenFile(int flags) {
  std::vector<RefPtr<HostInode>> inodes;
  {
    MutexLock lock(inode_mu_);
    for (HostInode* inode : inodes_) {
      if (auto alive = RefPtr<HostInode>::TryFrom(inode)) inodes.push_back(std::move(alive));
    }
  }
  OpenOptions options;
  options.flags = flags & (O_ACCMODE | O_NONBLOCK);
  Result<RefPtr<FileDescription>> file = Errno(ENXIO);
  for (const auto& inode : inodes) {
    file = inode->Open(inode->NewPath(), options);
    if (file.ok()) break;
  }
  return file;
}

Result<bool> HostTerminal::IsHostBackground(Task& task, bool to_change) {
  if (!job_) return false;
  ASSIGN_OR_RETURN(bool foreground, job_->IsInForeground(task, to_change));
  return !foreground;
}

Result<void> HostTerminal::CheckUse(Task& task, int signal, bool to_change) {
  RETURN_IF_ERROR(CheckBackground(task, signal));
  ASSIGN_OR_RETURN(bool background, IsHostBackground(task, to_change));
  return background ? StopInBackground(task, signal) : Ok();
}

HostInode::HostInode(Filesystem& filesystem, UniqueFd fd, const struct stat& stat, int flags,
                     RefPtr<HostTerminal> terminal, VfsPath terminal_path,
                     std::optional<std::pair<uint32_t, uint32_t>> owner)
    : Inode(filesystem, stat.st_mode & S_IFMT),
      file_(MakeRef<HostBackingFile>(std::move(fd), (flags & O_ACCMODE) == O_RDWR)),
      ino_(filesystem.NextInodeNumber()),
      flags_(flags),
      terminal_(std::move(terminal)),
      terminal_path_(std::move(terminal_path)),
      owner_(owner) {
  if (terminal_) terminal_->AddInode(*this);
}

void HostInode::OnLastRelease() {
  if (terminal_) terminal_->ForgetInode(*this);
  HostPoller::Get().Forget(fd());
  delete this;
}

VfsPath HostInode::NewPath() {
  return terminal_path_ ? terminal_path_ : AnonymousPath(NameFor(file_type()), RefPtr<Inode>(this));
}

Result<InodeAttributes> HostInode::Attributes() {
  ASSIGN_OR_RETURN(struct stat stat, file_->Stat());
  InodeAttributes attributes;
  CopyHostAttributes(stat, &attributes);
  attributes.ino = ino_;
  attributes.device = filesystem().device();
  if (owner_) {
    attributes.uid = owner_->first;
    attributes.gid = owner_->second;
  }
  return attributes;
}

Result<void> HostInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  if (change.mode || change.uid || change.gid || change.atime || change.mtime) return Errno(EPERM);
  if (!change.size) return Ok();
  if (!IsRegular() || (flags_ & O_ACCMODE) == O_RDONLY) return Errno(EINVAL);
  if (*change.size > static_cast<uint64_t>(INT64_MAX)) return Errno(EFBIG);
  if (ftruncate(fd(), static_cast<off_t>(*change.size)) < 0) return HostErrno();
  return Ok();
}

// Also for /proc/self/fd/N: an open file of its own, with no more rights than the host's.
Result<RefPtr<FileDescription>> HostInode::Open(const VfsPath& path, const OpenOptions& options) {
  int wanted = options.flags & O_ACCMODE;
  int had = flags_ & O_ACCMODE;
  if (had != O_RDWR && wanted != had) return Errno(EACCES);
  if (IsSeekable(file_type()))
    return RefPtr<FileDescription>(MakeRef<HostSeekable>(path, options.flags, *this));
  return RefPtr<FileDescription>(MakeRef<HostStream>(path, options.flags, RefPtr<HostInode>(this)));
}

ssize_t HostInode::ReadBlocks(std::span<const iovec> blocks) {
  if (IsSocket()) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(blocks.data());
    message.msg_iovlen = blocks.size();
    return recvmsg(fd(), &message, MSG_DONTWAIT);
  }
  int count = static_cast<int>(blocks.size());
  if (takes_no_wait_.load(std::memory_order_relaxed)) {
    ssize_t done = preadv2(fd(), blocks.data(), count, -1, RWF_NOWAIT);
    if (done >= 0 || errno != EOPNOTSUPP) return done;
    takes_no_wait_.store(false, std::memory_order_relaxed);
  }
  if (!IsReady(fd(), POLLIN)) {
    errno = EAGAIN;
    return -1;
  }
  return preadv2(fd(), blocks.data(), count, -1, 0);
}

ssize_t HostInode::WriteBlocks(std::span<const iovec> blocks) {
  if (IsSocket()) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(blocks.data());
    message.msg_iovlen = blocks.size();
    return sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  if (takes_no_wait_.load(std::memory_order_relaxed)) {
    ssize_t done = pwritev2(fd(), blocks.data(), static_cast<int>(blocks.size()), -1, RWF_NOWAIT);
    if (done >= 0 || errno != EOPNOTSUPP) return done;
    takes_no_wait_.store(false, std::memory_order_relaxed);
  }
  if (!IsReady(fd(), POLLOUT)) {
    errno = EAGAIN;
    return -1;
  }
  iovec first{blocks[0].iov_base, std::min(blocks[0].iov_len, kPolledWrite)};
  return pwritev2(fd(), &first, 1, -1, 0);
}

Result<size_t> HostInode::TryRead(IoSequence& to) {
  auto done =
      to.WithBlocks(to.size(), MemoryAccess::kWrite, [&](std::span<const iovec> blocks) -> Result<size_t> {
        ssize_t count = ReadBlocks(blocks);
        if (count < 0) return Failed(errno, EPOLLIN);
        return static_cast<size_t>(count);
      });
  return done;
}

Result<size_t> HostInode::TryWrite(IoSequence& from) {
  size_t total = 0;
  while (!from.empty()) {
    auto done = from.WithBlocks(from.size(), MemoryAccess::kRead,
                                [&](std::span<const iovec> blocks) -> Result<size_t> {
                                  ssize_t count = WriteBlocks(blocks);
                                  if (count < 0) return Failed(errno, EPOLLOUT);
                                  return static_cast<size_t>(count);
                                });
    if (!done.ok() && total > 0) break;
    if (!done.ok()) return done;
    total += *done;
    if (*done == 0 || file_type() == S_IFSOCK) break;
  }
  return total;
}

EventMask HostInode::Readiness(EventMask mask) {
  // EPOLL* and POLL* bits are the same numbers.
  pollfd poll{fd(), static_cast<short>(mask & 0x7fff), 0};
  int count = ::poll(&poll, 1, 0);
  EventMask ready = count > 0 ? static_cast<EventMask>(static_cast<uint16_t>(poll.revents)) : 0;
  ready &= mask | EPOLLERR | EPOLLHUP;
  HostPoller::Get().ArmMissing(fd(), wait_queue_, mask, ready);
  return ready;
}

void HostInode::WatchEdges() { HostPoller::Get().WatchEdges(fd(), wait_queue_); }

Errno HostInode::Failed(int error, EventMask wait_for) {
  if (error == EAGAIN) HostPoller::Get().Arm(fd(), wait_queue_, wait_for);
  if (error != EINTR) return Errno(error);
  // The task looks at why, and comes again: nothing has to happen to the file first.
  wait_queue_.Notify(wait_for);
  return Errno(EAGAIN);
}

Result<ImportedFiles> ImportHostFiles(std::vector<UniqueFd> fds, const ImportOptions& options) {
  ImportedFiles imported;
  struct Known {
    RefPtr<HostTerminal> terminal;
    VfsPath path;
  };
  std::vector<Known> terminals;
  for (UniqueFd& fd : fds) {
    if (!fd) {
      imported.files.emplace_back();
      continue;
    }
    struct stat stat {};
    int flags = fcntl(fd.get(), F_GETFL);
    if (flags < 0 || HostFstat(fd.get(), &stat) < 0) return Errno(EINVAL);
    RefPtr<HostTerminal> terminal;
    VfsPath terminal_path;
    if (S_ISCHR(stat.st_mode) && isatty(fd.get()) == 1) {
      for (const auto& known : terminals) {
        if (known.terminal->host_device() != stat.st_rdev) continue;
        terminal = known.terminal;
        terminal_path = known.path;
      }
      if (!terminal) {
        terminal = MakeRef<HostTerminal>(stat.st_rdev, options.job);
        if (options.place_terminal) terminal_path = options.place_terminal(terminal);
        terminals.push_back({terminal, terminal_path});
      }
      if (!imported.terminal) imported.terminal = terminal;
    }
    auto inode = MakeRef<HostInode>(AnonymousFilesystem(), std::move(fd), stat, flags, std::move(terminal),
                                    std::move(terminal_path), options.owner);
    OpenOptions open;
    open.flags = flags & (O_ACCMODE | O_APPEND | O_NONBLOCK);
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, inode->Open(inode->NewPath(), open));
    imported.files.push_back(std::move(file));
  }
  return imported;
}

}  // namespace runsc
