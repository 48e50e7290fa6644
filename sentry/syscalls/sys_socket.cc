#include "sentry/syscalls/sys_socket.h"

#include <algorithm>

#include "sentry/socket/socket_family.h"
#include "sentry/socket/unix_socket.h"
#include "sentry/syscalls/blocking_io.h"

namespace runsc {
namespace {

constexpr int kTypeFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

int StatusFlags(int type) { return (type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0; }

}  // namespace

Result<OpenSocket> GetSocket(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  ASSIGN_OR_RETURN(SocketFile * socket, AsSocket(*file));
  return OpenSocket{std::move(file), socket};
}

Errno TranslateWait(Errno error, int64_t timeout) {
  if (error == ETIMEDOUT) return Errno(EAGAIN);
  if (error == ERESTARTSYS && timeout != 0) return Errno(EINTR);
  return error;
}

Result<SocketAddress> ReadSocketAddress(Task& task, UserAddr address, int length) {
  if (length < 0 || length > kMaxSocketAddress) return Errno(EINVAL);
  SocketAddress value;
  value.bytes.resize(length);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const char>(address), std::span<char>(value.bytes)));
  return value;
}

Result<void> WriteSocketAddress(Task& task, const SocketAddress& value, UserAddr address,
                                UserPtr<int32_t> length) {
  ASSIGN_OR_RETURN(int32_t room, task.memory().Read(length));
  if (room < 0) return Errno(EINVAL);
  size_t size = std::min<size_t>(room, value.bytes.size());
  RETURN_IF_ERROR(
      task.memory().WriteArray(UserPtr<char>(address), std::span<const char>(value.bytes.data(), size)));
  return task.memory().Write(length, static_cast<int32_t>(value.bytes.size()));
}

Result<int64_t> SysSocket(Task& task, SocketFamily family, SocketType type, int protocol) {
  if ((type & ~0xf & ~kTypeFlags) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<SocketFile> socket,
                   MakeSocket(task, family, type & 0xf, protocol, StatusFlags(type)));
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(socket), (type & SOCK_CLOEXEC) != 0));
  return fd;
}

namespace {

struct Pair {
  RefPtr<SocketFile> first, second;
};

Result<Pair> MakePair(Task& task, int family, int type, int protocol) {
  if (family != AF_UNIX) {
    // A family that is there has no pairs.
    RETURN_IF_ERROR(MakeSocket(task, family, type & 0xf, protocol, StatusFlags(type)));
    return Errno(EOPNOTSUPP);
  }
  ASSIGN_OR_RETURN(auto pair, UnixSocket::CreatePair(task, type & 0xf, protocol, StatusFlags(type)));
  return Pair{std::move(pair.first), std::move(pair.second)};
}

}  // namespace

// The order of __sys_socketpair(): the numbers are given, and written, before there is a socket.
Result<int64_t> SysSocketpair(Task& task, SocketFamily family, SocketType type, int protocol,
                              UserPtr<int32_t> fds) {
  if ((type & ~0xf & ~kTypeFlags) != 0) return Errno(EINVAL);
  FDTable& table = task.fd_table();
  bool close_on_exec = (type & SOCK_CLOEXEC) != 0;
  ASSIGN_OR_RETURN(int first, table.Reserve(0, task.Limit(RLIMIT_NOFILE)));
  Result<int> second = table.Reserve(0, task.Limit(RLIMIT_NOFILE));
  if (!second.ok()) {
    table.Cancel(first);
    return second.error();
  }
  const int32_t numbers[2] = {first, *second};
  Result<void> written = task.memory().WriteArray(fds, std::span<const int32_t>(numbers));
  Result<Pair> pair = written.ok() ? MakePair(task, family, type, protocol) : Result<Pair>(written.error());
  if (!pair.ok()) {
    table.Cancel(first);
    table.Cancel(*second);
    return pair.error();
  }
  table.Install(first, std::move(pair->first), close_on_exec);
  table.Install(*second, std::move(pair->second), close_on_exec);
  return 0;
}

Result<int64_t> SysBind(Task& task, Fd fd, UserPtr<const UserSockaddr> address, int length) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  ASSIGN_OR_RETURN(SocketAddress value, ReadSocketAddress(task, address.addr(), length));
  RETURN_IF_ERROR(socket->Bind(task, value));
  return 0;
}

Result<int64_t> SysListen(Task& task, Fd fd, int backlog) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  RETURN_IF_ERROR(socket->Listen(task, backlog));
  return 0;
}

Result<int64_t> SysAccept(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length) {
  return SysAccept4(task, fd, address, length, SocketType{0});
}

Result<int64_t> SysAccept4(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length,
                           SocketType flags) {
  RETURN_IF_ERROR(task.GetFile(fd));
  if ((flags & ~kTypeFlags) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  // Before a connection is taken: it could not be put back.
  FDTable& table = task.fd_table();
  ASSIGN_OR_RETURN(int number, table.Reserve(0, task.Limit(RLIMIT_NOFILE)));
  SocketAddress peer;
  int64_t timeout = socket->receive_timeout();
  Result<RefPtr<SocketFile>> accepted =
      BlockOnFile(task, *socket.file, kEventsRead, DeadlineOf(timeout),
                  [&] { return socket->Accept(StatusFlags(flags), &peer); });
  Result<void> written = accepted.ok() ? Ok() : Result<void>(TranslateWait(accepted.error(), timeout));
  if (accepted.ok() && !address.is_null()) written = WriteSocketAddress(task, peer, address.addr(), length);
  if (!written.ok()) {
    table.Cancel(number);
    return written.error();
  }
  table.Install(number, std::move(*accepted), (flags & SOCK_CLOEXEC) != 0);
  return number;
}

Result<int64_t> SysConnect(Task& task, Fd fd, UserPtr<const UserSockaddr> address, int length) {
  RETURN_IF_ERROR(task.GetFile(fd));
  ASSIGN_OR_RETURN(SocketAddress value, ReadSocketAddress(task, address.addr(), length));
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  if (value.bytes.size() < sizeof(sa_family_t)) return Errno(EINVAL);  // whatever the family
  int64_t timeout = socket->send_timeout();
  bool in_progress = false;
  Result<void> connected =
      BlockOnFile(task, *socket.file, kEventsWrite, DeadlineOf(timeout), [&]() -> Result<void> {
        Result<void> result = socket->Connect(task, value);
        // Under way: waiting for it is as waiting for room, but a non-blocking caller is told so.
        in_progress = result.is(EINPROGRESS) || (in_progress && result.is(EALREADY));
        if (in_progress && !socket.file->non_blocking()) return Errno(EAGAIN);
        return result;
      });
  if (connected.ok()) return 0;
  if (connected.is(ETIMEDOUT) && in_progress) return Errno(EINPROGRESS);
  return TranslateWait(connected.error(), timeout);
}

Result<int64_t> SysGetsockname(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  ASSIGN_OR_RETURN(SocketAddress value, socket->LocalAddress());
  RETURN_IF_ERROR(WriteSocketAddress(task, value, address.addr(), length));
  return 0;
}

Result<int64_t> SysGetpeername(Task& task, Fd fd, UserPtr<UserSockaddr> address, UserPtr<int32_t> length) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  ASSIGN_OR_RETURN(SocketAddress value, socket->PeerAddress());
  RETURN_IF_ERROR(WriteSocketAddress(task, value, address.addr(), length));
  return 0;
}

Result<int64_t> SysGetsockopt(Task& task, Fd fd, int level, int name, UserAddr value,
                              UserPtr<int32_t> length) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  ASSIGN_OR_RETURN(int32_t room, task.memory().Read(length));
  if (room < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string bytes, socket->GetOption(task, level, name, room));
  size_t size = std::min<size_t>(room, bytes.size());
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(value), std::span<const char>(bytes.data(), size)));
  RETURN_IF_ERROR(task.memory().Write(length, static_cast<int32_t>(size)));
  return 0;
}

Result<int64_t> SysSetsockopt(Task& task, Fd fd, int level, int name, UserAddr value, int length) {
  constexpr int kMaxLength = 64 << 10;
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  if (length < 0) return Errno(EINVAL);
  std::string bytes(std::min(length, kMaxLength), '\0');
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const char>(value), std::span<char>(bytes)));
  RETURN_IF_ERROR(socket->SetOption(task, level, name, bytes));
  return 0;
}

Result<int64_t> SysShutdown(Task& task, Fd fd, int how) {
  ASSIGN_OR_RETURN(OpenSocket socket, GetSocket(task, fd));
  RETURN_IF_ERROR(socket->Shutdown(how));
  return 0;
}

}  // namespace runsc
