#include "runsc/shim/listener.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace runsc::shim {
namespace {

bool ToAddress(const std::string& path, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof(address->sun_path)) return false;
  path.copy(address->sun_path, sizeof(address->sun_path) - 1);
  return true;
}

}  // namespace

absl::StatusOr<UniqueFd> ListenOn(const std::string& path) {
  sockaddr_un address;
  if (!ToAddress(path, &address))
    return absl::InvalidArgumentError(fmt::format("{}: too long for the address of a socket", path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  mode_t before = ::umask(0177);
  bool bound = socket && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  int error = errno;
  ::umask(before);
  if (!bound || ::listen(socket.get(), 128) != 0)
    return absl::InternalError(fmt::format("{}: {}", path, ::strerror(bound ? errno : error)));
  return socket;
}

bool IsListenedOn(const std::string& path) {
  sockaddr_un address;
  if (!ToAddress(path, &address)) return false;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return socket && ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace runsc::shim
