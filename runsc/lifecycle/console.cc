#include "runsc/lifecycle/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, ErrorText(errno)));
}

}  // namespace

absl::StatusOr<Console> MakeConsole(const std::optional<oci::ConsoleSize>& size) {
  Console console;
  console.master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  int unlocked = 0;
  unsigned number = 0;
  if (!console.master || ::ioctl(console.master.get(), TIOCSPTLCK, &unlocked) != 0 ||
      ::ioctl(console.master.get(), TIOCGPTN, &number) != 0)
    return Failed("cannot make a terminal: /dev/ptmx");
  console.name = fmt::format("/dev/pts/{}", number);
  console.replica.reset(::ioctl(console.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!console.replica) return Failed(fmt::format("cannot make a terminal: {}", console.name));
  if (size) {
    winsize window{};
    window.ws_row = size->height;
    window.ws_col = size->width;
    if (::ioctl(console.master.get(), TIOCSWINSZ, &window) != 0)
      return Failed("cannot set the terminal's size");
  }
  return console;
}

absl::Status TakeConsole(UniqueFd replica) {
  if (::ioctl(replica.get(), TIOCSCTTY, 0) != 0) return Failed("cannot take the terminal");
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(replica.get(), fd) < 0) return Failed("cannot take the terminal");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ConnectConsoleSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return absl::InvalidArgumentError(fmt::format("console socket {}: the path is too long", path));
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return Failed(fmt::format("dial unix {}: connect", path));
  return socket;
}

absl::Status SendMaster(int socket, const Console& console) {
  iovec data{const_cast<char*>(console.name.data()), console.name.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = console.master.get();
  memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) return Failed("cannot send the terminal");
  return absl::OkStatus();
}

absl::Status SendToConsoleSocket(const std::string& path, const Console& console) {
  absl::StatusOr<UniqueFd> socket = ConnectConsoleSocket(path);
  if (!socket.ok()) return socket.status();
  return SendMaster(socket->get(), console);
}

TerminalCopier::TerminalCopier(UniqueFd master)
    : master_(std::move(master)), in_{STDIN_FILENO, master_.get()}, out_{master_.get(), STDOUT_FILENO} {
  termios settings{};
  if (::tcgetattr(STDIN_FILENO, &settings) == 0) {
    saved_ = settings;
    ::cfmakeraw(&settings);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &settings);
    Resize();
  }
  int flags = ::fcntl(master_.get(), F_GETFL);
  ::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK);
}

TerminalCopier::~TerminalCopier() {
  if (saved_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_);
}

void TerminalCopier::Resize() {
  winsize window{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &window) == 0) ::ioctl(master_.get(), TIOCSWINSZ, &window);
}

void TerminalCopier::Fill(Direction& direction) {
  char bytes[4096];
  ssize_t size = ::read(direction.from, bytes, sizeof(bytes));
  if (size > 0) {
    direction.buffer.append(bytes, static_cast<size_t>(size));
  } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
    direction.ended = true;
  }
}

// What poll(2) calls writable takes a few bytes without blocking, also where the descriptor is shared with
// others and so must not be made non-blocking.
void TerminalCopier::Drain(Direction& direction) {
  constexpr size_t kAtOnce = 512;
  ssize_t size = ::write(direction.to, direction.buffer.data(), std::min(direction.buffer.size(), kAtOnce));
  if (size > 0) {
    direction.buffer.erase(0, static_cast<size_t>(size));
  } else if (size < 0 && errno != EAGAIN && errno != EINTR) {
    direction.buffer.clear();
    direction.ended = true;
  }
}

bool TerminalCopier::Run(int until, int signals) {
  bool over = false;
  while (true) {
    short master = static_cast<short>((!out_.ended && out_.buffer.empty() ? POLLIN : 0) |
                                      (!in_.buffer.empty() ? POLLOUT : 0));
    pollfd polls[5] = {{in_.ended || !in_.buffer.empty() ? -1 : in_.from, POLLIN, 0},
                       {master != 0 ? master_.get() : -1, master, 0},
                       {out_.buffer.empty() ? -1 : out_.to, POLLOUT, 0},
                       {over ? -1 : until, POLLIN, 0},
                       {signals, POLLIN, 0}};
    // Once the process is gone, what it has written last is there already.
    int ready = ::poll(polls, 5, over ? 0 : -1);
    if (ready < 0) continue;
    if (polls[4].revents != 0) return true;
    if (over && (out_.ended || ready == 0)) return false;
    if (polls[3].revents != 0) over = true;
    if (polls[0].revents != 0) Fill(in_);
    if ((polls[1].revents & POLLOUT) != 0) Drain(in_);
    if ((polls[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && out_.buffer.empty()) Fill(out_);
    if (polls[2].revents != 0) Drain(out_);
  }
}

}  // namespace runsc
