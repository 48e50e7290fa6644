#include "sentry/fsimpl/tty_line_discipline.h"

#include <asm/termbits.h>
#include <signal.h>

#include <catch2/catch.hpp>

namespace runsc {
namespace {

std::string Screen(LineDiscipline& tty) {
  std::string text(tty.pending_output());
  tty.ConsumeOutput(text.size());
  return text;
}

void Change(LineDiscipline& tty, uint32_t KernelTermios::*field, uint32_t clear, uint32_t set) {
  KernelTermios termios = tty.termios();
  termios.*field = (termios.*field & ~clear) | set;
  tty.SetTermios(termios);
}

TEST_CASE("a line is read when it is finished") {
  LineDiscipline tty;
  CHECK(tty.Input("ab") == 2);
  CHECK_FALSE(tty.CanRead(1));
  CHECK(tty.Input("c\rde\n") == 5);
  CHECK(Screen(tty) == "abc\r\nde\r\n");
  CHECK(tty.BytesQueued() == 7);
  CHECK(tty.Read(100) == "abc\n");
  CHECK(tty.Read(2) == "de");
  CHECK(tty.Read(100) == "\n");
  CHECK_FALSE(tty.CanRead(1));
}

TEST_CASE("keys of canonical mode edit the line") {
  LineDiscipline tty;
  tty.Input("abx\x7f");
  CHECK(Screen(tty) == "abx\b \b");
  tty.Input("\n");
  CHECK(tty.Read(100) == "ab\n");
  Screen(tty);

  tty.Input("one two \x17");
  CHECK(Screen(tty) == "one two \b \b\b \b\b \b\b \b");
  tty.Input("2\n");
  CHECK(tty.Read(100) == "one 2\n");
  Screen(tty);

  tty.Input("gone\x15yes\n");
  CHECK(Screen(tty) == "gone\b \b\b \b\b \b\b \byes\r\n");
  CHECK(tty.Read(100) == "yes\n");

  tty.Input(
      "a\x16\x03"
      "b\n");  // ^V makes ^C a character
  CHECK(Screen(tty) == "a^\b^Cb\r\n");
  CHECK(tty.Read(100) ==
        "a\x03"
        "b\n");
  CHECK(tty.TakeSignals().empty());

  tty.Input("hi\x12");
  CHECK(Screen(tty) == "hi^R\r\nhi");
}

TEST_CASE("erasing goes by characters, not bytes, with IUTF8") {
  LineDiscipline tty;
  Change(tty, &KernelTermios::c_iflag, 0, IUTF8);
  tty.Input("a\xc3\xa4\x7f\n");
  CHECK(Screen(tty) == "a\xc3\xa4\b \b\r\n");
  CHECK(tty.Read(100) == "a\n");
}

TEST_CASE("erasing a tab goes back to where it began") {
  LineDiscipline tty;
  tty.Input("ab\t\x7f");
  CHECK(Screen(tty) == "ab\t\b\b\b\b\b\b");
}

TEST_CASE("end of file ends a line without a byte") {
  LineDiscipline tty;
  tty.Input("ab\x04");
  CHECK(Screen(tty) == "ab");
  CHECK(tty.Read(100) == "ab");
  CHECK_FALSE(tty.CanRead(1));
  tty.Input("\x04");
  CHECK(tty.CanRead(1));
  CHECK(tty.Read(100) == "");
  CHECK_FALSE(tty.CanRead(1));
  // A read that takes exactly the line takes its end along.
  tty.Input("xy\x04");
  CHECK(tty.Read(2) == "xy");
  CHECK_FALSE(tty.CanRead(1));
}

TEST_CASE("interrupt keys send signals and flush") {
  LineDiscipline tty;
  tty.Input("abc\x03");
  CHECK(tty.TakeSignals() == std::vector<int>{SIGINT});
  CHECK(Screen(tty) == "^C");
  tty.Input("\n");
  CHECK(tty.Read(100) == "\n");
  tty.Input("\x1c\x1a");
  CHECK(tty.TakeSignals() == std::vector<int>{SIGQUIT, SIGTSTP});
  Change(tty, &KernelTermios::c_lflag, ISIG, 0);
  tty.Input("\x03\n");
  CHECK(tty.TakeSignals().empty());
  CHECK(tty.Read(100) == "\x03\n");
}

TEST_CASE("raw mode hands on every byte") {
  LineDiscipline tty;
  Change(tty, &KernelTermios::c_lflag, ICANON | ECHO | ISIG | IEXTEN, 0);
  Change(tty, &KernelTermios::c_iflag, ICRNL | IXON, 0);
  Change(tty, &KernelTermios::c_oflag, OPOST, 0);
  tty.Input("a\r\x03\x04\x7f");
  CHECK(Screen(tty).empty());
  CHECK_FALSE(tty.CanRead(6));
  CHECK(tty.CanRead(5));
  CHECK(tty.Read(2) == "a\r");
  CHECK(tty.Read(100) == "\x03\x04\x7f");
  CHECK(tty.Output("x\ny") == 3);
  CHECK(Screen(tty) == "x\ny");
}

TEST_CASE("what was typed stays when the mode changes") {
  LineDiscipline tty;
  tty.Input("abc");
  Change(tty, &KernelTermios::c_lflag, ICANON, 0);
  CHECK(tty.CanRead(3));
  CHECK(tty.Read(1) == "a");
  Change(tty, &KernelTermios::c_lflag, 0, ICANON);
  CHECK(tty.Read(100) == "bc");
}

TEST_CASE("output is made ready for a screen") {
  LineDiscipline tty;
  tty.Output("a\nb");
  CHECK(Screen(tty) == "a\r\nb");
  Change(tty, &KernelTermios::c_oflag, 0, XTABS);
  tty.Output("\tc");
  CHECK(Screen(tty) == "       c");
  Change(tty, &KernelTermios::c_oflag, ONLCR, OCRNL | OLCUC);
  tty.Output("x\ry");
  CHECK(Screen(tty) == "X\nY");
}

TEST_CASE("stop and start hold output and echo") {
  LineDiscipline tty;
  tty.Input("\x13");
  CHECK(tty.stopped());
  CHECK(tty.Output("x") == 0);
  tty.Input("a");
  CHECK(Screen(tty).empty());
  tty.Input("\x11");
  CHECK(Screen(tty) == "a");
  CHECK(tty.Output("x") == 1);
}

TEST_CASE("a line that is too long is cut, a full queue waits") {
  LineDiscipline tty;
  Change(tty, &KernelTermios::c_lflag, ECHO, 0);
  std::string line(5000, 'x');
  CHECK(tty.Input(line) == line.size());
  CHECK(tty.Input("\n") == 1);
  CHECK(tty.Input("more") == 0);
  std::string got = tty.Read(10000);
  CHECK(got.size() == LineDiscipline::kInputLimit + 1);
  CHECK(got.back() == '\n');
  CHECK(tty.Input("more") == 4);
}

}  // namespace
}  // namespace runsc
