#include "runsc/container/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "platform/base/unique_fd.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostErrorText = 4096;  // of a hook's stderr, its end
constexpr int kCannotRun = 127;          // the child's exit code; why is on its stderr

struct Pipe {
  UniqueFd read_end, write_end;
  bool Open() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return false;
    read_end.reset(fds[0]);
    write_end.reset(fds[1]);
    return true;
  }
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void ChildFailed(const char* what) {
  ::dprintf(STDERR_FILENO, "%s: %s", what, ErrorText(errno).c_str());
  ::_exit(kCannotRun);
}

// In the child. The state comes on stdin_fd; stdout is nobody's, for ours may be a container's.
[[noreturn]] void Execute(const oci::Hook& hook, const HookPlace& place, int stdin_fd, int stderr_fd) {
  ::setpgid(0, 0);
  int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (::dup2(stderr_fd, STDERR_FILENO) < 0 || ::dup2(stdin_fd, STDIN_FILENO) < 0) ::_exit(kCannotRun);
  if (null < 0 || ::dup2(null, STDOUT_FILENO) < 0) ChildFailed("/dev/null");
  for (int ns : place.namespaces) {
    if (::setns(ns, 0) != 0) ChildFailed("setns");
  }
  if (!place.working_directory.empty() && ::chdir(place.working_directory.c_str()) != 0)
    ChildFailed(place.working_directory.c_str());
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::syscall(SYS_close_range, 3, ~0U, 0);
  std::vector<std::string> arguments = hook.args;
  if (arguments.empty()) arguments.push_back(hook.path);
  ::execve(hook.path.c_str(), Pointers(arguments).data(), Pointers(hook.env).data());
  ChildFailed(hook.path.c_str());
}

// The parent's side while the hook runs: feeds stdin, collects stderr, watches the end and the clock.
class Watch {
 public:
  Watch(pid_t pid, UniqueFd input, UniqueFd error, std::string_view state, std::optional<int32_t> timeout)
      : pid_(pid),
        pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
        input_(std::move(input)),
        error_(std::move(error)),
        state_(state) {
    ::fcntl(input_.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(error_.get(), F_SETFL, O_NONBLOCK);
    if (timeout.has_value()) deadline_ = Clock::now() + std::chrono::seconds(*timeout);
  }

  // Until the hook has ended or its time is over; false in that case.
  bool UntilEnd() {
    while (true) {
      pollfd fds[3] = {{pidfd_.get(), POLLIN, 0}, {input_.get(), POLLOUT, 0}, {error_.get(), POLLIN, 0}};
      if (::poll(fds, 3, Remaining()) < 0 && errno != EINTR) return true;
      if ((fds[1].revents) != 0) Feed();
      if ((fds[2].revents) != 0) Collect();
      if ((fds[0].revents) != 0) {
        Collect();
        return true;
      }
      if (deadline_.has_value() && Clock::now() >= *deadline_) return false;
    }
  }

  void Kill() {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
  }
  std::string ErrorText() const {
    absl::string_view text = absl::StripSuffix(error_text_, "\n");
    return absl::StrReplaceAll(text, {{"\n", "; "}});
  }

 private:
  int Remaining() const {
    if (!deadline_.has_value()) return -1;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1 << 30));
  }
  // SIGPIPE is ignored meanwhile: a hook need not read its stdin.
  void Feed() {
    ssize_t count = ::write(input_.get(), state_.data(), state_.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count > 0) state_.remove_prefix(static_cast<size_t>(count));
    if (count < 0 || state_.empty()) input_.reset();
  }
  void Collect() {
    char buffer[4096];
    ssize_t count;
    // Bounded: a child of the hook may write on without end.
    for (int i = 0; i < 64 && (count = ::read(error_.get(), buffer, sizeof(buffer))) > 0; ++i) {
      error_text_.append(buffer, static_cast<size_t>(count));
      if (error_text_.size() > kMostErrorText) error_text_.erase(0, error_text_.size() - kMostErrorText);
    }
    if (count == 0) error_.reset();
  }

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd input_, error_;
  std::string_view state_;
  std::optional<Clock::time_point> deadline_;
  std::string error_text_;
};

// A write into a pipe that nobody reads is an error, not a signal, for as long as this lives.
class IgnoreSigpipe {
 public:
  IgnoreSigpipe() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before_);
  }
  ~IgnoreSigpipe() { ::sigaction(SIGPIPE, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

}  // namespace

absl::Status RunHook(const oci::Hook& hook, std::string_view name, std::string_view state,
                     const HookPlace& place) {
  auto failed = [&](const std::string& why) {
    return absl::FailedPreconditionError(fmt::format("{} {}: {}", name, hook.path, why));
  };
  Pipe input, error;
  if (!input.Open() || !error.Open()) return failed(ErrorText(errno));
  IgnoreSigpipe ignore_sigpipe;
  pid_t pid = ::fork();
  if (pid < 0) return failed(ErrorText(errno));
  if (pid == 0) Execute(hook, place, input.read_end.get(), error.write_end.get());
  ::setpgid(pid, pid);
  input.read_end.reset();
  error.write_end.reset();
  Watch watch(pid, std::move(input.write_end), std::move(error.read_end), state, hook.timeout);
  bool in_time = watch.UntilEnd();
  if (!in_time) watch.Kill();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return failed(fmt::format("killed after its timeout of {} s", *hook.timeout));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  std::string text = watch.ErrorText();
  std::string why = WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                      : fmt::format("killed by signal {}", WTERMSIG(status));
  if (!text.empty()) why += ", stderr: " + text;
  return failed(why);
}

absl::Status RunHooks(const std::vector<oci::Hook>& hooks, std::string_view kind, std::string_view state,
                      const HookPlace& place) {
  for (size_t i = 0; i < hooks.size(); ++i) {
    absl::Status status = RunHook(hooks[i], fmt::format("{} hook #{}", kind, i), state, place);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<std::string> RunAllHooks(const std::vector<oci::Hook>& hooks, std::string_view kind,
                                     std::string_view state, const HookPlace& place) {
  std::vector<std::string> failures;
  for (size_t i = 0; i < hooks.size(); ++i) {
    absl::Status status = RunHook(hooks[i], fmt::format("{} hook #{}", kind, i), state, place);
    if (!status.ok()) failures.emplace_back(status.message());
  }
  return failures;
}

}  // namespace runsc
