// ControlClient: a control connection from a command to the Sentry of a container
// (sentry/control/messages.h). One thread.
#ifndef RUNSC_LIFECYCLE_CONTROL_CLIENT_H_
#define RUNSC_LIFECYCLE_CONTROL_CLIENT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "sentry/control/messages.h"

namespace runsc {

// The socket's name in the container's directory.
inline constexpr char kControlSocket[] = "control.sock";

// Listens there. The directory's path may be longer than a socket's address.
absl::StatusOr<UniqueFd> ListenForControl(const std::string& directory);

class ControlClient {
 public:
  // Unavailable: nobody listens: the container is gone, or going.
  static absl::StatusOr<ControlClient> Connect(const std::string& directory);

  int fd() const { return socket_.get(); }
  void Close() { socket_.reset(); }
  UniqueFd Release() { return std::move(socket_); }
  // Sends and waits for one reply. The text of kFailed is the message of the error; Unavailable: the sandbox
  // has ended.
  absl::StatusOr<ControlMessage> Ask(const ControlMessage& request, const std::vector<int>& files = {});
  absl::Status Send(const ControlMessage& request, const std::vector<int>& files = {});
  absl::StatusOr<ControlMessage> Receive();

 private:
  explicit ControlClient(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_CONTROL_CLIENT_H_
