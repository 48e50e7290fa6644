// The pseudo-terminal of a container's process: made on the host, its master given to whoever asked for a
// terminal, its replica the process's streams.
#ifndef RUNSC_LIFECYCLE_CONSOLE_H_
#define RUNSC_LIFECYCLE_CONSOLE_H_

#include <termios.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/oci/spec.h"

namespace runsc {

struct Console {
  UniqueFd master, replica;
  std::string name;  // "/dev/pts/3" on the host
};
absl::StatusOr<Console> MakeConsole(const std::optional<oci::ConsoleSize>& size);

// Makes it the calling process's controlling terminal, whose session it leads, and its 0, 1 and 2.
absl::Status TakeConsole(UniqueFd replica);

// --console-socket: connects to the stream socket at `path` and sends the master, with its name as the data.
absl::Status SendToConsoleSocket(const std::string& path, const Console& console);
// A connected one, made early so that what is wrong with it is said before anything is started.
absl::StatusOr<UniqueFd> ConnectConsoleSocket(const std::string& path);
absl::Status SendMaster(int socket, const Console& console);

// Copies between the caller's terminal (or whatever its 0 and 1 are) and a master, with non-blocking writes:
// neither side's full buffer keeps the other direction from going on. One thread.
class TerminalCopier {
 public:
  explicit TerminalCopier(UniqueFd master);
  ~TerminalCopier();  // the caller's terminal as it was before
  TerminalCopier(const TerminalCopier&) = delete;
  TerminalCopier& operator=(const TerminalCopier&) = delete;

  // Copies until `until` is readable (also a pidfd) and nothing is left in the master, or until a signal
  // descriptor has something: true if so.
  bool Run(int until, int signals);
  // The caller's size becomes the container's.
  void Resize();

 private:
  struct Direction {
    int from, to;
    std::string buffer = {};
    bool ended = false;
  };
  void Fill(Direction& direction);
  void Drain(Direction& direction);

  UniqueFd master_;
  Direction in_, out_;
  std::optional<termios> saved_;
};

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_CONSOLE_H_
