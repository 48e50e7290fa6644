// LineDiscipline: what stands between the two sides of a terminal: it turns keys into lines, echoes them, and
// turns a program's output into what a screen wants.
//
// It has no lock, no tasks and no files: the tty that owns it guards it, moves its bytes and sends the
// signals that it asks for.
// Linux counterpart: drivers/tty/n_tty.c; termios(3).
#ifndef SENTRY_FSIMPL_TTY_LINE_DISCIPLINE_H_
#define SENTRY_FSIMPL_TTY_LINE_DISCIPLINE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/result.h"

namespace runsc {

// struct termios2; struct termios is what stands before the speeds.
struct KernelTermios {
  uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
  uint8_t c_line;
  uint8_t c_cc[19];
  uint32_t c_ispeed, c_ospeed;
};
static_assert(sizeof(KernelTermios) == 44);
inline constexpr size_t kOldTermiosSize = 36;

KernelTermios DefaultTermios();

class LineDiscipline {
 public:
  LineDiscipline();

  const KernelTermios& termios() const { return termios_; }
  void SetTermios(const KernelTermios& termios);

  // --- the keyboard's side ---
  // Takes a prefix of what was typed; less than all: no room until something is read.
  size_t Input(std::string_view typed);
  bool HasInputRoom() const;
  // Signals that keys asked for since the last call.
  std::vector<int> TakeSignals();

  // --- the program's side ---
  // Bytes that a read may have now: the next line at most, or what is there (without ICANON).
  size_t Readable() const;
  // Whether a read that wants `minimum` bytes can return (0 at end of file counts, in canonical mode).
  bool CanRead(size_t minimum) const;
  // Takes at most `limit` bytes out. In canonical mode empty means end of file.
  std::string Read(size_t limit);
  size_t BytesQueued() const;  // FIONREAD

  // --- output ---
  // Takes a prefix of what a program writes; 0: stopped or no room.
  size_t Output(std::string_view text);
  bool HasOutputRoom() const;
  // What the screen has to get.
  std::string_view pending_output() const { return std::string_view(output_).substr(output_taken_); }
  void ConsumeOutput(size_t length);

  // TCXONC.
  void Stop();
  void Start();
  bool stopped() const { return stopped_; }
  void FlushInput();
  void FlushOutput();

  static constexpr size_t kInputLimit = 4095;
  static constexpr size_t kOutputLimit = 64 << 10;

 private:
  bool Has(uint32_t flags, uint32_t flag) const { return (flags & flag) != 0; }
  bool input_flag(uint32_t flag) const { return (termios_.c_iflag & flag) != 0; }
  bool output_flag(uint32_t flag) const { return (termios_.c_oflag & flag) != 0; }
  bool local_flag(uint32_t flag) const { return (termios_.c_lflag & flag) != 0; }
  // A control character, unless it is disabled (0).
  bool Is(uint8_t c, int index) const { return termios_.c_cc[index] != 0 && c == termios_.c_cc[index]; }
  bool IsContinuation(uint8_t c) const;

  void InputByte(uint8_t c);
  bool InputCanonical(uint8_t c);
  bool InputSignal(uint8_t c);
  void Store(uint8_t c);
  void EndLine(uint8_t c);
  void Erase(uint8_t c);
  void EraseOnScreen(uint8_t c, bool by_erase_key);
  void EraseTabOnScreen();
  void Reprint();

  void Echo(uint8_t c);     // with ^X for control characters
  void EchoRaw(uint8_t c);  // as output
  void OutputByte(uint8_t c);
  void Emit(uint8_t c) { output_.push_back(static_cast<char>(c)); }

  struct Byte {
    uint8_t value;
    bool line_end;
  };
  KernelTermios termios_;
  std::deque<Byte> input_;
  size_t complete_ = 0;  // bytes of input_ that belong to finished lines
  bool literal_next_ = false;
  bool stopped_ = false;
  size_t column_ = 0, line_column_ = 0;  // of the cursor; where the line being typed began
  std::string output_;
  size_t output_taken_ = 0;
  std::string held_echo_;  // typed while output was stopped
  std::vector<int> signals_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_TTY_LINE_DISCIPLINE_H_
