#include "sentry/fsimpl/tty_line_discipline.h"

#include <asm/termbits.h>
#include <signal.h>

#include <algorithm>
#include <cctype>

namespace runsc {
namespace {

constexpr uint8_t kEndOfFileMark = 0;
constexpr size_t kTabWidth = 8;

bool IsControl(uint8_t c) { return c < 0x20 || c == 0x7f; }
bool IsWord(uint8_t c) { return (c < 0x80 && std::isalnum(c) != 0) || c >= 0x80 || c == '_'; }

}  // namespace

KernelTermios DefaultTermios() {
  KernelTermios termios{};
  termios.c_iflag = ICRNL | IXON;
  termios.c_oflag = OPOST | ONLCR;
  termios.c_cflag = B38400 | CS8 | CREAD;
  termios.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  termios.c_cc[VINTR] = 'C' - '@';
  termios.c_cc[VQUIT] = '\\' - '@';
  termios.c_cc[VERASE] = 0x7f;
  termios.c_cc[VKILL] = 'U' - '@';
  termios.c_cc[VEOF] = 'D' - '@';
  termios.c_cc[VMIN] = 1;
  termios.c_cc[VSTART] = 'Q' - '@';
  termios.c_cc[VSTOP] = 'S' - '@';
  termios.c_cc[VSUSP] = 'Z' - '@';
  termios.c_cc[VREPRINT] = 'R' - '@';
  termios.c_cc[VDISCARD] = 'O' - '@';
  termios.c_cc[VWERASE] = 'W' - '@';
  termios.c_cc[VLNEXT] = 'V' - '@';
  termios.c_ispeed = termios.c_ospeed = 38400;
  return termios;
}

LineDiscipline::LineDiscipline() : termios_(DefaultTermios()) {}

void LineDiscipline::SetTermios(const KernelTermios& termios) {
  uint32_t changed = termios_.c_lflag ^ termios.c_lflag;
  bool ixon_off = input_flag(IXON) && (termios.c_iflag & IXON) == 0;
  termios_ = termios;
  if ((changed & ICANON) != 0) {
    // What was typed before becomes one line, or plain bytes.
    for (Byte& byte : input_) byte.line_end = false;
    complete_ = 0;
    if (local_flag(ICANON) && !input_.empty()) {
      input_.back().line_end = true;
      complete_ = input_.size();
    }
    literal_next_ = false;
  }
  if (ixon_off && stopped_) Start();
}

bool LineDiscipline::IsContinuation(uint8_t c) const { return input_flag(IUTF8) && (c & 0xc0) == 0x80; }

// --- input ---

bool LineDiscipline::HasInputRoom() const {
  // A line that is too long is cut rather than waited for: nobody could read it.
  return input_.size() < kInputLimit || (local_flag(ICANON) && complete_ == 0);
}

size_t LineDiscipline::Input(std::string_view typed) {
  size_t taken = 0;
  while (taken < typed.size() && HasInputRoom()) InputByte(static_cast<uint8_t>(typed[taken++]));
  return taken;
}

std::vector<int> LineDiscipline::TakeSignals() { return std::exchange(signals_, {}); }

bool LineDiscipline::InputSignal(uint8_t c) {
  int signal = Is(c, VINTR) ? SIGINT : Is(c, VQUIT) ? SIGQUIT : Is(c, VSUSP) ? SIGTSTP : 0;
  if (signal == 0) return false;
  if (!local_flag(NOFLSH)) {
    FlushInput();
    FlushOutput();
  }
  if (input_flag(IXON) && stopped_) Start();
  if (local_flag(ECHO)) Echo(c);
  signals_.push_back(signal);
  return true;
}

void LineDiscipline::InputByte(uint8_t c) {
  if (input_flag(ISTRIP)) c &= 0x7f;
  if (input_flag(IUCLC) && local_flag(IEXTEN) && c < 0x80) c = static_cast<uint8_t>(std::tolower(c));
  if (std::exchange(literal_next_, false)) {
    if (local_flag(ECHO)) Echo(c);
    Store(c);
    return;
  }
  if (input_flag(IXON)) {
    if (Is(c, VSTART)) return Start();
    if (Is(c, VSTOP)) return Stop();
  }
  if (local_flag(ISIG) && InputSignal(c)) return;
  if (stopped_ && input_flag(IXON) && input_flag(IXANY)) Start();
  if (c == '\r') {
    if (input_flag(IGNCR)) return;
    if (input_flag(ICRNL)) c = '\n';
  } else if (c == '\n' && input_flag(INLCR)) {
    c = '\r';
  }
  if (local_flag(ICANON) && InputCanonical(c)) return;
  if (local_flag(ECHO)) {
    if (c == '\n') {
      EchoRaw(c);
    } else {
      if (input_.size() == complete_) line_column_ = column_;
      Echo(c);
    }
  }
  // PARMRK tells a real 0377 from a marked error.
  if (c == 0xff && input_flag(PARMRK)) Store(c);
  Store(c);
}

// The keys of canonical mode; true if it was one.
bool LineDiscipline::InputCanonical(uint8_t c) {
  bool extended = local_flag(IEXTEN);
  if (Is(c, VERASE) || Is(c, VKILL) || (extended && Is(c, VWERASE))) {
    Erase(c);
    return true;
  }
  if (extended && Is(c, VLNEXT)) {
    literal_next_ = true;
    if (local_flag(ECHO) && local_flag(ECHOCTL)) {
      EchoRaw('^');
      EchoRaw('\b');
    }
    return true;
  }
  if (extended && local_flag(ECHO) && Is(c, VREPRINT)) {
    Reprint();
    return true;
  }
  if (c == '\n') {
    if (local_flag(ECHO) || local_flag(ECHONL)) EchoRaw('\n');
    EndLine(c);
    return true;
  }
  if (Is(c, VEOF)) {
    EndLine(kEndOfFileMark);
    return true;
  }
  if (Is(c, VEOL) || (extended && Is(c, VEOL2))) {
    if (local_flag(ECHO)) Echo(c);
    EndLine(c);
    return true;
  }
  return false;
}

void LineDiscipline::Store(uint8_t c) {
  if (input_.size() >= kInputLimit) {
    if (input_flag(IMAXBEL)) EchoRaw('\a');
    return;
  }
  input_.push_back({c, false});
}

void LineDiscipline::EndLine(uint8_t c) {
  // A line that filled the buffer loses its last byte to its end.
  if (input_.size() > kInputLimit) input_.pop_back();
  input_.push_back({c, true});
  complete_ = input_.size();
  line_column_ = column_;
}

void LineDiscipline::Erase(uint8_t c) {
  if (input_.size() == complete_) return;
  enum { kCharacter, kWord, kLine } what = Is(c, VERASE) ? kCharacter : Is(c, VKILL) ? kLine : kWord;
  bool echo = local_flag(ECHO);
  if (what == kLine && (!echo || !local_flag(ECHOK) || !local_flag(ECHOKE) || !local_flag(ECHOE))) {
    input_.resize(complete_);
    if (echo) {
      Echo(termios_.c_cc[VKILL]);
      if (local_flag(ECHOK)) EchoRaw('\n');
    }
    return;
  }
  bool seen_word = false;
  while (input_.size() > complete_) {
    // A character may be several bytes.
    size_t start = input_.size() - 1;
    while (start > complete_ && IsContinuation(input_[start].value)) --start;
    uint8_t first = input_[start].value;
    if (IsContinuation(first)) break;  // half a character
    if (what == kWord) {
      if (IsWord(first)) {
        seen_word = true;
      } else if (seen_word) {
        break;
      }
    }
    input_.resize(start);
    if (echo) EraseOnScreen(first, what == kCharacter);
    if (what == kCharacter) break;
  }
}

void LineDiscipline::EraseOnScreen(uint8_t c, bool by_erase_key) {
  if (by_erase_key && !local_flag(ECHOE)) return Echo(termios_.c_cc[VERASE]);
  if (c == '\t') return EraseTabOnScreen();
  auto erase_cell = [this] {
    EchoRaw('\b');
    EchoRaw(' ');
    EchoRaw('\b');
  };
  if (IsControl(c) && local_flag(ECHOCTL)) erase_cell();
  if (!IsControl(c) || local_flag(ECHOCTL)) erase_cell();
}

// Goes back to where the cursor was before the tab: from the line's begin or the last tab on.
void LineDiscipline::EraseTabOnScreen() {
  size_t cells = 0;
  bool after_tab = false;
  for (size_t i = input_.size(); i > complete_; --i) {
    uint8_t c = input_[i - 1].value;
    if (c == '\t') {
      after_tab = true;
      break;
    }
    if (IsControl(c)) {
      cells += local_flag(ECHOCTL) ? 2 : 0;
    } else if (!IsContinuation(c)) {
      ++cells;
    }
  }
  size_t column = cells + (after_tab ? 0 : line_column_);
  for (size_t i = kTabWidth - column % kTabWidth; i > 0; --i) EchoRaw('\b');
}

void LineDiscipline::Reprint() {
  Echo(termios_.c_cc[VREPRINT]);
  EchoRaw('\n');
  for (size_t i = complete_; i < input_.size(); ++i) Echo(input_[i].value);
}

// --- reading ---

size_t LineDiscipline::Readable() const {
  if (!local_flag(ICANON)) return input_.size();
  for (size_t i = 0; i < complete_; ++i) {
    if (input_[i].line_end) return i + (input_[i].value == kEndOfFileMark ? 0 : 1);
  }
  return complete_;
}

bool LineDiscipline::CanRead(size_t minimum) const {
  return local_flag(ICANON) ? complete_ > 0 : input_.size() >= minimum;
}

std::string LineDiscipline::Read(size_t limit) {
  std::string text;
  bool canonical = local_flag(ICANON);
  while (!input_.empty() && (!canonical || complete_ > 0)) {
    Byte byte = input_.front();
    bool end_of_file = canonical && byte.line_end && byte.value == kEndOfFileMark;
    // An end of file right behind what fits is taken along, or the next read would see it alone.
    if (text.size() == limit && !end_of_file) break;
    input_.pop_front();
    if (complete_ > 0) --complete_;
    if (end_of_file) break;
    text.push_back(static_cast<char>(byte.value));
    if (canonical && byte.line_end) break;
  }
  return text;
}

size_t LineDiscipline::BytesQueued() const {
  if (!local_flag(ICANON)) return input_.size();
  size_t count = complete_;
  for (size_t i = 0; i < complete_; ++i) {
    if (input_[i].line_end && input_[i].value == kEndOfFileMark) --count;
  }
  return count;
}

void LineDiscipline::FlushInput() {
  input_.clear();
  complete_ = 0;
  literal_next_ = false;
}

// --- output ---

bool LineDiscipline::HasOutputRoom() const { return !stopped_ && pending_output().size() < kOutputLimit; }

size_t LineDiscipline::Output(std::string_view text) {
  if (!output_flag(OPOST)) {
    if (stopped_) return 0;
    size_t room = kOutputLimit - std::min(kOutputLimit, pending_output().size());
    text = text.substr(0, room);
    output_.append(text);
    return text.size();
  }
  size_t taken = 0;
  while (taken < text.size() && HasOutputRoom()) OutputByte(static_cast<uint8_t>(text[taken++]));
  return taken;
}

void LineDiscipline::OutputByte(uint8_t c) {
  if (!output_flag(OPOST)) return Emit(c);
  switch (c) {
    case '\n':
      if (output_flag(ONLRET)) column_ = 0;
      if (output_flag(ONLCR)) {
        Emit('\r');
        column_ = 0;
      }
      line_column_ = column_;
      break;
    case '\r':
      if (output_flag(ONOCR) && column_ == 0) return;
      if (output_flag(OCRNL)) {
        c = '\n';
        if (output_flag(ONLRET)) column_ = line_column_ = 0;
        break;
      }
      column_ = line_column_ = 0;
      break;
    case '\t': {
      size_t spaces = kTabWidth - column_ % kTabWidth;
      column_ += spaces;
      if ((termios_.c_oflag & TABDLY) == XTABS) {
        while (spaces-- > 0) Emit(' ');
        return;
      }
      break;
    }
    case '\b':
      if (column_ > 0) --column_;
      break;
    default:
      if (IsControl(c)) break;
      if (output_flag(OLCUC) && c < 0x80) c = static_cast<uint8_t>(std::toupper(c));
      if (!IsContinuation(c)) ++column_;
      break;
  }
  Emit(c);
}

void LineDiscipline::Echo(uint8_t c) {
  if (local_flag(ECHOCTL) && IsControl(c) && c != '\t' && c != '\n') {
    EchoRaw('^');
    EchoRaw(c ^ 0x40);
  } else {
    EchoRaw(c);
  }
}

void LineDiscipline::EchoRaw(uint8_t c) {
  if (stopped_) {
    if (held_echo_.size() < kInputLimit) held_echo_.push_back(static_cast<char>(c));
    return;
  }
  // A screen that nobody reads loses echoes, not memory.
  if (pending_output().size() < kOutputLimit) OutputByte(c);
}

void LineDiscipline::ConsumeOutput(size_t length) {
  output_taken_ = std::min(output_taken_ + length, output_.size());
  if (output_taken_ == output_.size()) {
    output_.clear();
    output_taken_ = 0;
  } else if (output_taken_ > kOutputLimit / 2) {
    output_.erase(0, output_taken_);
    output_taken_ = 0;
  }
}

void LineDiscipline::Stop() { stopped_ = true; }

void LineDiscipline::Start() {
  stopped_ = false;
  for (char c : std::exchange(held_echo_, {})) EchoRaw(static_cast<uint8_t>(c));
}

void LineDiscipline::FlushOutput() {
  output_.clear();
  output_taken_ = 0;
  held_echo_.clear();
}

}  // namespace runsc
