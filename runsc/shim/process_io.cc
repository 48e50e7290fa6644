#include "runsc/shim/process_io.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "runsc/shim/listener.h"
#include "runsc/shim/logger_uri.h"

namespace runsc::shim {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, ::strerror(errno)));
}

bool IsFifo(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

void MakeBlocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

// The master that a monitor or keeper has sent; it did before it said that the process is made.
absl::StatusOr<UniqueFd> TakeMaster(int listener) {
  UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return Failed("the terminal did not come");
  char name[256];
  iovec data{name, sizeof(name)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  if (::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
    return Failed("the terminal did not come");
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
    return absl::InternalError("the terminal did not come");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessIo>> ProcessIo::Open(EventLoop& loop, const StreamNames& names,
                                                           const IoOwner& owner) {
  std::unique_ptr<ProcessIo> io(new ProcessIo(loop));
  absl::Status status = io->OpenInput(names.input);
  if (status.ok()) status = io->OpenOutput(names.output, owner, &io->output_, &io->held_output_);
  // A terminal has one output.
  if (status.ok() && !names.terminal)
    status = io->OpenOutput(names.error, owner, &io->error_, &io->held_error_);
  if (status.ok() && names.terminal) status = io->ListenForConsole(owner);
  if (!status.ok()) return status;
  return io;
}

ProcessIo::~ProcessIo() {
  if (!console_socket_.empty()) ::unlink(console_socket_.c_str());
}

absl::Status ProcessIo::OpenInput(const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  input_.reset(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!input_) return Failed(fmt::format("stdin {}", name));
  if (!IsFifo(input_.get())) return absl::OkStatus();
  held_input_.reset(::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!held_input_) return Failed(fmt::format("stdin {}", name));
  MakeBlocking(input_.get());
  return absl::OkStatus();
}

absl::Status ProcessIo::OpenOutput(const std::string& name, const IoOwner& owner, UniqueFd* output,
                                   UniqueFd* held) {
  if (name.empty()) return absl::OkStatus();
  std::string path = name;
  if (size_t scheme = name.find("://"); scheme != std::string::npos) {
    std::string_view kind = std::string_view(name).substr(0, scheme);
    path = name.substr(scheme + 3);
    if (kind == "binary") {
      if (absl::Status status = OpenLogger(name, owner); !status.ok()) return status;
      *output = std::move(output == &output_ ? logger_output_ : logger_error_);
      return absl::OkStatus();
    }
    if (kind == "file") {
      output->reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640));
      return *output ? absl::OkStatus() : Failed(name);
    }
    if (kind != "fifo")
      return absl::InvalidArgumentError(
          fmt::format("{}: output can go to fifo://, file:// and binary://", name));
  }
  // With a reader there, the writer's open does not wait.
  held->reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!*held) return Failed(fmt::format("output {}", path));
  if (!IsFifo(held->get())) held->reset();
  output->reset(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY));
  if (!*output) return Failed(fmt::format("output {}", path));
  MakeBlocking(output->get());
  return absl::OkStatus();
}

// One program for both streams. It need not be waited for: what is written meanwhile stays in the pipes.
absl::Status ProcessIo::OpenLogger(const std::string& uri, const IoOwner& owner) {
  if (has_logger_) return absl::OkStatus();
  has_logger_ = true;
  int output[2], error[2], ready[2];
  if (::pipe2(output, O_CLOEXEC) != 0) return Failed(uri);
  UniqueFd output_end(output[0]);
  logger_output_.reset(output[1]);
  if (::pipe2(error, O_CLOEXEC) != 0) return Failed(uri);
  UniqueFd error_end(error[0]);
  logger_error_.reset(error[1]);
  if (::pipe2(ready, O_CLOEXEC) != 0) return Failed(uri);
  logger_ready_.reset(ready[0]);
  UniqueFd ready_end(ready[1]);
  return StartLogger(ParseLoggerUri(uri),
                     {"CONTAINER_ID=" + owner.container_id, "CONTAINER_NAMESPACE=" + owner.name_space},
                     {output_end.get(), error_end.get(), ready_end.get()});
}

absl::Status ProcessIo::ListenForConsole(const IoOwner& owner) {
  static unsigned number = 0;
  std::string path = fmt::format("{}.c{}", owner.socket_prefix, ++number);
  absl::StatusOr<UniqueFd> listener = ListenOn(path);
  if (!listener.ok()) return listener.status();
  console_listener_ = *std::move(listener);
  console_socket_ = std::move(path);
  return absl::OkStatus();
}

absl::Status ProcessIo::ProcessMade() {
  if (console_listener_) {
    absl::StatusOr<UniqueFd> master = TakeMaster(console_listener_.get());
    console_listener_.reset();
    ::unlink(console_socket_.c_str());
    console_socket_.clear();
    if (!master.ok()) return master.status();
    copier_ =
        std::make_unique<ConsoleCopier>(loop_, *std::move(master), std::move(input_), std::move(output_));
  }
  input_.reset();
  output_.reset();
  error_.reset();
  return absl::OkStatus();
}

void ProcessIo::CloseStdin() { held_input_.reset(); }

absl::Status ProcessIo::Resize(uint32_t width, uint32_t height) {
  if (copier_ == nullptr) return absl::FailedPreconditionError("the process has no terminal");
  return copier_->Resize(width, height);
}

void ProcessIo::Finish() {
  if (copier_ != nullptr) copier_->Drain();
}

}  // namespace runsc::shim
