#include "runsc/cmd/global_flags.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "platform/base/unique_fd.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

// Not the machine's first one, in which each id is itself.
bool InUserNamespace() {
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0, outside = 0, count = 0;
  return map >> inside >> outside >> count && !(inside == 0 && outside == 0 && count == UINT32_MAX);
}

std::string DefaultRoot() {
  // The root of an ordinary user's namespace has his directories, unless it calls itself root (podman does
  // not).
  const char* user = ::getenv("USER");
  const bool is_users_root = InUserNamespace() && (user == nullptr || std::string_view(user) != "root");
  const char* runtime_directory = ::getenv("XDG_RUNTIME_DIR");
  if (::geteuid() == 0 && (!is_users_root || runtime_directory == nullptr)) return "/run/runsc";
  if (runtime_directory != nullptr && runtime_directory[0] == '/')
    return std::string(runtime_directory) + "/runsc";
  return fmt::format("/run/user/{}/runsc", ::geteuid());
}

// RFC 3339, in UTC.
std::string Timestamp() {
  time_t now = ::time(nullptr);
  struct tm parts {};
  ::gmtime_r(&now, &parts);
  char text[32];
  ::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Entry(std::string_view level, std::string_view message) {
  if (Globals().log_format == "json") {
    return fmt::format("{{\"level\":\"{}\",\"msg\":{},\"time\":\"{}\"}}\n", level, Quoted(message),
                       Timestamp());
  }
  return fmt::format("time=\"{}\" level={} msg={}\n", Timestamp(), level, Quoted(message));
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = ::write(fd, text.data(), text.size());
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

// False if the entry could not be written to --log, or there is none.
bool WriteToLog(const std::string& entry) {
  if (Globals().log.empty()) return false;
  UniqueFd fd(::open(Globals().log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644));
  if (!fd) return false;
  WriteAll(fd.get(), entry);
  return true;
}

}  // namespace

FlagSet GlobalFlags::Set() {
  FlagSet flags;
  flags.String("root", "DIR",
               "where the state of containers is kept (default: /run/runsc, or\n"
               "$XDG_RUNTIME_DIR/runsc for another user than root)",
               &root);
  flags.String("log", "FILE", "append errors and warnings to FILE (default: stderr)", &log);
  flags.String("log-format", "text|json", "of --log and of stderr (default: text)", &log_format);
  flags.Bool("debug", "log more", &debug);
  flags.Bool("systemd-cgroup",
             "let systemd make the control groups: cgroupsPath is SLICE:PREFIX:NAME, a "
             "scope\nPREFIX-NAME.scope in SLICE",
             &systemd_cgroup);
  flags.String("criu", "FILE", "accepted; there are no checkpoints", &criu);
  flags.Custom("rootless", "true|false|auto",
               "go without what needs root's rights, such as cgroups (default: auto)",
               [this](const std::string& text) -> std::string {
                 rootless.reset();
                 if (text == "auto") return "";
                 if (text != "true" && text != "false")
                   return fmt::format("'{}' is not one of true|false|auto", text);
                 rootless = text == "true";
                 return "";
               });
  flags.Choice("platform", {"ptrace", "systrap"},
               "how guest code is run (default: systrap, or ptrace where the CPU lacks what\nsystrap needs)",
               &platform);
  flags.Choice("network", {"none", "host", "off"},
               "none: a loopback interface only; host: sockets of the container's network\n"
               "namespace, passed through; off: no internet sockets (default: host for\n"
               "containers, none for do)",
               &network);
  flags.Choice("host-namespaces", {"refuse", "own"},
               "where a container is to share the host's PID or IPC namespace (docker run --pid=host,\n"
               "hostPID of Kubernetes): refuse: it is not made; own: it gets its own, with a warning\n"
               "(default: refuse)",
               &host_namespaces);
  flags.String("debug-log", "FILE", "append the sandboxes' own log to FILE", &debug_log);
  flags.Bool("strace", "log every system call of containers, to --debug-log", &strace);
  flags.Bool("help, h", "print this text", &help);
  flags.Bool("version, v", "print the version", &version);
  return flags;
}

std::string GlobalFlags::Finish() {
  if (root.empty()) root = DefaultRoot();
  if (log_format != "text" && log_format != "json") {
    std::string wrong = std::exchange(log_format, "text");
    return fmt::format("invalid log-format: {}", wrong);
  }
  if (log.empty()) return "";
  UniqueFd fd(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644));
  if (fd) return "";
  return fmt::format("open {}: {}", std::exchange(log, ""), ErrorText(errno));
}

GlobalFlags& Globals() {
  static GlobalFlags flags;
  return flags;
}

bool IsRootless() { return Globals().rootless.value_or(::geteuid() != 0 || InUserNamespace()); }

int Fail(std::string_view message) {
  std::string entry = Entry("error", message);
  if (WriteToLog(entry)) {
    WriteAll(STDERR_FILENO, fmt::format("{}\n", message));
  } else {
    WriteAll(STDERR_FILENO, entry);
  }
  return kExitError;
}

void Warn(std::string_view message) {
  std::string entry = Entry("warning", message);
  if (!WriteToLog(entry)) WriteAll(STDERR_FILENO, entry);
}

void Debug(std::string_view message) {
  if (!Globals().debug) return;
  std::string entry = Entry("debug", message);
  if (!WriteToLog(entry)) WriteAll(STDERR_FILENO, entry);
}

}  // namespace runsc
