#include "runsc/lifecycle/control_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::UnavailableError(fmt::format("{}: {}", what, ErrorText(errno)));
}

// Through the directory's descriptor, as an address has 108 bytes only. The descriptor has to stay open.
absl::StatusOr<sockaddr_un> AddressIn(const UniqueFd& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = fmt::format("/proc/self/fd/{}/{}", directory.get(), kControlSocket);
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd OpenDirectory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

absl::StatusOr<UniqueFd> ListenForControl(const std::string& path) {
  UniqueFd directory = OpenDirectory(path);
  if (!directory) return Failed(path);
  absl::StatusOr<sockaddr_un> address = AddressIn(directory);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  (void)::unlinkat(directory.get(), kControlSocket, 0);
  constexpr int kBacklog = 64;
  if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof(*address)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return Failed(fmt::format("{}/{}", path, kControlSocket));
  return socket;
}

absl::StatusOr<ControlClient> ControlClient::Connect(const std::string& path) {
  UniqueFd directory = OpenDirectory(path);
  if (!directory) return Failed(path);
  absl::StatusOr<sockaddr_un> address = AddressIn(directory);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&*address), sizeof(*address)) != 0)
    return Failed(fmt::format("{}/{}", path, kControlSocket));
  return ControlClient(std::move(socket));
}

absl::Status ControlClient::Send(const ControlMessage& request, const std::vector<int>& files) {
  if (SendControl(socket_.get(), request, files)) return absl::OkStatus();
  return absl::UnavailableError("the sandbox has ended");
}

absl::StatusOr<ControlMessage> ControlClient::Receive() {
  ControlMessage reply;
  if (!ReceiveControl(socket_.get(), &reply)) return absl::UnavailableError("the sandbox has ended");
  if (reply.kind == ControlMessage::kFailed) {
    reply.text[sizeof(reply.text) - 1] = '\0';
    return absl::InternalError(reply.text);
  }
  return reply;
}

absl::StatusOr<ControlMessage> ControlClient::Ask(const ControlMessage& request,
                                                  const std::vector<int>& files) {
  if (absl::Status status = Send(request, files); !status.ok()) return status;
  return Receive();
}

}  // namespace runsc
