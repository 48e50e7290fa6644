#include "runsc/shim/console_copier.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace runsc::shim {
namespace {

void MakeNonBlocking(const UniqueFd& fd) {
  if (fd) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

enum class Step { kMoved, kWait, kEnd };

Step Read(int fd, std::string& buffer) {
  char bytes[16384];
  ssize_t size = ::read(fd, bytes, sizeof(bytes));
  if (size > 0) {
    buffer.append(bytes, static_cast<size_t>(size));
    return Step::kMoved;
  }
  return size < 0 && (errno == EAGAIN || errno == EINTR) ? Step::kWait : Step::kEnd;
}

Step Write(int fd, std::string& buffer) {
  ssize_t size = ::write(fd, buffer.data(), buffer.size());
  if (size >= 0) {
    buffer.erase(0, static_cast<size_t>(size));
    return Step::kMoved;
  }
  return errno == EAGAIN || errno == EINTR ? Step::kWait : Step::kEnd;
}

}  // namespace

ConsoleCopier::ConsoleCopier(EventLoop& loop, UniqueFd master, UniqueFd input, UniqueFd output)
    : loop_(loop), master_(std::move(master)), input_(std::move(input)), output_(std::move(output)) {
  for (const UniqueFd* fd : {&master_, &input_, &output_}) MakeNonBlocking(*fd);
  loop_.Watch(master_.get(), 0, [this](short events) {
    if ((events & POLLOUT) != 0) DrainToMaster();
    if ((events & ~POLLOUT) != 0) FillFromMaster();
    Update();
  });
  if (input_) {
    loop_.Watch(input_.get(), 0, [this](short) {
      FillFromInput();
      Update();
    });
  }
  if (output_) {
    loop_.Watch(output_.get(), 0, [this](short) {
      DrainToOutput();
      Update();
    });
  }
  Update();
}

ConsoleCopier::~ConsoleCopier() {
  CloseInput();
  EndOutput();
  if (master_) loop_.Forget(master_.get());
}

// Each side is asked only for what can go on: a buffer is filled when it is empty.
void ConsoleCopier::Update() {
  if (master_) {
    short events = shown_.empty() ? POLLIN : 0;
    if (!typed_.empty()) events |= POLLOUT;
    loop_.SetEvents(master_.get(), events);
  }
  if (input_) loop_.SetEvents(input_.get(), typed_.empty() ? POLLIN : 0);
  if (output_) loop_.SetEvents(output_.get(), shown_.empty() ? 0 : POLLOUT);
}

void ConsoleCopier::FillFromMaster() {
  if (!master_ || !shown_.empty()) return;
  // EIO: nobody has the terminal any more.
  if (Read(master_.get(), shown_) == Step::kEnd) {
    loop_.Forget(master_.get());
    master_.reset();
    CloseInput();
    if (shown_.empty()) EndOutput();
    return;
  }
  if (!output_) shown_.clear();
}

void ConsoleCopier::DrainToOutput() {
  if (output_ && !shown_.empty() && Write(output_.get(), shown_) == Step::kEnd) EndOutput();
  if (!master_ && shown_.empty()) EndOutput();
}

void ConsoleCopier::FillFromInput() {
  if (input_ && Read(input_.get(), typed_) == Step::kEnd) CloseInput();
}

void ConsoleCopier::DrainToMaster() {
  if (!typed_.empty() && (!master_ || Write(master_.get(), typed_) == Step::kEnd)) typed_.clear();
}

// The client sees the end of its FIFO.
void ConsoleCopier::EndOutput() {
  if (!output_) return;
  loop_.Forget(output_.get());
  output_.reset();
  shown_.clear();
}

void ConsoleCopier::CloseInput() {
  if (!input_) return;
  loop_.Forget(input_.get());
  input_.reset();
}

void ConsoleCopier::Drain() {
  while (output_) {
    if (!shown_.empty() && Write(output_.get(), shown_) != Step::kMoved) return;
    if (!shown_.empty()) continue;
    if (!master_ || Read(master_.get(), shown_) != Step::kMoved) break;
  }
}

absl::Status ConsoleCopier::Resize(uint32_t width, uint32_t height) {
  winsize size{};
  size.ws_col = static_cast<uint16_t>(width);
  size.ws_row = static_cast<uint16_t>(height);
  if (master_ && ::ioctl(master_.get(), TIOCSWINSZ, &size) != 0)
    return absl::InternalError(fmt::format("cannot set the terminal's size: {}", ::strerror(errno)));
  return absl::OkStatus();
}

}  // namespace runsc::shim
