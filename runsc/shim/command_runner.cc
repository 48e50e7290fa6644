#include "runsc/shim/command_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"

namespace runsc::shim {
namespace {

constexpr int kLogFd = 3, kInputFd = 4;  // in the command

struct Started {
  pid_t pid = -1;
  UniqueFd log;  // a file in memory: entries in JSON, a line each
};

UniqueFd MemoryFile(const char* name, const std::string& content) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC));
  for (size_t done = 0; file && done < content.size();) {
    ssize_t size = ::write(file.get(), content.data() + done, content.size() - done);
    if (size <= 0) return UniqueFd();
    done += static_cast<size_t>(size);
  }
  return file;
}

// In the child: puts `files` where they are to be, by copies above all of these places, so that none is
// overwritten before it was moved.
void MoveFiles(std::array<int, 5> files) {
  for (int& fd : files) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, files.size());
  for (int i = 0; i < static_cast<int>(files.size()); ++i) ::dup2(files[i], i);
}

absl::StatusOr<Started> Start(const RunscCommand& command) {
  UniqueFd log = MemoryFile("log", ""), input = MemoryFile("input", command.input);
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!log || !input || !null)
    return absl::InternalError(fmt::format("cannot run runsc: {}", ::strerror(errno)));
  std::vector<std::string> words = {"runsc", fmt::format("--log=/proc/self/fd/{}", kLogFd),
                                    "--log-format=json"};
  words.insert(words.end(), command.global_flags.begin(), command.global_flags.end());
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 5> files{};
  for (size_t i = 0; i < 3; ++i) files[i] = command.streams[i] >= 0 ? command.streams[i] : null.get();
  files[kLogFd] = log.get();
  files[kInputFd] = input.get();
  pid_t pid = ::fork();
  if (pid < 0) return absl::InternalError(fmt::format("cannot run runsc: fork: {}", ::strerror(errno)));
  if (pid == 0) {
    MoveFiles(files);
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execv(command.program.c_str(), argv.data());
    dprintf(kLogFd, "{\"level\":\"error\",\"msg\":\"cannot run runsc: %s\"}\n", ::strerror(errno));
    ::_exit(127);
  }
  return Started{pid, std::move(log)};
}

// What the last entry of level "error" says.
std::string LastError(int log) {
  std::string text(65536, '\0');
  ssize_t size = ::pread(log, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  std::string last;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    absl::StatusOr<JsonDocument> document = JsonDocument::Parse({line.data(), line.size()}, "log");
    if (!document.ok()) continue;
    std::string level, message;
    JsonValue entry = document->root();
    ReadMember(entry, "level", &level);
    ReadMember(entry, "msg", &message);
    if (level == "error" && document->status().ok()) last = message;
  }
  return last;
}

absl::Status Outcome(const RunscCommand& command, int status, int log) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  std::string why = LastError(log);
  if (why.empty() && WIFSIGNALED(status)) why = fmt::format("killed by signal {}", WTERMSIG(status));
  if (why.empty()) why = fmt::format("exit code {}", WEXITSTATUS(status));
  return absl::UnknownError(fmt::format("OCI runtime {} failed: {}", command.arguments[0], why));
}

}  // namespace

void CommandRunner::Run(const RunscCommand& command, Done done) {
  absl::StatusOr<Started> started = Start(command);
  if (!started.ok()) {
    loop_.Post([done = std::move(done), status = started.status()] { done(status); });
    return;
  }
  reaper_.BeginCommand();
  auto log = std::make_shared<UniqueFd>(std::move(started->log));
  reaper_.Expect(started->pid, [this, command, done = std::move(done), log](int status) {
    // Later: what it left behind may have ended at the same time, and be about to be reaped.
    loop_.Post([this, done, outcome = Outcome(command, status, log->get())] {
      done(outcome);
      reaper_.EndCommand();
    });
  });
}

absl::Status RunAndWait(const RunscCommand& command) {
  absl::StatusOr<Started> started = Start(command);
  if (!started.ok()) return started.status();
  int status = 0;
  while (::waitpid(started->pid, &status, 0) < 0 && errno == EINTR) {
  }
  return Outcome(command, status, started->log.get());
}

}  // namespace runsc::shim
