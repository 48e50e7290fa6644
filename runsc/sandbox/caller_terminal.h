// CallerTerminal: the terminal of whoever started the sandbox, as job control concerns it.
//
// The terminal itself is handed to the guest, in the mode it is in, and no byte of it passes through this
// process: what is typed ahead stays there for the next program, `runsc do ls | less` leaves the keyboard to
// less, and keys make signals where a shell expects it, in this process, which passes them on. (The other way
// would be a raw terminal copied to and from a pty of the guest; it takes each of those away.) Owned by the
// Watch; on the process's only thread.
#ifndef RUNSC_SANDBOX_CALLER_TERMINAL_H_
#define RUNSC_SANDBOX_CALLER_TERMINAL_H_

#include <signal.h>
#include <termios.h>

#include <array>
#include <optional>

namespace runsc {

class CallerTerminal {
 public:
  // The first of the standard streams that is a terminal, if any is.
  explicit CallerTerminal(const std::array<int, 3>& streams);
  // Whether this process is in the terminal's foreground job; true where there is no job control.
  bool IsForeground() const;
  // Keeps the terminal's mode, the first time.
  void Save();
  // Sets the mode back to what was saved, if anything was. Not for a job in the background. What the guest
  // has not touched may have been changed by others of the job (a pager behind a pipe), and is theirs.
  void Restore() const;

 private:
  int fd_ = -1;
  std::optional<termios> saved_;
};

// Lets `signal` have its default action on this process. Returns once it is continued, or at once if it
// was not stopped (nobody could continue an orphaned job).
void TakeDefaultAction(int signal);

}  // namespace runsc

#endif  // RUNSC_SANDBOX_CALLER_TERMINAL_H_
