// runsc exec.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/str_split.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/attach.h"
#include "runsc/lifecycle/creation.h"
#include "runsc/lifecycle/exec.h"
#include "runsc/lifecycle/label.h"

namespace runsc {
namespace {

constexpr int kExecFailed = 255;  // runc's

struct ExecFlags {
  ExecOptions options;
  std::string process_file, cwd, user, pid_file;
  std::vector<std::string> environment, capabilities;
  std::vector<uint32_t> groups;
  std::string apparmor, label, cgroup;
  bool tty = false, detach = false, no_new_privileges = false, ignore_paused = false;
  bool has_preserve_fds = false;

  FlagSet Set() {
    FlagSet flags;
    flags.String("console-socket", "SOCKET", "a unix socket that gets the master of the process's terminal",
                 &options.console_socket);
    flags.String("cwd", "DIR", "its working directory (default: the container's)", &cwd);
    flags.Repeated("env, e", "NAME=VALUE", "sets a variable; may be repeated", &environment);
    flags.Bool("tty, t", "give it a terminal", &tty);
    flags.String("user, u", "UID[:GID]", "its user and group", &user);
    flags.Custom("additional-gids, g", "GID", "a further group; may be repeated",
                 [this](const std::string& text) -> std::string {
                   uint32_t id;
                   if (!ParseId(text, &id)) return fmt::format("'{}' is no group id", text);
                   groups.push_back(id);
                   return "";
                 });
    flags.String("process, p", "FILE", "the process as config.json has it, instead of a command",
                 &process_file);
    flags.Bool("detach, d", "do not wait for its end", &detach);
    flags.String("pid-file", "FILE", "write the number of the process that stands for it to FILE", &pid_file);
    flags.Bool("no-new-privs", "it gets no more privileges by execve(2)", &no_new_privileges);
    flags.Repeated("cap, c", "CAP", "a capability on top of the container's; may be repeated", &capabilities);
    flags.Unsigned("preserve-fds", "N", "give the descriptors 3 to 3+N-1 to the process too",
                   &options.preserve_fds, &has_preserve_fds);
    flags.String("process-label", "LABEL", "its SELinux label, which has to be the container's", &label);
    flags.String("apparmor", "PROFILE", "its AppArmor profile, which has to be the container's", &apparmor);
    flags.String("cgroup", "PATH", "accepted for '/' only: the process is in its container's cgroup",
                 &cgroup);
    flags.Bool("ignore-paused", "also in a paused container, where it waits for `resume`", &ignore_paused);
    return flags;
  }

  // What is wrong, or "". A file says all there is to say of the process: the flags about it are for
  // commands.
  std::string Apply(oci::Process& process, Arguments arguments) {
    if (!cgroup.empty() && cgroup != "/" && !cgroup.ends_with(":/"))
      return fmt::format("--cgroup: '{}': no such file or directory: there are no cgroups in a container's",
                         cgroup);
    if (!process_file.empty()) return "";
    process.args = std::move(arguments);
    if (!label.empty()) process.selinux_label = label;
    if (!apparmor.empty()) process.apparmor_profile = apparmor;
    process.terminal = tty;
    process.console_size.reset();
    if (!cwd.empty() && cwd[0] != '/') return fmt::format("Cwd must be an absolute path, not '{}'", cwd);
    if (!cwd.empty()) process.cwd = cwd;
    for (const std::string& variable : environment) {
      if (variable.find('=') == std::string::npos || variable[0] == '=')
        return fmt::format("invalid environment variable: \"{}\"", variable);
    }
    process.env.insert(process.env.end(), environment.begin(), environment.end());
    if (no_new_privileges) process.no_new_privileges = true;
    for (const std::string& name : capabilities) {
      std::optional<int> number = oci::CapabilityNumber(name);
      if (!process.capabilities) process.capabilities.emplace();
      if (!number) {
        process.capabilities->unknown.push_back(name);
        continue;
      }
      uint64_t bit = uint64_t{1} << *number;
      process.capabilities->bounding |= bit;
      process.capabilities->effective |= bit;
      process.capabilities->permitted |= bit;
    }
    process.user.additional_gids.insert(process.user.additional_gids.end(), groups.begin(), groups.end());
    if (!user.empty() && !ParseUser(process))
      return fmt::format("--user: '{}' is not of the form UID[:GID], with numbers", user);
    return "";
  }

 private:
  static bool ParseId(const std::string& text, uint32_t* id) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *id);
    return error == std::errc() && end == text.data() + text.size();
  }

  bool ParseUser(oci::Process& process) const {
    std::vector<std::string> parts = absl::StrSplit(user, ':');
    if (parts.size() > 2 || !ParseId(parts[0], &process.user.uid)) return false;
    return parts.size() == 1 || ParseId(parts[1], &process.user.gid);
  }
};

int ExecFailed(const std::string& why) {
  (void)Fail(fmt::format("exec failed: {}", why));
  return kExecFailed;
}

SecurityLabel LabelOf(const oci::Process& process) {
  return {process.apparmor_profile, process.selinux_label};
}

// What the container's config.json says of it, with the process that is asked for; and the label that
// config.json asks for.
absl::StatusOr<oci::Spec> BaseSpec(const ExecFlags& flags, const ContainerState& state,
                                   SecurityLabel* label) {
  absl::StatusOr<oci::Spec> spec = oci::LoadSpec(Globals().root + "/" + state.id);
  if (!spec.ok()) return spec.status();
  if (spec->process) *label = LabelOf(*spec->process);
  if (!flags.process_file.empty()) {
    absl::StatusOr<oci::Process> process = oci::LoadProcess(flags.process_file);
    if (!process.ok()) return process.status();
    // Capabilities that the file does not speak of are the container's.
    if (!process->capabilities && spec->process) process->capabilities = spec->process->capabilities;
    spec->process = *std::move(process);
  }
  if (!spec->process) return absl::InvalidArgumentError("config.json: process: is missing");
  return spec;
}

}  // namespace

int RunExec(Arguments arguments) {
  ExecFlags flags;
  FlagSet set = flags.Set();
  OciUsage usage{
      "exec",
      "runsc exec runs a further process in a container. The exit code is that process's, or 255 if it\n"
      "cannot be started.",
      1};
  if (std::optional<int> done = ParseOciArguments(usage, set, arguments)) return *done;
  std::string id = arguments[0];
  arguments.erase(arguments.begin());
  if (!arguments.empty() && arguments[0] == "--") arguments.erase(arguments.begin());
  if (std::string wrong = CheckPreservedFds(flags.options.preserve_fds); !wrong.empty())
    return ExecFailed(wrong);
  if (!flags.detach) HoldSignals();
  absl::StatusOr<ContainerState> state = Containers().Load(id);
  if (!state.ok()) return ExecFailed(std::string(state.status().message()));
  ContainerStatus status = state->CurrentStatus();
  if (status == ContainerStatus::kStopped || status == ContainerStatus::kCreating)
    return ExecFailed("cannot exec in a stopped container");
  if (status == ContainerStatus::kPaused && !flags.ignore_paused)
    return ExecFailed("cannot exec in a paused container (use --ignore-paused to override)");
  if (flags.process_file.empty() && arguments.empty())
    return ExecFailed("process args cannot be empty: name a command, or a file with --process");
  SecurityLabel containers_label;
  absl::StatusOr<oci::Spec> spec = BaseSpec(flags, *state, &containers_label);
  if (!spec.ok()) return ExecFailed(std::string(spec.status().message()));
  oci::Process* process = &*spec->process;
  if (std::string wrong = flags.Apply(*process, std::move(arguments)); !wrong.empty())
    return ExecFailed(wrong);
  absl::StatusOr<std::string> label = CompareLabels(LabelOf(*process), containers_label);
  if (!label.ok()) return ExecFailed(std::string(label.status().message()));
  if (!label->empty()) Warn(*label);
  if (std::string unknown = oci::UnknownCapabilities(*process); !unknown.empty()) Warn(unknown);
  if (process->terminal && flags.detach && flags.options.console_socket.empty())
    return ExecFailed("cannot allocate tty if runsc will detach without setting console socket");
  if (!flags.options.console_socket.empty() && !(process->terminal && flags.detach))
    return ExecFailed("cannot use console socket if runsc will not detach or allocate tty");

  flags.options.process = std::move(*process);
  flags.options.container = std::move(spec->linux);
  flags.options.directory = Globals().root + "/" + id;
  absl::StatusOr<ExecutedProcess> executed = ExecInContainer(*state, std::move(flags.options));
  if (!executed.ok())
    return ExecFailed(
        fmt::format("unable to start container process: {}", std::string(executed.status().message())));
  if (!flags.pid_file.empty()) {
    if (absl::Status written = WritePidFile(flags.pid_file, executed->keeper); !written.ok()) {
      ::kill(executed->keeper, SIGKILL);
      ::waitpid(executed->keeper, nullptr, 0);
      return ExecFailed(std::string(written.message()));
    }
  }
  if (flags.detach) return 0;
  return Attach(executed->keeper, std::move(executed->terminal));
}

}  // namespace runsc
