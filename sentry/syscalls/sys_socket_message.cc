// send(2), recv(2) and their relatives: messages with addresses and control data.
#include <limits.h>

#include <algorithm>
#include <cstring>

#include "sentry/socket/control_message.h"
#include "sentry/socket/unix_rights.h"
#include "sentry/syscalls/blocking_io.h"
#include "sentry/syscalls/sys_socket.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxTransfer = INT_MAX & ~kPageMask;  // MAX_RW_COUNT
constexpr size_t kMaxControl = 20480;                    // net.core.optmem_max
constexpr uint32_t kMaxMessages = 1024;                  // UIO_MAXIOV

Result<std::vector<UserIovec>> ReadIovecs(Task& task, const UserMessage& message) {
  if (message.iovec_count > IOV_MAX) return Errno(EMSGSIZE);
  struct RawIovec {
    uint64_t base, length;
  };
  std::vector<RawIovec> raw(message.iovec_count);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const RawIovec>(message.iovecs), std::span<RawIovec>(raw)));
  std::vector<UserIovec> iovecs;
  iovecs.reserve(raw.size());
  uint64_t total = 0;
  for (const RawIovec& iovec : raw) {
    if (static_cast<int64_t>(iovec.length) < 0) return Errno(EINVAL);
    uint64_t length = std::min(iovec.length, kMaxTransfer - total);
    iovecs.push_back({UserAddr(iovec.base), length});
    total += length;
  }
  return iovecs;
}

// --- sending ---

Result<void> AddRights(Task& task, std::string_view data, SendRequest* request) {
  size_t count = data.size() / sizeof(int32_t);
  if (count > kMaxFilesPerMessage || request->files.size() + count > kMaxFilesPerMessage)
    return Errno(EINVAL);
  for (size_t i = 0; i < count; ++i) {
    int32_t fd;
    std::memcpy(&fd, data.data() + i * sizeof(fd), sizeof(fd));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
    request->files.push_back(std::move(file));
  }
  if (CountFilesInFlight() > task.Limit(RLIMIT_NOFILE) && !task.creds().HasCapability(CAP_SYS_RESOURCE) &&
      !task.creds().HasCapability(CAP_SYS_ADMIN))
    return Errno(ETOOMANYREFS);
  return Ok();
}

// scm_check_creds(): one may speak in one's own name only, but for capabilities.
Result<void> AddCredentials(Task& task, std::string_view data, SendRequest* request) {
  ucred given;
  if (data.size() != sizeof(given)) return Errno(EINVAL);
  std::memcpy(&given, data.data(), sizeof(given));
  const Credentials& creds = task.creds();
  given.uid = creds.user_ns->ToKernelUid(given.uid);
  given.gid = creds.user_ns->ToKernelGid(given.gid);
  if (given.uid == kNoId || given.gid == kNoId) return Errno(EINVAL);
  if (given.pid != task.thread_group().pid() &&
      !creds.HasCapabilityIn(*task.pid_namespace().user_ns(), CAP_SYS_ADMIN))
    return Errno(EPERM);
  if (given.uid != creds.ruid && given.uid != creds.euid && given.uid != creds.suid &&
      !creds.HasOwnCapability(CAP_SETUID))
    return Errno(EPERM);
  if (given.gid != creds.rgid && given.gid != creds.egid && given.gid != creds.sgid &&
      !creds.HasOwnCapability(CAP_SETGID))
    return Errno(EPERM);
  if (given.pid != task.thread_group().pid() && !task.pid_namespace().FindTask(given.pid))
    return Errno(ESRCH);
  request->credentials =
      SocketCredentials{RefPtr<PidNamespace>(&task.pid_namespace()), given.pid, given.uid, given.gid};
  return Ok();
}

Result<void> ReadControl(Task& task, const SocketFile& socket, const UserMessage& message,
                         SendRequest* request) {
  if (message.control_length == 0) return Ok();
  if (message.control_length > kMaxControl) return Errno(ENOBUFS);
  std::string bytes(message.control_length, '\0');
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const char>(message.control), std::span<char>(bytes)));
  ASSIGN_OR_RETURN(std::vector<ControlMessage> messages, ParseControlMessages(bytes));
  for (const ControlMessage& control : messages) {
    if (control.level != SOL_SOCKET) {
      request->control += control.whole;
      request->control.resize(CMSG_ALIGN(request->control.size()));
    } else if (control.type == SCM_RIGHTS && socket.family() == AF_UNIX) {
      RETURN_IF_ERROR(AddRights(task, control.data, request));
    } else if (control.type == SCM_CREDENTIALS) {
      RETURN_IF_ERROR(AddCredentials(task, control.data, request));
    } else {
      return Errno(EINVAL);
    }
  }
  return Ok();
}

Result<int64_t> Send(Task& task, OpenSocket& socket, IoSequence& from, SendRequest& request) {
  SocketFile& file = *socket.socket;
  bool wait = !file.non_blocking() && (request.flags & MSG_DONTWAIT) == 0;
  int64_t timeout = file.send_timeout();
  size_t sent = 0;
  // A stream takes what it has room for; go on until it has taken all.
  auto step = [&]() -> Result<size_t> {
    for (;;) {
      Result<size_t> result = file.Send(&task, from, request);
      if (!result.ok()) return result;
      sent += *result;
      if (file.type() != SOCK_STREAM || from.empty() || *result == 0) return sent;
    }
  };
  Result<size_t> result = step();
  if (result.is(EAGAIN) && wait && file.wait_queue() != nullptr)
    result = BlockOnQueue(task, *file.wait_queue(), kEventsWrite, DeadlineOf(timeout), step);
  if (result.ok()) return static_cast<int64_t>(sent);
  if (sent > 0) return static_cast<int64_t>(sent);
  if (result.is(EPIPE) && (request.flags & MSG_NOSIGNAL) == 0 && file.type() == SOCK_STREAM) {
    // To the thread itself, as Linux does.
    (void)task
        .SendSignal(MakeUserSignalInfo(SIGPIPE, SI_USER, task.thread_group().pid(),
                                       task.VisibleUid(task.creds().ruid)))
        .ok();
  }
  return TranslateWait(result.error(), timeout);
}

Result<int64_t> SendMessage(Task& task, OpenSocket& socket, const UserMessage& message, int flags) {
  SendRequest request;
  request.flags = flags;
  if (message.name != 0 && message.name_length != 0) {
    if (static_cast<int32_t>(message.name_length) < 0) return Errno(EINVAL);
    int length = static_cast<int>(std::min<uint32_t>(message.name_length, kMaxSocketAddress));
    ASSIGN_OR_RETURN(request.address, ReadSocketAddress(task, UserAddr(message.name), length));
  }
  ASSIGN_OR_RETURN(std::vector<UserIovec> iovecs, ReadIovecs(task, message));
  RETURN_IF_ERROR(ReadControl(task, *socket.socket, message, &request));
  IoSequence from(task.memory(), iovecs);
  return Send(task, socket, from, request);
}

// --- receiving ---

// Puts control messages into the guest's buffer, one after the other, as far as they fit.
class ControlWriter {
 public:
  ControlWriter(Task& task, const UserMessage& message)
      : task_(task), start_(message.control), room_(message.control != 0 ? message.control_length : 0) {}

  size_t room() const { return room_ - used_; }
  size_t used() const { return used_; }
  int flags() const { return flags_; }
  void SetTruncated() { flags_ |= MSG_CTRUNC; }

  Result<void> Add(int level, int type, std::string_view data) {
    if (room() < sizeof(cmsghdr)) {
      SetTruncated();
      return Ok();
    }
    cmsghdr header{};
    header.cmsg_len = sizeof(header) + data.size();
    header.cmsg_level = level;
    header.cmsg_type = type;
    if (header.cmsg_len > room()) {
      SetTruncated();
      header.cmsg_len = room();
      data = data.substr(0, room() - sizeof(header));
    }
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes += data;
    RETURN_IF_ERROR(Raw(bytes));
    used_ = std::min(room_, CMSG_ALIGN(used_));
    return Ok();
  }

  // Bytes that are control messages already.
  Result<void> Raw(std::string_view bytes) {
    if (bytes.size() > room()) {
      SetTruncated();
      bytes = bytes.substr(0, room());
    }
    RETURN_IF_ERROR(task_.memory().WriteArray(UserPtr<char>(UserAddr(start_ + used_)),
                                              std::span<const char>(bytes.data(), bytes.size())));
    used_ += bytes.size();
    return Ok();
  }

 private:
  Task& task_;
  const uint64_t start_;
  const size_t room_;
  size_t used_ = 0;
  int flags_ = 0;
};

// As many descriptors as there is room for in the buffer and the table; the rest are closed (scm_detach_fds).
Result<void> DeliverRights(Task& task, ReceivedMessage& received, bool close_on_exec,
                           ControlWriter* control) {
  if (received.files.empty()) return Ok();
  size_t fitting =
      control->room() > sizeof(cmsghdr) ? (control->room() - sizeof(cmsghdr)) / sizeof(int32_t) : 0;
  std::string numbers;
  size_t delivered = 0;
  for (RefPtr<FileDescription>& file : received.files) {
    if (delivered == fitting) break;
    Result<int> fd = task.AddFile(file, close_on_exec);
    if (!fd.ok()) break;
    int32_t number = *fd;
    numbers.append(reinterpret_cast<const char*>(&number), sizeof(number));
    ++delivered;
  }
  if (delivered < received.files.size()) control->SetTruncated();
  ReleaseFiles(std::exchange(received.files, {}));
  return delivered > 0 ? control->Add(SOL_SOCKET, SCM_RIGHTS, numbers) : Ok();
}

Result<size_t> Receive(Task& task, OpenSocket& socket, IoSequence& to, int flags, ReceivedMessage* message) {
  SocketFile& file = *socket.socket;
  bool wait = !file.non_blocking() && (flags & MSG_DONTWAIT) == 0;
  bool all = (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0 && file.type() == SOCK_STREAM;
  int64_t timeout = file.receive_timeout();
  size_t got = 0;
  auto step = [&]() -> Result<size_t> {
    for (;;) {
      Result<size_t> result = file.Receive(to, flags, message);
      if (!result.ok()) return result;
      got += *result;
      if (!all || to.empty() || *result == 0 || !message->files.empty()) return got;
    }
  };
  Result<size_t> result = step();
  if (result.is(EAGAIN) && wait && file.wait_queue() != nullptr)
    result = BlockOnQueue(task, *file.wait_queue(), kEventsRead, DeadlineOf(timeout), step);
  if (result.ok() || got > 0) return got;
  return TranslateWait(result.error(), timeout);
}

// How long the message says it was: MSG_TRUNC asks for its whole length.
int64_t ReportedLength(size_t got, int flags, const ReceivedMessage& message) {
  return static_cast<int64_t>((flags & MSG_TRUNC) != 0 ? std::max(got, message.length) : got);
}

Result<int64_t> ReceiveMessage(Task& task, OpenSocket& socket, UserPtr<UserMessage> where, int flags) {
  ASSIGN_OR_RETURN(UserMessage message, task.memory().Read(where));
  if (message.name != 0 && static_cast<int32_t>(message.name_length) < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::vector<UserIovec> iovecs, ReadIovecs(task, message));
  IoSequence to(task.memory(), iovecs);
  ReceivedMessage received;
  ASSIGN_OR_RETURN(size_t got, Receive(task, socket, to, flags, &received));
  ControlWriter control(task, message);
  if (received.credentials) {
    ucred credentials = received.credentials->SeenBy(task);
    RETURN_IF_ERROR(
        control.Add(SOL_SOCKET, SCM_CREDENTIALS,
                    std::string_view(reinterpret_cast<const char*>(&credentials), sizeof(credentials))));
  }
  RETURN_IF_ERROR(DeliverRights(task, received, (flags & MSG_CMSG_CLOEXEC) != 0, &control));
  if (!received.control.empty()) RETURN_IF_ERROR(control.Raw(received.control));
  if (message.name != 0) {
    size_t size = std::min<size_t>(message.name_length, received.address.bytes.size());
    RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(message.name),
                                             std::span<const char>(received.address.bytes.data(), size)));
    message.name_length = static_cast<uint32_t>(received.address.bytes.size());
  }
  message.flags = received.flags | control.flags() | (flags & MSG_CMSG_CLOEXEC);
  message.control_length = control.used();
  RETURN_IF_ERROR(task.memory().Write(where, message));
  return ReportedLength(got, flags, received);
}

// MSG_CMSG_COMPAT (<linux/socket.h>) is the kernel's own: it marks calls of 32-bit programs.
Result<void> CheckOwnFlags(int flags) {
  constexpr uint32_t kCompat = 0x80000000;
  if ((static_cast<uint32_t>(flags) & kCompat) != 0) return Errno(EINVAL);
  return Ok();
}

}  // namespace

namespace {

// What no user's memory can be, before the descriptor (Linux: import_ubuf()).
Result<void> CheckRange(UserAddr start, uint64_t length) {
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;  // Linux: TASK_SIZE_MAX
  length = std::min(length, kMaxTransfer);
  return length > kUserEnd || start.value() > kUserEnd - length ? Result<void>(Errno(EFAULT)) : Ok();
}

}  // namespace

Result<int64_t> SysSendto(Task& task, Fd fd, ConstUserBuffer buffer, uint64_t length, MessageFlags flags,
                          UserPtr<const UserSockaddr> address, int address_length) {
  RETURN_IF_ERROR(CheckRange(buffer.addr, length));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  SendRequest request;
  request.flags = flags;
  if (!address.is_null()) {
    ASSIGN_OR_RETURN(request.address, ReadSocketAddress(task, address.addr(), address_length));
  }
  IoSequence from(task.memory(), buffer.addr, std::min(length, kMaxTransfer));
  return Send(task, socket, from, request);
}

Result<int64_t> SysRecvfrom(Task& task, Fd fd, UserBuffer buffer, uint64_t length, MessageFlags flags,
                            UserPtr<UserSockaddr> address, UserPtr<int32_t> address_length) {
  RETURN_IF_ERROR(CheckRange(buffer.addr, length));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  IoSequence to(task.memory(), buffer.addr, std::min(length, kMaxTransfer));
  ReceivedMessage received;
  ASSIGN_OR_RETURN(size_t got, Receive(task, socket, to, flags, &received));
  ReleaseFiles(std::exchange(received.files, {}));
  if (!address.is_null())
    RETURN_IF_ERROR(WriteSocketAddress(task, received.address, address.addr(), address_length));
  return ReportedLength(got, flags, received);
}

Result<int64_t> SysSendmsg(Task& task, Fd fd, UserPtr<const UserMessage> message, MessageFlags flags) {
  RETURN_IF_ERROR(CheckOwnFlags(flags));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  ASSIGN_OR_RETURN(UserMessage value, task.memory().Read(message));
  return SendMessage(task, socket, value, flags);
}

Result<int64_t> SysRecvmsg(Task& task, Fd fd, UserPtr<UserMessage> message, MessageFlags flags) {
  RETURN_IF_ERROR(CheckOwnFlags(flags));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  return ReceiveMessage(task, socket, message, flags);
}

Result<int64_t> SysSendmmsg(Task& task, Fd fd, UserPtr<UserMultiMessage> messages, uint32_t count,
                            MessageFlags flags) {
  RETURN_IF_ERROR(CheckOwnFlags(flags));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  count = std::min(count, kMaxMessages);
  uint32_t done = 0;
  while (done < count) {
    UserPtr<UserMultiMessage> slot = messages.At(done);
    Result<UserMultiMessage> value = task.memory().Read(slot);
    Result<int64_t> sent =
        value.ok() ? SendMessage(task, socket, value->message, flags) : Result<int64_t>(value.error());
    if (sent.ok()) {
      UserPtr<uint32_t> length(slot.addr() + offsetof(UserMultiMessage, length));
      Result<void> written = task.memory().Write(length, static_cast<uint32_t>(*sent));
      if (!written.ok()) sent = written.error();
    }
    if (!sent.ok()) return done > 0 ? Result<int64_t>(done) : sent;
    ++done;
  }
  return done;
}

Result<int64_t> SysRecvmmsg(Task& task, Fd fd, UserPtr<UserMultiMessage> messages, uint32_t count,
                            MessageFlags flags, UserPtr<timespec> timeout) {
  RETURN_IF_ERROR(CheckOwnFlags(flags));
  Deadline deadline = Deadline::Never();
  if (!timeout.is_null()) {
    ASSIGN_OR_RETURN(timespec value, task.memory().Read(timeout));
    ASSIGN_OR_RETURN(int64_t nanoseconds, ToNanoseconds(value));
    deadline = Deadline::After(nanoseconds);
  }
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  count = std::min(count, kMaxMessages);
  int message_flags = flags & ~MSG_WAITFORONE;
  uint32_t done = 0;
  // The time is looked at between messages only, as recvmmsg(2) owns up to.
  while (done < count) {
    UserPtr<UserMultiMessage> slot = messages.At(done);
    Result<int64_t> got = ReceiveMessage(task, socket, UserPtr<UserMessage>(slot.addr()), message_flags);
    if (got.ok()) {
      UserPtr<uint32_t> length(slot.addr() + offsetof(UserMultiMessage, length));
      Result<void> written = task.memory().Write(length, static_cast<uint32_t>(*got));
      if (!written.ok()) got = written.error();
    }
    if (!got.ok()) {
      if (done == 0) return got;
      break;
    }
    ++done;
    if ((flags & MSG_WAITFORONE) != 0) message_flags |= MSG_DONTWAIT;
    if (deadline.Remaining() == 0) break;
  }
  if (!timeout.is_null()) {
    timespec left = ToTimespec(deadline.is_never() ? 0 : deadline.Remaining());
    RETURN_IF_ERROR(task.memory().Write(timeout, left));
  }
  return done;
}

}  // namespace runsc
