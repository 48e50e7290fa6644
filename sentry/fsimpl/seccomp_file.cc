#include "sentry/fsimpl/seccomp_file.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

#include "sentry/kernel/task.h"
#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

constexpr uint32_t kIdValidWrongDirection = SECCOMP_IOR(2, uint64_t);  // as it was first published
constexpr size_t kMaxSize = 4096;

bool IsZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// The request without the size of its argument, which newer programs may have made larger.
uint32_t WithoutSize(uint32_t request) { return request & ~uint32_t{IOCSIZE_MASK}; }

// Puts the file into the target's table; the new number.
Result<int> Give(Task& target, RefPtr<FileDescription> file, const seccomp_notif_addfd& request) {
  RefPtr<FDTable> table = target.GetFDTable();
  if (!table) return Errno(ENOENT);
  const bool close_on_exec = (request.newfd_flags & O_CLOEXEC) != 0;
  const uint64_t limit = target.Limit(RLIMIT_NOFILE);
  if ((request.flags & SECCOMP_ADDFD_FLAG_SETFD) == 0)
    return table->Add(std::move(file), close_on_exec, 0, limit);
  const int number = static_cast<int>(request.newfd);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> old,
                   table->Replace(number, std::move(file), close_on_exec, limit));
  if (old) (void)table->CloseFile(*old);
  return number;
}

}  // namespace

SeccompFile::SeccompFile(RefPtr<SeccompListener> listener)
    : FileDescription(AnonymousPath("anon_inode:seccomp notify"), O_RDWR), listener_(std::move(listener)) {}

SeccompFile::~SeccompFile() { listener_->Close(); }

Result<int64_t> SeccompFile::Receive(UserMemory& memory, UserAddr to) {
  seccomp_notif notification;
  // Room for extensions: what a program wants in them is not known.
  ASSIGN_OR_RETURN(notification, memory.Read(UserPtr<const seccomp_notif>(to)));
  if (!IsZero(std::as_bytes(std::span(&notification, 1)))) return Errno(EINVAL);
  Task& task = Task::Current();
  ScopedWait wait(task, listener_->queue(), EPOLLIN);
  std::optional<SeccompListener::Request> request;
  while (!(request = listener_->Take())) {
    Result<void> blocked = task.Block();
    if (blocked.is(ERESTARTSYS)) return Errno(EINTR);
    RETURN_IF_ERROR(blocked);
  }
  notification.id = request->id;
  notification.pid = static_cast<uint32_t>(task.pid_namespace().IdOf(*request->task));
  notification.data = request->data;
  if (!memory.Write(UserPtr<seccomp_notif>(to), notification).ok()) {
    listener_->PutBack(request->id);
    return Errno(EFAULT);
  }
  return 0;
}

Result<int64_t> SeccompFile::Send(UserMemory& memory, UserPtr<const seccomp_notif_resp> from) {
  ASSIGN_OR_RETURN(seccomp_notif_resp response, memory.Read(from));
  if ((response.flags & ~uint32_t{SECCOMP_USER_NOTIF_FLAG_CONTINUE}) != 0) return Errno(EINVAL);
  if (response.flags != 0 && (response.error != 0 || response.val != 0)) return Errno(EINVAL);
  RETURN_IF_ERROR(listener_->Answer(response));
  return 0;
}

Result<int64_t> SeccompFile::IsValid(UserMemory& memory, UserPtr<const uint64_t> id) {
  ASSIGN_OR_RETURN(uint64_t wanted, memory.Read(id));
  if (!listener_->IsValid(wanted)) return Errno(ENOENT);
  return 0;
}

Result<int64_t> SeccompFile::AddDescriptor(UserMemory& memory, UserAddr from, size_t size) {
  if (size < sizeof(seccomp_notif_addfd) || size >= kMaxSize) return Errno(EINVAL);
  std::vector<std::byte> bytes(size);
  if (memory.CopyIn(from, bytes) != size) return Errno(EFAULT);
  seccomp_notif_addfd request;
  if (!IsZero(std::span(bytes).subspan(sizeof(request)))) return Errno(E2BIG);
  memcpy(&request, bytes.data(), sizeof(request));
  if ((request.newfd_flags & ~uint32_t{O_CLOEXEC}) != 0) return Errno(EINVAL);
  if ((request.flags & ~uint32_t{SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND}) != 0)
    return Errno(EINVAL);
  if (request.newfd != 0 && (request.flags & SECCOMP_ADDFD_FLAG_SETFD) == 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file,
                   Task::Current().GetFileOrPath(static_cast<int>(request.srcfd)));
  const bool answers = (request.flags & SECCOMP_ADDFD_FLAG_SEND) != 0;
  ASSIGN_OR_RETURN(RefPtr<Task> target, listener_->Target(request.id, answers));
  Result<int> number = Give(*target, std::move(file), request);
  if (answers) listener_->FinishTarget(request.id, number.value_or(-1));
  RETURN_IF_ERROR(number);
  return *number;
}

Result<int64_t> SeccompFile::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  switch (request) {
    case SECCOMP_IOCTL_NOTIF_RECV:
      return Receive(memory, UserAddr(argument));
    case SECCOMP_IOCTL_NOTIF_SEND:
      return Send(memory, UserPtr<const seccomp_notif_resp>(argument));
    case SECCOMP_IOCTL_NOTIF_ID_VALID:
    case kIdValidWrongDirection:
      return IsValid(memory, UserPtr<const uint64_t>(argument));
    default:
      break;
  }
  if (WithoutSize(request) == WithoutSize(SECCOMP_IOCTL_NOTIF_ADDFD))
    return AddDescriptor(memory, UserAddr(argument), _IOC_SIZE(request));
  return Errno(EINVAL);
}

}  // namespace runsc
