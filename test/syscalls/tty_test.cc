// pty(7), termios(3), ioctl_tty(2): pseudo-terminals, line editing and job control.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "test/syscalls/syscall_test.h"

namespace {

struct Terminal {
  int master = -1, replica = -1;
  std::string name;
  Terminal() {
    master = ASSERT_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    ASSERT_OK(unlockpt(master));
    char text[64];
    ASSERT_EQ(ptsname_r(master, text, sizeof(text)), 0);
    name = text;
    replica = ASSERT_OK(open(text, O_RDWR | O_NOCTTY));
  }
  ~Terminal() {
    close(master);
    close(replica);
  }
  void Type(const std::string& keys) {
    EXPECT_EQ(write(master, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  // What the screen shows, as long as wanted.
  std::string Screen(size_t length) {
    std::string text;
    char data[256];
    while (text.size() < length) {
      pollfd entry{master, POLLIN, 0};
      if (poll(&entry, 1, 5000) != 1) break;
      ssize_t got = read(master, data, std::min(sizeof(data), length - text.size()));
      if (got <= 0) break;
      text.append(data, got);
    }
    return text;
  }
  std::string Read(size_t limit = 256) {
    std::string text(limit, '\0');
    ssize_t got = read(replica, text.data(), limit);
    text.resize(got > 0 ? got : 0);
    return text;
  }
  termios Get() {
    termios value;
    EXPECT_OK(tcgetattr(replica, &value));
    return value;
  }
  void Set(const termios& value) { EXPECT_OK(tcsetattr(replica, TCSANOW, &value)); }
};

bool Readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0;
}

TEST(pair) {
  int master = ASSERT_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
  unsigned number = 0;
  ASSERT_OK(ioctl(master, TIOCGPTN, &number));
  std::string name = "/dev/pts/" + std::to_string(number);
  struct stat stat;
  EXPECT_OK(::stat(name.c_str(), &stat));
  EXPECT_TRUE(S_ISCHR(stat.st_mode));
  EXPECT_EQ(major(stat.st_rdev), 136u);
  EXPECT_EQ(minor(stat.st_rdev), number);
  EXPECT_EQ(stat.st_uid, geteuid());
  EXPECT_ERRNO(open(name.c_str(), O_RDWR | O_NOCTTY), EIO);  // locked
  EXPECT_OK(unlockpt(master));
  int replica = ASSERT_OK(open(name.c_str(), O_RDWR | O_NOCTTY));
  EXPECT_TRUE(isatty(replica) && isatty(master));
  int peer = ASSERT_OK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
  EXPECT_EQ(write(peer, "x", 1), 1);
  char byte;
  EXPECT_EQ(read(master, &byte, 1), 1);
  close(peer);
  close(replica);
  // Nobody on the other side any more.
  EXPECT_ERRNO(read(master, &byte, 1), EIO);
  pollfd entry{master, POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(entry.revents & POLLHUP, POLLHUP);
  replica = ASSERT_OK(open(name.c_str(), O_RDWR | O_NOCTTY));
  close(master);
  EXPECT_EQ(read(replica, &byte, 1), 0);
  EXPECT_ERRNO(write(replica, "x", 1), EIO);
  termios value;
  EXPECT_ERRNO(tcgetattr(replica, &value), EIO);
  EXPECT_ERRNO(open(name.c_str(), O_RDWR | O_NOCTTY), ENOENT);
  close(replica);
}

TEST(lines) {
  Terminal tty;
  tty.Type(
      "ab\x7f"
      "c");
  EXPECT_FALSE(Readable(tty.replica));
  tty.Type("\r");
  EXPECT_TRUE(Readable(tty.replica));
  int queued = 0;
  EXPECT_OK(ioctl(tty.replica, FIONREAD, &queued));
  EXPECT_EQ(queued, 3);
  EXPECT_EQ(tty.Read(), "ac\n");
  EXPECT_EQ(tty.Screen(8), "ab\b \bc\r\n");
  tty.Type("end\x04");
  EXPECT_EQ(tty.Read(), "end");
  tty.Type("\x04");
  EXPECT_EQ(tty.Read(), "");
  EXPECT_EQ(tty.Screen(3), "end");
  EXPECT_EQ(write(tty.replica, "out\n", 4), 4);
  EXPECT_EQ(tty.Screen(5), "out\r\n");
  EXPECT_OK(fcntl(tty.replica, F_SETFL, O_NONBLOCK));
  char byte;
  EXPECT_ERRNO(read(tty.replica, &byte, 1), EAGAIN);
}

TEST(defaults) {
  Terminal tty;
  termios value = tty.Get();
  EXPECT_EQ(value.c_iflag, static_cast<tcflag_t>(ICRNL | IXON));
  EXPECT_EQ(value.c_oflag, static_cast<tcflag_t>(OPOST | ONLCR));
  EXPECT_EQ(value.c_lflag,
            static_cast<tcflag_t>(ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN));
  EXPECT_EQ(cfgetospeed(&value), static_cast<speed_t>(B38400));
  EXPECT_EQ(value.c_cc[VINTR], 3);
  EXPECT_EQ(value.c_cc[VERASE], 0x7f);
  EXPECT_EQ(value.c_cc[VMIN], 1);
}

TEST(settings_of_system_v) {
  Terminal tty;
  termio old{};
  EXPECT_OK(ioctl(tty.replica, TCGETA, &old));
  EXPECT_EQ(old.c_iflag, ICRNL | IXON);
  EXPECT_EQ(old.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
  EXPECT_EQ(old.c_cc[VERASE], 0x7f);
  old.c_lflag &= ~ECHO;
  old.c_cc[VERASE] = 8;
  EXPECT_OK(ioctl(tty.replica, TCSETA, &old));
  termios value = tty.Get();
  EXPECT_EQ(value.c_lflag & (ECHO | ICANON), static_cast<tcflag_t>(ICANON));
  EXPECT_EQ(value.c_cc[VERASE], 8);
  EXPECT_EQ(value.c_cc[VSUSP], 'Z' - '@');  // beyond the old ones
  tty.Type("gone\n");
  pollfd typed{tty.replica, POLLIN, 0};  // keys take their time
  EXPECT_EQ(poll(&typed, 1, 5000), 1);
  EXPECT_OK(ioctl(tty.replica, TCSETAF, &old));
  EXPECT_FALSE(Readable(tty.replica));
  EXPECT_ERRNO(ioctl(tty.replica, TCGETA, nullptr), EFAULT);
  int local = -1;
  EXPECT_OK(ioctl(tty.replica, TIOCGSOFTCAR, &local));
  EXPECT_EQ(local, 0);
  local = 1;
  EXPECT_OK(ioctl(tty.replica, TIOCSSOFTCAR, &local));
  EXPECT_EQ(tty.Get().c_cflag & CLOCAL, static_cast<tcflag_t>(CLOCAL));
}

TEST(locked_settings) {
  if (geteuid() != 0) SKIP("needs root");
  Terminal tty;
  // The kernel's, which is shorter than the C library's.
  struct Settings {
    uint32_t flags[4];
    unsigned char line, characters[19];
  } locked;
  memset(&locked, 0xff, sizeof(locked));
  EXPECT_OK(ioctl(tty.replica, TIOCGLCKTRMIOS, &locked));
  EXPECT_EQ(locked.flags[3], 0u);
  locked.flags[3] = ECHO;
  locked.characters[VINTR] = 1;
  EXPECT_OK(ioctl(tty.replica, TIOCSLCKTRMIOS, &locked));
  termios value = tty.Get();
  value.c_lflag &= ~(ECHO | ECHOE);
  value.c_cc[VINTR] = 1;
  value.c_cc[VQUIT] = 2;
  tty.Set(value);
  value = tty.Get();
  EXPECT_EQ(value.c_lflag & (ECHO | ECHOE), static_cast<tcflag_t>(ECHO));
  EXPECT_EQ(value.c_cc[VINTR], 3);
  EXPECT_EQ(value.c_cc[VQUIT], 2);
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresuid(1000, 1000, 1000));
    EXPECT_ERRNO(ioctl(tty.replica, TIOCSLCKTRMIOS, &locked), EPERM);
    EXPECT_OK(ioctl(tty.replica, TIOCGLCKTRMIOS, &locked));
  });
}

TEST(raw) {
  Terminal tty;
  termios value = tty.Get();
  cfmakeraw(&value);
  tty.Set(value);
  tty.Type("a\r\x03");
  EXPECT_EQ(tty.Read(), "a\r\x03");
  EXPECT_EQ(write(tty.replica, "x\n", 2), 2);
  EXPECT_EQ(tty.Screen(2), "x\n");
  // Nothing to wait for.
  value.c_cc[VMIN] = 0;
  tty.Set(value);
  char data[8];
  EXPECT_EQ(read(tty.replica, data, 8), 0);
  // A tenth of a second at most.
  value.c_cc[VTIME] = 1;
  tty.Set(value);
  EXPECT_EQ(read(tty.replica, data, 8), 0);
  tty.Type("q");
  EXPECT_EQ(read(tty.replica, data, 8), 1);
  // Two bytes, or a tenth of a second behind the first.
  value.c_cc[VMIN] = 2;
  tty.Set(value);
  tty.Type("1");
  EXPECT_EQ(read(tty.replica, data, 8), 1);
  value.c_cc[VTIME] = 0;
  value.c_cc[VMIN] = 3;
  tty.Set(value);
  tty.Type("12");
  EXPECT_FALSE(Readable(tty.replica));
  tty.Type("3");
  EXPECT_TRUE(Readable(tty.replica));
  EXPECT_EQ(read(tty.replica, data, 8), 3);
}

TEST(flushing) {
  Terminal tty;
  tty.Type("gone\n");
  EXPECT_EQ(tty.Screen(6), "gone\r\n");
  EXPECT_OK(tcflush(tty.replica, TCIFLUSH));
  EXPECT_FALSE(Readable(tty.replica));
  EXPECT_ERRNO(tcflush(tty.replica, 7), EINVAL);
  tty.Type("half");
  EXPECT_EQ(tty.Screen(4), "half");  // it has arrived
  termios value = tty.Get();
  EXPECT_OK(tcsetattr(tty.replica, TCSAFLUSH, &value));
  tty.Type("\n");
  EXPECT_EQ(tty.Read(), "\n");
}

TEST(window_size) {
  Terminal tty;
  winsize size{};
  EXPECT_OK(ioctl(tty.replica, TIOCGWINSZ, &size));
  EXPECT_EQ(size.ws_row, 0);
  size = {24, 80, 1, 2};
  EXPECT_OK(ioctl(tty.master, TIOCSWINSZ, &size));
  winsize got{};
  EXPECT_OK(ioctl(tty.replica, TIOCGWINSZ, &got));
  EXPECT_EQ(memcmp(&got, &size, sizeof(size)), 0);
}

TEST(packet_mode) {
  Terminal tty;
  int on = 1;
  EXPECT_OK(ioctl(tty.master, TIOCPKT, &on));
  EXPECT_EQ(write(tty.replica, "hi", 2), 2);
  EXPECT_EQ(tty.Screen(3), std::string("\0hi", 3));
  EXPECT_OK(tcflush(tty.replica, TCIFLUSH));
  pollfd entry{tty.master, POLLPRI | POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(entry.revents & POLLPRI, POLLPRI);
  EXPECT_EQ(tty.Screen(1), std::string(1, TIOCPKT_FLUSHREAD));
}

// Runs the body as leader of a session whose terminal is the replica.
template <typename Body>
int InSession(Terminal& tty, Body body) {
  return WaitStatusOf([&] {
    ASSERT_OK(setsid());
    ASSERT_OK(ioctl(tty.replica, TIOCSCTTY, 0));
    body();
  });
}

TEST(controlling_terminal) {
  Terminal tty;
  pid_t group;
  EXPECT_ERRNO(ioctl(tty.replica, TIOCGPGRP, &group), ENOTTY);
  EXPECT_EQ(InSession(tty,
                      [&] {
                        pid_t own = getpid(), got = 0;
                        EXPECT_OK(ioctl(tty.replica, TIOCGPGRP, &got));
                        EXPECT_EQ(got, own);
                        EXPECT_OK(ioctl(tty.replica, TIOCGSID, &got));
                        EXPECT_EQ(got, own);
                        EXPECT_OK(ioctl(tty.master, TIOCGPGRP, &got));
                        EXPECT_EQ(got, own);
                        int fd = ASSERT_OK(open("/dev/tty", O_RDWR));
                        EXPECT_EQ(write(fd, "via tty", 7), 7);
                        EXPECT_OK(ioctl(fd, TIOCGPGRP, &got));
                        EXPECT_OK(ioctl(tty.replica, TIOCSCTTY, 0));  // again: nothing changes
                        Terminal other;
                        EXPECT_ERRNO(ioctl(other.replica, TIOCSCTTY, 0), EPERM);
                        pid_t nobody = 4000000;
                        EXPECT_ERRNO(ioctl(fd, TIOCSPGRP, &nobody), ESRCH);
                        signal(SIGHUP, SIG_IGN);
                        EXPECT_OK(ioctl(fd, TIOCNOTTY));
                        EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
                      }),
            0);
  EXPECT_EQ(tty.Screen(7), "via tty");
}

TEST(opening_makes_it_controlling) {
  Terminal tty;
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setsid());
    EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    EXPECT_OK(open(tty.name.c_str(), O_RDWR | O_NOCTTY));
    EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    EXPECT_OK(open(tty.name.c_str(), O_RDWR));
    EXPECT_OK(open("/dev/tty", O_RDWR));
  });
}

TEST(interrupt_key_signals_the_foreground) {
  Terminal tty;
  int status = InSession(tty, [&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    EXPECT_EQ(write(tty.master, "\x03", 1), 1);
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGINT);
    winsize size{10, 20, 0, 0};
    EXPECT_OK(ioctl(tty.master, TIOCSWINSZ, &size));
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGWINCH);
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(tty.Screen(2), "^C");
}

TEST(background_group_is_stopped) {
  Terminal tty;
  EXPECT_EQ(InSession(tty,
                      [&] {
                        pid_t child = Fork([&] {
                          setpgid(0, 0);
                          char byte;
                          ssize_t got = read(tty.replica, &byte, 1);
                          EXPECT_EQ(got, 1);
                        });
                        setpgid(child, child);
                        int status = 0;
                        EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
                        EXPECT_TRUE(WIFSTOPPED(status));
                        EXPECT_EQ(WSTOPSIG(status), SIGTTIN);
                        // Into the foreground with it.
                        EXPECT_OK(tcsetpgrp(tty.replica, child));
                        EXPECT_OK(kill(child, SIGCONT));
                        EXPECT_EQ(write(tty.master, "\n", 1), 1);
                        EXPECT_EQ(WaitFor(child), 0);
                      }),
            0);
}

TEST(background_output_stops_with_tostop) {
  Terminal tty;
  termios value = tty.Get();
  value.c_lflag |= TOSTOP;
  tty.Set(value);
  EXPECT_EQ(InSession(tty,
                      [&] {
                        pid_t child = Fork([&] {
                          setpgid(0, 0);
                          write(tty.replica, "x", 1);
                        });
                        setpgid(child, child);
                        int status = 0;
                        EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
                        EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
                        kill(child, SIGKILL);
                        WaitFor(child);
                      }),
            0);
}

TEST(hangup) {
  Terminal tty;
  int master = tty.master;
  pid_t child = Fork([&] {
    ASSERT_OK(setsid());
    ASSERT_OK(ioctl(tty.replica, TIOCSCTTY, 0));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    close(master);
    EXPECT_EQ(write(tty.replica, "ready", 5), 5);
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGHUP);
    char byte;
    EXPECT_EQ(read(tty.replica, &byte, 1), 0);
    EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
  });
  EXPECT_EQ(tty.Screen(5), "ready");
  close(master);
  EXPECT_EQ(WaitFor(child), 0);
}

}  // namespace
