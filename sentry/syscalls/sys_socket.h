// socket(2) and its relatives.
#ifndef SENTRY_SYSCALLS_SYS_SOCKET_H_
#define SENTRY_SYSCALLS_SYS_SOCKET_H_

#include <sys/socket.h>

#include "sentry/kernel/task.h"
#include "sentry/socket/socket_file.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

// struct msghdr and struct mmsghdr of a 64-bit guest.
struct UserMessage {
  uint64_t name = 0;
  uint32_t name_length = 0;
  uint32_t padding1 = 0;
  uint64_t iovecs = 0;
  uint64_t iovec_count = 0;
  uint64_t control = 0;
  uint64_t control_length = 0;
  int32_t flags = 0;
  uint32_t padding2 = 0;
};
static_assert(sizeof(UserMessage) == 56);
struct UserMultiMessage {
  UserMessage message;
  uint32_t length = 0;
  uint32_t padding = 0;
};
static_assert(sizeof(UserMultiMessage) == 64);
struct UserSockaddr {  // an address of any family; never read as such
  uint16_t family;
};
template <>
inline constexpr ArgumentFormat kPointeeFormat<UserSockaddr> = ArgumentFormat::kSockaddr;

Result<int64_t> SysSocket(Task& task, SocketFamily family, SocketType type, int protocol);
Result<int64_t> SysSocketpair(Task& task, SocketFamily family, SocketType type, int protocol,
                              UserPtr<int32_t> fds);
Result<int64_t> SysBind(Task& task, Fd fd, UserPtr<const UserSockaddr> address, int length);
Result<int64_t> SysListen(Task& task, Fd fd, int backlog);
Result<int64_t> SysAccept(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length);
Result<int64_t> SysAccept4(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length,
                           SocketType flags);
Result<int64_t> SysConnect(Task& task, Fd fd, UserPtr<const UserSockaddr> address, int length);
Result<int64_t> SysGetsockname(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length);
Result<int64_t> SysGetpeername(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length);
Result<int64_t> SysGetsockopt(Task& task, Fd fd, int level, int name, UserAddr value,
                              UserPtr<int32_t> length);
Result<int64_t> SysSetsockopt(Task& task, Fd fd, int level, int name, UserAddr value, int length);
Result<int64_t> SysShutdown(Task& task, Fd fd, int how);

Result<int64_t> SysSendto(Task& task, Fd fd, ConstUserBuffer buffer, uint64_t length, MessageFlags flags,
                          UserPtr<const UserSockaddr> address, int address_length);
Result<int64_t> SysRecvfrom(Task& task, Fd fd, UserBuffer buffer, uint64_t length, MessageFlags flags,
                            UserPtr<UserSockaddr> address, UserPtr<int32_t> address_length);
Result<int64_t> SysSendmsg(Task& task, Fd fd, UserPtr<const UserMessage> message, MessageFlags flags);
Result<int64_t> SysRecvmsg(Task& task, Fd fd, UserPtr<UserMessage> message, MessageFlags flags);
Result<int64_t> SysSendmmsg(Task& task, Fd fd, UserPtr<UserMultiMessage> messages, uint32_t count,
                            MessageFlags flags);
Result<int64_t> SysRecvmmsg(Task& task, Fd fd, UserPtr<UserMultiMessage> messages, uint32_t count,
                            MessageFlags flags, UserPtr<timespec> timeout);

// Shared by the files of this family.
struct OpenSocket {
  RefPtr<FileDescription> file;
  SocketFile* socket;
  SocketFile* operator->() const { return socket; }
};
// EBADF, ENOTSOCK.
Result<OpenSocket> GetSocket(Task& task, int fd);
// SO_RCVTIMEO and SO_SNDTIMEO: 0 waits for ever.
inline Deadline DeadlineOf(int64_t timeout) {
  return timeout == 0 ? Deadline::Never() : Deadline::After(timeout);
}
// With a timeout a wait ends with EAGAIN, and a signal with EINTR rather than a restart (sock_intr_errno).
Errno TranslateWait(Errno error, int64_t timeout);
inline constexpr int kMaxSocketAddress = 128;  // struct sockaddr_storage
Result<SocketAddress> ReadSocketAddress(Task& task, UserAddr address, int length);
// Cuts to what the guest has room for, and tells the whole length. EINVAL: a negative length.
Result<void> WriteSocketAddress(Task& task, const SocketAddress& value, UserAddr address,
                                UserPtr<int32_t> length);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SOCKET_H_
