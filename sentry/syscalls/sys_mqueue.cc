#include "sentry/syscalls/sys_mqueue.h"

#include <limits.h>

#include <array>

#include "sentry/fsimpl/mqueue.h"
#include "sentry/socket/netlink_socket.h"
#include "sentry/syscalls/sys_ipc.h"
#include "sentry/syscalls/time_argument.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/wait/deferred.h"

namespace runsc {
namespace {

constexpr size_t kMessageOverhead = 64;  // bytes that a message takes up beside its text

// --- notification ---

// Tells the process by a signal, from where no lock is held.
class SignalDelivery final : public Deferred {
 public:
  SignalDelivery(RefPtr<ThreadGroup> process, const sigevent& event)
      : process_(std::move(process)), signal_(event.sigev_signo), value_(event.sigev_value) {}
  void SetSender(const IpcCaller& sender) {
    sender_pid_ = sender.pid;
    sender_uid_ = sender.creds.ruid;
  }
  void Run(EventMask) override {
    siginfo_t info = MakeUserSignalInfo(signal_, SI_MESGQ, process_->pid_namespace().FromRoot(sender_pid_),
                                        process_->VisibleUid(sender_uid_));
    info.si_value = value_;
    (void)process_->SendSignal(info, false);
  }

 private:
  const RefPtr<ThreadGroup> process_;
  const int signal_;
  const sigval value_;
  pid_t sender_pid_ = 0;
  Uid sender_uid_ = 0;
};

class SignalNotice final : public PosixMessageNotice {
 public:
  SignalNotice(RefPtr<ThreadGroup> process, const sigevent& event)
      : PosixMessageNotice(process->root_pid(), SIGEV_SIGNAL, event.sigev_signo),
        delivery_(MakeRef<SignalDelivery>(std::move(process), event)) {}
  void Arrived(const IpcCaller& sender) override {
    delivery_->SetSender(sender);
    Defer(*delivery_, EPOLLIN);
  }

 private:
  const RefPtr<SignalDelivery> delivery_;
};

// What the C library makes of SIGEV_THREAD: a thread of its waits at a netlink socket for the cookie that it
// gave, whose last byte says what has happened.
constexpr size_t kCookieSize = 32;  // NOTIFY_COOKIE_LEN
constexpr char kWokenUp = 1, kRemoved = 2;
using Cookie = std::array<char, kCookieSize>;

class CookieDelivery final : public Deferred {
 public:
  CookieDelivery(RefPtr<NetlinkSocket> socket, const Cookie& cookie)
      : socket_(std::move(socket)), cookie_(cookie) {}
  void Deliver(char what) {
    Cookie cookie = cookie_;
    cookie.back() = what;
    socket_->Deliver(std::string(cookie.data(), cookie.size()));
  }
  void Run(EventMask) override { Deliver(kWokenUp); }

 private:
  const RefPtr<NetlinkSocket> socket_;
  const Cookie cookie_;
};

class CookieNotice final : public PosixMessageNotice {
 public:
  CookieNotice(pid_t owner, RefPtr<NetlinkSocket> socket, const Cookie& cookie)
      : PosixMessageNotice(owner, SIGEV_THREAD, 0),
        delivery_(MakeRef<CookieDelivery>(std::move(socket), cookie)) {}
  void Arrived(const IpcCaller&) override { Defer(*delivery_, EPOLLIN); }
  void Removed() override { delivery_->Deliver(kRemoved); }

 private:
  const RefPtr<CookieDelivery> delivery_;
};

Result<RefPtr<PosixMessageNotice>> MakeNotice(Task& task, const sigevent& event) {
  RefPtr<ThreadGroup> process(&task.thread_group());
  switch (event.sigev_notify) {
    case SIGEV_NONE:
      return MakeRef<PosixMessageNotice>(process->root_pid(), SIGEV_NONE, 0);
    case SIGEV_SIGNAL:
      if (event.sigev_signo < 0 || event.sigev_signo > kSignalMax) return Errno(EINVAL);
      return RefPtr<PosixMessageNotice>(MakeRef<SignalNotice>(std::move(process), event));
    case SIGEV_THREAD: {
      Cookie cookie;
      UserPtr<const char> from(reinterpret_cast<uint64_t>(event.sigev_value.sival_ptr));
      RETURN_IF_ERROR(task.memory().ReadArray(from, std::span(cookie)));
      ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(event.sigev_signo));
      auto* socket = dynamic_cast<NetlinkSocket*>(file.get());
      if (socket == nullptr) return Errno(ENOTSOCK);
      return RefPtr<PosixMessageNotice>(
          MakeRef<CookieNotice>(process->root_pid(), RefPtr<NetlinkSocket>(socket), cookie));
    }
    default:
      return Errno(EINVAL);
  }
}

// --- names and files ---

Result<std::string> ReadName(Task& task, UserPath user_name) {
  ASSIGN_OR_RETURN(std::string name, task.ReadPath(user_name));
  if (name.empty()) return Errno(ENOENT);
  if (name == "." || name == ".." || name.find('/') != std::string::npos) return Errno(EACCES);
  if (name.size() > NAME_MAX) return Errno(ENAMETOOLONG);
  return name;
}

struct OpenQueue {
  RefPtr<FileDescription> file;  // keeps the rest
  MqueueFile* queue;
};
Result<OpenQueue> GetQueue(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  auto* queue = dynamic_cast<MqueueFile*>(file.get());
  if (queue == nullptr) return Errno(EBADF);
  return OpenQueue{std::move(file), queue};
}

Result<RefPtr<FileDescription>> OpenByName(Task& task, const std::string& name, int flags, uint32_t mode,
                                           const PosixMessageQueue::Limits* limits) {
  RefPtr<IpcNamespace> ipc = task.ipc();
  RefPtr<Mount> mount = MqueuesOf(*ipc);
  const VfsPath root{mount, mount->root()};
  const PathContext context = task.path_context();
  const int open_flags = flags & (O_ACCMODE | O_NONBLOCK);
  if ((flags & O_CREAT) != 0) {
    NewQueue wanted{
        .mode = mode & 0777 & ~context.umask, .limits = limits, .user_limit = task.Limit(RLIMIT_MSGQUEUE)};
    Result<VfsPath> made = CreateQueue(mount, name, task.creds(), wanted);
    // One may open what one has made, whatever its mode is.
    if (made.ok()) return made->inode()->Open(*made, OpenOptions{open_flags, context.creds});
    if (!made.is(EEXIST) || (flags & O_EXCL) != 0) return made.error();
  }
  ASSIGN_OR_RETURN(VfsPath path, Walk(context, root, name));
  if ((flags & O_ACCMODE) == O_ACCMODE) return Errno(EINVAL);
  return VfsOpenPath(context, path, open_flags);
}

// CLOCK_REALTIME. EFAULT, EINVAL.
Result<Deadline> ReadDeadline(Task& task, UserPtr<const timespec> timeout) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
  return time ? Deadline::AtClock(CLOCK_REALTIME, *time) : Deadline::Never();
}

// Calls `operation` (-> bool: done) until it is done, waiting in between. EAGAIN, ETIMEDOUT, ERESTARTSYS.
template <typename Operation>
Result<void> BlockUntilDone(Task& task, PosixMessageQueue& queue, PosixMessageWaiter& waiter, bool wait,
                            Deadline deadline, Operation operation) {
  if (operation()) return Ok();
  if (!wait) return Errno(EAGAIN);
  for (;;) {
    Result<void> slept = task.Block(deadline);
    // What is done is done, even as the time is up or a signal comes.
    if (slept.ok() || queue.Cancel(waiter)) {
      if (operation()) return Ok();
    } else {
      return slept;
    }
  }
}

}  // namespace

Result<int64_t> SysMqOpen(Task& task, UserPath user_name, OpenFlags flags, FileMode mode,
                          UserPtr<const mq_attr> user_attributes) {
  PosixMessageQueue::Limits limits;
  if (user_attributes) {
    ASSIGN_OR_RETURN(mq_attr attributes, task.memory().Read(user_attributes));
    limits = {static_cast<uint64_t>(attributes.mq_maxmsg), static_cast<uint64_t>(attributes.mq_msgsize)};
  }
  ASSIGN_OR_RETURN(std::string name, ReadName(task, user_name));
  ASSIGN_OR_RETURN(int fd, task.fd_table().Reserve(0, task.Limit(RLIMIT_NOFILE)));
  Result<RefPtr<FileDescription>> file =
      OpenByName(task, name, flags, mode, user_attributes ? &limits : nullptr);
  if (!file.ok()) {
    task.fd_table().Cancel(fd);
    return file.error();
  }
  task.fd_table().Install(fd, *std::move(file), true);  // always closed by exec
  return fd;
}

Result<int64_t> SysMqUnlink(Task& task, UserPath user_name) {
  ASSIGN_OR_RETURN(std::string name, ReadName(task, user_name));
  RefPtr<IpcNamespace> ipc = task.ipc();
  RefPtr<Mount> mount = MqueuesOf(*ipc);
  RETURN_IF_ERROR(VfsUnlink(task.path_context(), VfsPath{mount, mount->root()}, name));
  return 0;
}

Result<int64_t> SysMqTimedsend(Task& task, Fd fd, UserAddr from, uint64_t size, uint32_t priority,
                               UserPtr<const timespec> timeout) {
  ASSIGN_OR_RETURN(Deadline deadline, ReadDeadline(task, timeout));
  if (priority >= kPosixPriorities) return Errno(EINVAL);
  ASSIGN_OR_RETURN(OpenQueue open, GetQueue(task, fd));
  if (!open.file->writable()) return Errno(EBADF);
  PosixMessageQueue& queue = open.queue->queue();
  if (size > queue.limits().message_size) return Errno(EMSGSIZE);
  PosixMessage message;
  message.priority = priority;
  ASSIGN_OR_RETURN(message.charge, IpcCharge::Take(size + kMessageOverhead));
  message.text.resize(size);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(from), std::span(message.text)));
  TaskWaiter task_waiter(task);
  PosixMessageWaiter waiter(task_waiter);
  const bool wait = !open.file->non_blocking();
  RETURN_IF_ERROR(BlockUntilDone(task, queue, waiter, wait, deadline,
                                 [&] { return queue.Send(message, IpcCallerOf(task), wait, waiter); }));
  return 0;
}

Result<int64_t> SysMqTimedreceive(Task& task, Fd fd, UserAddr to, uint64_t size, UserPtr<uint32_t> priority,
                                  UserPtr<const timespec> timeout) {
  ASSIGN_OR_RETURN(Deadline deadline, ReadDeadline(task, timeout));
  ASSIGN_OR_RETURN(OpenQueue open, GetQueue(task, fd));
  if (!open.file->readable()) return Errno(EBADF);
  PosixMessageQueue& queue = open.queue->queue();
  if (size < queue.limits().message_size) return Errno(EMSGSIZE);
  PosixMessage message;
  TaskWaiter task_waiter(task);
  PosixMessageWaiter waiter(task_waiter);
  const bool wait = !open.file->non_blocking();
  RETURN_IF_ERROR(BlockUntilDone(task, queue, waiter, wait, deadline,
                                 [&] { return queue.Receive(message, wait, waiter); }));
  if (priority) RETURN_IF_ERROR(task.memory().Write(priority, message.priority));
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(to), std::span<const std::byte>(message.text)));
  return static_cast<int64_t>(message.text.size());
}

Result<int64_t> SysMqNotify(Task& task, Fd fd, UserPtr<const sigevent> user_event) {
  RefPtr<PosixMessageNotice> notice;
  if (user_event) {
    ASSIGN_OR_RETURN(sigevent event, task.memory().Read(user_event));
    ASSIGN_OR_RETURN(notice, MakeNotice(task, event));
  }
  ASSIGN_OR_RETURN(OpenQueue open, GetQueue(task, fd));
  if (notice) {
    RETURN_IF_ERROR(open.queue->queue().SetNotice(std::move(notice)));
  } else {
    open.queue->queue().RemoveNotice(task.thread_group().root_pid());
  }
  return 0;
}

Result<int64_t> SysMqGetsetattr(Task& task, Fd fd, UserPtr<const mq_attr> new_attributes,
                                UserPtr<mq_attr> old_attributes) {
  mq_attr wanted{};
  if (new_attributes) {
    ASSIGN_OR_RETURN(wanted, task.memory().Read(new_attributes));
    if ((wanted.mq_flags & ~int64_t{O_NONBLOCK}) != 0) return Errno(EINVAL);
  }
  ASSIGN_OR_RETURN(OpenQueue open, GetQueue(task, fd));
  PosixMessageQueue& queue = open.queue->queue();
  mq_attr old{};
  old.mq_flags = open.file->flags() & O_NONBLOCK;
  old.mq_maxmsg = static_cast<int64_t>(queue.limits().messages);
  old.mq_msgsize = static_cast<int64_t>(queue.limits().message_size);
  old.mq_curmsgs = static_cast<int64_t>(queue.status().messages);
  if (new_attributes) {
    int flags = (open.file->flags() & ~O_NONBLOCK) | static_cast<int>(wanted.mq_flags);
    RETURN_IF_ERROR(open.file->SetStatusFlags(flags));
  }
  if (old_attributes) RETURN_IF_ERROR(task.memory().Write(old_attributes, old));
  return 0;
}

}  // namespace runsc
