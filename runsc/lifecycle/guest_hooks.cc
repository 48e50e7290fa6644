#include "runsc/lifecycle/guest_hooks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/sandbox_config.h"
#include "runsc/lifecycle/spec_file.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostErrorText = 4096;  // of a hook's stderr, its end

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, ErrorText(errno)));
}

class GuestHook {
 public:
  GuestHook(const oci::Hook& hook, ControlClient client) : hook_(hook), client_(std::move(client)) {}

  absl::Status Run(const oci::Spec& spec, const std::string& state) {
    absl::Status status = Start(spec, state);
    if (!status.ok()) return status;
    std::optional<Clock::time_point> deadline;
    if (hook_.timeout) deadline = Clock::now() + std::chrono::seconds(*hook_.timeout);
    while (!ended_) {
      int left = -1;
      if (deadline) {
        auto rest = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
        if (rest <= 0) {
          client_.Close();  // which kills it
          return absl::DeadlineExceededError(fmt::format("killed after its timeout of {} s", *hook_.timeout));
        }
        left = static_cast<int>(std::min<int64_t>(rest, 1 << 30));
      }
      pollfd polls[2] = {{client_.fd(), POLLIN, 0}, {error_.get(), POLLIN, 0}};
      if (::poll(polls, 2, left) < 0) continue;
      if (polls[1].revents != 0) CollectErrors();
      if (polls[0].revents != 0) status = OnMessage();
      if (!status.ok()) return status;
    }
    CollectErrors();
    return Outcome();
  }

 private:
  absl::Status Start(const oci::Spec& spec, const std::string& state) {
    oci::Process process = *spec.process;
    process.args = hook_.args.empty() ? std::vector<std::string>{hook_.path} : hook_.args;
    process.env = hook_.env;
    process.terminal = false;
    absl::StatusOr<ProcessSpec> made = MakeProcessSpec(process, spec.linux);
    if (!made.ok()) return made.status();
    made->program = hook_.path;
    made->container = false;  // no HOME of its own
    absl::StatusOr<UniqueFd> file = ProcessSpecFile(*made);
    if (!file.ok()) return file.status();
    absl::StatusOr<UniqueFd> input = MemoryFileOf(std::as_bytes(std::span(state)));
    if (!input.ok()) return input.status();
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return Failed("pipe");
    error_.reset(pipe[0]);
    UniqueFd write_end(pipe[1]);
    ::fcntl(error_.get(), F_SETFL, O_NONBLOCK);
    UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!null) return Failed("/dev/null");
    constexpr int kThreeStreams = 7;
    return client_
        .Ask(ControlMessage::Make(ControlMessage::kExec, kThreeStreams),
             {file->get(), input->get(), null.get(), write_end.get()})
        .status();
  }

  absl::Status OnMessage() {
    absl::StatusOr<ControlMessage> message = client_.Receive();
    if (!message.ok()) return message.status();
    if (message->kind == ControlMessage::kExited) {
      wait_status_ = message->value;
      ended_ = true;
    }
    return absl::OkStatus();
  }

  void CollectErrors() {
    char buffer[4096];
    ssize_t count = 0;
    // Bounded: a child of the hook may write on without end.
    for (int i = 0; i < 64 && (count = ::read(error_.get(), buffer, sizeof(buffer))) > 0; ++i) {
      error_text_.append(buffer, static_cast<size_t>(count));
      if (error_text_.size() > kMostErrorText) error_text_.erase(0, error_text_.size() - kMostErrorText);
    }
    if (count == 0) error_.reset();
  }

  absl::Status Outcome() const {
    if (WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0) return absl::OkStatus();
    std::string why = WIFEXITED(wait_status_) ? fmt::format("exit status {}", WEXITSTATUS(wait_status_))
                                              : fmt::format("killed by signal {}", WTERMSIG(wait_status_));
    absl::string_view text = absl::StripSuffix(error_text_, "\n");
    if (!text.empty()) why += ", stderr: " + absl::StrReplaceAll(text, {{"\n", "; "}});
    return absl::FailedPreconditionError(why);
  }

  const oci::Hook& hook_;
  ControlClient client_;
  UniqueFd error_;
  std::string error_text_;
  int wait_status_ = 0;
  bool ended_ = false;
};

}  // namespace

absl::Status RunStartContainerHooks(const std::string& directory, const ContainerState& state,
                                    const oci::Spec& spec) {
  if (!spec.process) return absl::InvalidArgumentError("config.json: process: is missing");
  ContainerState inside = state;
  inside.monitor.pid = 1;  // in the hook's PID namespace
  std::string text = HookState(inside, ContainerStatus::kCreated);
  for (size_t i = 0; i < state.hooks.start_container.size(); ++i) {
    const oci::Hook& hook = state.hooks.start_container[i];
    absl::StatusOr<ControlClient> client = ControlClient::Connect(directory);
    absl::Status status = client.status();
    if (status.ok()) status = GuestHook(hook, *std::move(client)).Run(spec, text);
    if (!status.ok())
      return absl::Status(status.code(), fmt::format("startContainer hook #{} {}: {}", i, hook.path,
                                                     std::string(status.message())));
  }
  return absl::OkStatus();
}

}  // namespace runsc
