#include "sentry/socket/socket_file.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "sentry/kernel/guest_container.h"
#include "sentry/kernel/kernel.h"
#include "sentry/socket/host_network.h"
#include "sentry/vfs/anonymous.h"

namespace runsc {

SocketCredentials SocketCredentials::Real(const Task& task) {
  const Credentials& creds = task.creds();
  return {RefPtr<PidNamespace>(&task.pid_namespace()), task.thread_group().pid(), creds.ruid, creds.rgid};
}

SocketCredentials SocketCredentials::Effective(const Task& task) {
  const Credentials& creds = task.creds();
  return {RefPtr<PidNamespace>(&task.pid_namespace()), task.thread_group().pid(), creds.euid, creds.egid};
}

ucred SocketCredentials::SeenBy(const Task& task) const {
  const UserNamespace& viewer = *task.creds().user_ns;
  ucred seen{0, viewer.VisibleUid(uid), viewer.VisibleGid(gid)};
  if (!pid_namespace) return seen;
  if (pid_namespace.get() == &task.pid_namespace()) {
    seen.pid = pid;
  } else if (RefPtr<ThreadGroup> group = pid_namespace->FindThreadGroup(pid)) {
    seen.pid = task.pid_namespace().IdOf(*group);
  }
  return seen;
}

SocketFile::SocketFile(int family, int type, int protocol, int flags, uint64_t ino)
    : FileDescription(AnonymousPath("socket:[%]", S_IFSOCK | 0777, 0, 0, ino), O_RDWR | (flags & O_NONBLOCK)),
      family_(family),
      type_(type),
      protocol_(protocol) {}

Result<size_t> SocketFile::Read(IoSequence& to) {
  if (to.empty()) return size_t{0};
  ReceivedMessage message;
  return Receive(to, 0, &message);
}

Result<size_t> SocketFile::Write(IoSequence& from) {
  SendRequest request;
  return Send(nullptr, from, request);
}

Result<int64_t> SocketFile::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  switch (request) {
    case FIONREAD: {
      ASSIGN_OR_RETURN(int bytes, UnreadBytes());
      RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{bytes}));
      return 0;
    }
    case TIOCOUTQ: {
      ASSIGN_OR_RETURN(int bytes, UnsentBytes());
      RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{bytes}));
      return 0;
    }
    case SIOCATMARK: {
      ASSIGN_OR_RETURN(bool at_mark, IsAtUrgentMark());
      RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{at_mark}));
      return 0;
    }
    default:
      return NetworkDeviceIoctl(memory, request, argument);
  }
}

HostNetwork* NetworkOfTask() {
  Task* task = Task::CurrentOrNull();
  if (task == nullptr) return nullptr;
  const auto& container = task->thread_group().container();
  return container && container->has_own_network() ? nullptr : GetHostNetwork();
}

Result<SocketFile*> AsSocket(FileDescription& file) {
  auto* socket = dynamic_cast<SocketFile*>(&file);
  if (socket == nullptr) return Errno(ENOTSOCK);
  return socket;
}

}  // namespace runsc
