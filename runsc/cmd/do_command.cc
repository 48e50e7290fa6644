// runsc do: a sandbox around one command on this machine.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_split.h"
#include "runsc/cmd/command.h"
#include "runsc/cmd/flags.h"
#include "runsc/cmd/global_flags.h"
#include "runsc/sandbox/network.h"
#include "runsc/sandbox/sandbox.h"

extern "C" char** environ;

namespace runsc {
namespace {

constexpr uint64_t kAllCapabilities = (uint64_t{1} << 41) - 1;

struct DoFlags {
  std::string rootfs = "/";
  std::vector<std::string> volumes;
  std::string cwd;
  std::vector<std::string> environment;
  uint32_t uid = 0, gid = 0;
  bool has_uid = false, has_gid = false;
  std::string network = Globals().network;
  std::string platform = Globals().platform.empty() ? DefaultPlatform() : Globals().platform;
  std::string debug_log = Globals().debug_log;
  bool debug = Globals().debug;
  bool strace = Globals().strace;
  uint64_t memory = 0;
  std::string hostname;
  bool help = false;

  FlagSet Set() {
    FlagSet flags;
    flags.String("rootfs", "DIR",
                 "the sandbox's root filesystem. It is never changed: writes stay in\n"
                 "the sandbox's memory and go with it (default: /)",
                 &rootfs);
    flags.String("root-dir", "DIR", "the same as --rootfs", &rootfs);
    flags.Repeated("volume", "SRC:DST[:ro]",
                   "the host's SRC at DST, where writes do reach the host; may be repeated", &volumes);
    flags.String("cwd", "DIR", "working directory in the sandbox (default: this one; / with --rootfs)", &cwd);
    flags.Repeated("env", "NAME[=VALUE]",
                   "sets a variable on top of the caller's environment, or with no\n"
                   "value removes it; may be repeated",
                   &environment);
    flags.Unsigned("uid", "UID", "user id of the command (default: the caller's)", &uid, &has_uid);
    flags.Unsigned("gid", "GID", "group id of the command (default: the caller's)", &gid, &has_gid);
    flags.String("hostname", "NAME", "host name in the sandbox (default: the host's)", &hostname);
    flags.Choice("network", {"none", "host", "off"},
                 "none: a loopback interface only; host: the host's, passed through; off: no\n"
                 "internet sockets (default: none)",
                 &network);
    flags.Custom("memory", "SIZE", "most memory the sandbox may use: 512m, 2g (default: no limit)",
                 [this](const std::string& text) -> std::string {
                   if (!ParseSize(text, &memory) || memory < (1 << 20))
                     return fmt::format("'{}' is no size of at least 1m", text);
                   return "";
                 });
    flags.Choice(
        "platform", {"ptrace", "systrap"},
        "how guest code is run (default: systrap, or ptrace where the CPU lacks what\nsystrap needs)",
        &platform);
    flags.Bool("strace", "log every system call of the command, to --debug-log or else stderr", &strace);
    flags.String("debug-log", "FILE", "append runsc's own log to FILE", &debug_log);
    flags.Bool("debug", "write more into --debug-log", &debug);
    flags.Bool("help", "print this text", &help);
    return flags;
  }
};

void PrintHelp(const FlagSet& flags) {
  fmt::print(
      "runsc do runs a command in a sandbox: the machine's files, read-only beneath an in-memory\n"
      "overlay; the caller's directory, user, environment, stdin, stdout and stderr.\n\n"
      "Usage: runsc do [flags] [--] COMMAND [ARGUMENT...]\n\nFlags:\n{}\n"
      "Exit code: the command's; 128+n if signal n ended it; 127 if there is no such command, 126 if\n"
      "it cannot be executed, 125 if runsc itself failed.\n\n"
      "Signals that runsc gets go to the command, which is process 1 of the sandbox but has no init's\n"
      "privileges. A terminal among stdin, stdout and stderr is the command's own: ^C, ^Z, fg, bg and the\n"
      "window's size work as without runsc, and its mode is set back at the end.\n",
      flags.Help());
}

// SRC:DST[:ro]; "" or what is wrong.
std::string AddVolume(const std::string& spec, SandboxOptions& options) {
  std::vector<std::string> parts = absl::StrSplit(spec, ':');
  bool read_only = parts.size() == 3 && parts[2] == "ro";
  bool well_formed = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw"));
  if (!well_formed || parts[0].empty() || parts[1].empty() || parts[1][0] != '/')
    return fmt::format("--volume: '{}' is not of the form SRC:DST[:ro] with an absolute DST", spec);
  char* real = ::realpath(parts[0].c_str(), nullptr);
  if (real == nullptr) return fmt::format("--volume: {}: {}", parts[0], ::strerror(errno));
  options.roots.push_back({real, read_only});
  ::free(real);
  options.boot.volumes.push_back({.gofer_root = static_cast<uint32_t>(options.roots.size() - 1),
                                  .destination = parts[1],
                                  .read_only = read_only});
  return "";
}

std::string SetRootfs(const std::string& rootfs, SandboxOptions& options) {
  char* real = ::realpath(rootfs.c_str(), nullptr);
  if (real == nullptr) return fmt::format("--rootfs: {}: {}", rootfs, ::strerror(errno));
  struct stat status {};
  std::string path = real;
  ::free(real);
  if (::stat(path.c_str(), &status) != 0) return fmt::format("--rootfs: {}: {}", path, ::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return fmt::format("--rootfs: {}: {}", path, ::strerror(ENOTDIR));
  if (::access(path.c_str(), R_OK | X_OK) != 0)
    return fmt::format("--rootfs: {}: {}", path, ::strerror(errno));
  options.roots.push_back({path, true});
  return "";
}

void SetEnvironment(const DoFlags& flags, std::vector<std::string>& environment) {
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  for (const std::string& setting : flags.environment) {
    std::string name = setting.substr(0, setting.find('='));
    std::erase_if(environment, [&](const std::string& variable) { return variable.starts_with(name + "="); });
    if (setting.size() > name.size()) environment.push_back(setting);
  }
}

void SetUser(const DoFlags& flags, BootOptions& boot) {
  boot.process.uid = flags.has_uid ? flags.uid : ::geteuid();
  boot.process.gid = flags.has_gid ? flags.gid : ::getegid();
  if (!flags.has_uid && !flags.has_gid) {
    std::vector<gid_t> groups(NGROUPS_MAX);
    int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    if (count > 0) boot.process.groups.assign(groups.begin(), groups.begin() + count);
    std::sort(boot.process.groups.begin(), boot.process.groups.end());
  }
  ProcessSpec& process = boot.process;
  process.bounding = kAllCapabilities;
  process.permitted = process.effective = process.uid == 0 ? kAllCapabilities : 0;
}

// The caller's umask and limits of resources go on to the command.
void SetLimits(BootOptions& boot) {
  boot.process.umask = ::umask(022);
  ::umask(boot.process.umask);
  for (int resource = 0; resource < ResourceLimits::kCount; ++resource) {
    rlimit limit{};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0)
      boot.process.limits[static_cast<size_t>(resource)] = {limit.rlim_cur, limit.rlim_max};
  }
}

std::string SetWorkingDirectory(const DoFlags& flags, BootOptions& boot) {
  if (!flags.cwd.empty()) {
    if (flags.cwd[0] != '/') return fmt::format("--cwd: '{}' is not an absolute path", flags.cwd);
    boot.process.working_directory = flags.cwd;
  } else if (flags.rootfs == "/") {
    char* here = ::getcwd(nullptr, 0);
    // A directory that is gone, or unreachable, does not exist in the sandbox either.
    boot.process.working_directory = here != nullptr && here[0] == '/' ? here : "/";
    ::free(here);
  }
  return "";
}

std::string SetLogging(const DoFlags& flags, BootOptions& boot) {
  boot.strace = flags.strace;
  boot.log_level = flags.debug ? LogLevel::kDebug : LogLevel::kInfo;
  if (!flags.debug_log.empty()) {
    boot.log_fd = ::open(flags.debug_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (boot.log_fd < 0) return fmt::format("--debug-log: {}: {}", flags.debug_log, ::strerror(errno));
  } else if (flags.strace || flags.debug) {
    boot.log_fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  }
  return "";
}

}  // namespace

int RunDo(Arguments arguments) {
  DoFlags flags;
  FlagSet set = flags.Set();
  if (std::string wrong = set.Parse(arguments); !wrong.empty()) return UsageError("do", wrong);
  if (flags.help) {
    PrintHelp(set);
    return 0;
  }
  if (arguments.empty() || arguments[0].empty()) return UsageError("do", "no command to run");
  if (flags.hostname.size() > HOST_NAME_MAX)
    return UsageError("do", fmt::format("--hostname: longer than {} characters", HOST_NAME_MAX));
  for (const std::string& setting : flags.environment) {
    if (setting.empty() || setting[0] == '=')
      return UsageError("do", fmt::format("--env: '{}' names no variable", setting));
  }

  SandboxOptions options;
  BootOptions& boot = options.boot;
  std::string wrong = SetRootfs(flags.rootfs, options);
  for (size_t i = 0; wrong.empty() && i < flags.volumes.size(); ++i)
    wrong = AddVolume(flags.volumes[i], options);
  if (wrong.empty()) wrong = SetWorkingDirectory(flags, boot);
  if (wrong.empty()) wrong = SetLogging(flags, boot);
  if (!wrong.empty()) {
    fmt::print(stderr, "runsc do: {}\n", wrong);
    return kExitFailed;
  }
  boot.platform = flags.platform;
  ChooseNetwork(flags.network, "none", boot);
  boot.memory_limit = flags.memory;
  boot.process.arguments = std::move(arguments);
  SetEnvironment(flags, boot.process.environment);
  SetUser(flags, boot);
  boot.hostname = flags.hostname;
  if (boot.hostname.empty()) {
    char name[HOST_NAME_MAX + 1] = "runsc";
    (void)::gethostname(name, sizeof(name) - 1);
    boot.hostname = name;
  }
  SetLimits(boot);
  boot.ordinary_init = true;
  boot.process.shell_fallback = true;
  for (int fd = 0; fd < 3; ++fd) boot.stdio[fd] = ::fcntl(fd, F_GETFD) >= 0 ? fd : -1;
  return RunSandbox(std::move(options));
}

}  // namespace runsc
