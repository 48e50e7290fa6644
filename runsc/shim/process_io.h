// ProcessIo: the streams of a process. containerd names FIFOs, whose other ends its client holds; the process
// gets the descriptors of these themselves, so that no byte is copied and the shim does not stand in the way.
// Only a terminal is copied from and to.
//
// The shim holds the end that the client has of each FIFO too, without ever using it. So a process whose
// client goes away (containerd restarts) is neither killed by SIGPIPE nor finds its input at an end, and goes
// on with whoever opens the FIFO next. CloseStdin() is how a client says that there is no more input.
#ifndef RUNSC_SHIM_PROCESS_IO_H_
#define RUNSC_SHIM_PROCESS_IO_H_

#include <array>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/shim/console_copier.h"
#include "runsc/shim/event_loop.h"

namespace runsc::shim {

// As in the requests: a FIFO's path, for output also fifo://, file:// or binary://; "" is /dev/null.
struct StreamNames {
  std::string input, output, error;
  bool terminal = false;
};

struct IoOwner {
  std::string name_space, container_id;
  std::string socket_prefix;  // a free path that is short enough for a socket
};

class ProcessIo {
 public:
  static absl::StatusOr<std::unique_ptr<ProcessIo>> Open(EventLoop& loop, const StreamNames& names,
                                                         const IoOwner& owner);
  ~ProcessIo();
  ProcessIo(const ProcessIo&) = delete;
  ProcessIo& operator=(const ProcessIo&) = delete;

  // For the command that makes the process: its 0, 1 and 2.
  std::array<int, 3> streams() const { return {input_.get(), output_.get(), error_.get()}; }
  // "" without a terminal.
  const std::string& console_socket() const { return console_socket_; }

  // The command has ended well: lets go of what is the process's now, and begins to copy.
  absl::Status ProcessMade();
  void CloseStdin();
  absl::Status Resize(uint32_t width, uint32_t height);
  // The process has ended: what it wrote last to its terminal goes out, as far as it is taken.
  void Finish();

 private:
  explicit ProcessIo(EventLoop& loop) : loop_(loop) {}
  absl::Status OpenInput(const std::string& name);
  absl::Status OpenOutput(const std::string& name, const IoOwner& owner, UniqueFd* output, UniqueFd* held);
  absl::Status OpenLogger(const std::string& uri, const IoOwner& owner);
  absl::Status ListenForConsole(const IoOwner& owner);

  EventLoop& loop_;
  UniqueFd input_, output_, error_;
  UniqueFd held_input_, held_output_, held_error_;  // the clients' ends
  UniqueFd logger_output_, logger_error_;           // pipes to the program of binary://
  UniqueFd logger_ready_;
  bool has_logger_ = false;
  std::string console_socket_;
  UniqueFd console_listener_;
  std::unique_ptr<ConsoleCopier> copier_;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_PROCESS_IO_H_
