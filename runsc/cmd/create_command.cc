// runsc create, run and start.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/attach.h"
#include "runsc/lifecycle/creation.h"
#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec.h"

namespace runsc {
namespace {

struct CreateFlags {
  CreateOptions options;
  bool no_pivot = false, no_new_keyring = false, no_subreaper = false, keep = false, detach = false;
  bool has_preserve_fds = false;

  FlagSet Set() {
    FlagSet flags;
    flags.String("bundle, b", "DIR", "the bundle, in which config.json is (default: this directory)",
                 &options.bundle);
    flags.String("console-socket", "SOCKET", "a unix socket that gets the master of the process's terminal",
                 &options.console_socket);
    flags.String("pid-file", "FILE", "write the number of the process that stands for the container to FILE",
                 &options.pid_file);
    flags.Unsigned("preserve-fds", "N", "give the descriptors 3 to 3+N-1 to the process too",
                   &options.preserve_fds, &has_preserve_fds);
    flags.Bool("overlay", "keep what is written to the root filesystem in the sandbox's memory",
               &options.sandbox.overlay);
    flags.Bool("no-pivot", "accepted; nothing of the host's root is reachable in any case", &no_pivot);
    flags.Bool("no-new-keyring", "accepted; there are no keyrings in a container", &no_new_keyring);
    return flags;
  }

  // What the global flags say. What is wrong, or "".
  std::string Finish(const std::string& id) {
    options.id = id;
    if (options.bundle.empty()) options.bundle = ".";
    options.sandbox.platform = Globals().platform;
    options.sandbox.network = Globals().network;
    options.sandbox.own_for_hosts = Globals().host_namespaces == "own";
    options.systemd_cgroup = Globals().systemd_cgroup;
    options.rootless = IsRootless();
    options.debug = Globals().debug;
    options.strace = Globals().strace;
    options.warn = [](const std::string& text) { Warn(text); };
    if (std::string wrong = CheckPreservedFds(options.preserve_fds); !wrong.empty()) return wrong;
    if (Globals().debug_log.empty()) return "";
    options.log_fd = ::open(Globals().debug_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (options.log_fd < 0) return fmt::format("--debug-log: {}: {}", Globals().debug_log, ErrorText(errno));
    return "";
  }
};

bool WantsTerminal(const std::string& bundle) {
  absl::StatusOr<oci::Spec> spec = oci::LoadSpec(bundle);
  return spec.ok() && spec->process && spec->process->terminal;
}

int RunFailed(const char* command, const absl::Status& status) {
  return Fail(fmt::format("runsc {} failed: {}", command,
                          std::string_view(status.message().data(), status.message().size())));
}

}  // namespace

int RunCreate(Arguments arguments) {
  CreateFlags flags;
  FlagSet set = flags.Set();
  OciUsage usage{
      "create",
      "runsc create makes a container from a bundle. Its process is there, but runs nothing until\n"
      "`runsc start`; it has this command's stdin, stdout and stderr, or a terminal.",
      1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, set, arguments)) return *done;
  if (std::string wrong = flags.Finish(arguments[0]); !wrong.empty())
    return Fail(fmt::format("runsc create failed: {}", wrong));
  absl::StatusOr<CreatedContainer> created = CreateContainer(Containers(), flags.options);
  return created.ok() ? 0 : RunFailed("create", created.status());
}

int RunStart(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"start", "runsc start lets the process of a created container go.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerDirectory> directory = Containers().Open(arguments[0]);
  if (!directory.ok()) return Fail(directory.status());
  absl::StatusOr<ContainerState> state = directory->Load();
  if (!state.ok()) return Fail(state.status());
  absl::Status status = StartContainer(*directory, *state);
  return status.ok() ? 0 : Fail(status);
}

int RunRun(Arguments arguments) {
  CreateFlags flags;
  FlagSet set = flags.Set();
  set.Bool("detach, d", "do not wait for the container's end", &flags.detach);
  set.Bool("no-subreaper", "accepted; runsc is none", &flags.no_subreaper);
  set.Bool("keep", "do not delete the container at its end", &flags.keep);
  OciUsage usage{
      "run",
      "runsc run makes a container from a bundle and starts it, waits for its end with the signals and\n"
      "the terminal of the caller passed on, and deletes it. The exit code is its process's.",
      1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, set, arguments)) return *done;
  if (std::string wrong = flags.Finish(arguments[0]); !wrong.empty())
    return Fail(fmt::format("runsc run failed: {}", wrong));
  CreateOptions& options = flags.options;
  if (!flags.detach) HoldSignals();
  options.keeps_terminal = !flags.detach && options.console_socket.empty() && WantsTerminal(options.bundle);
  StateDirectory containers = Containers();
  absl::StatusOr<CreatedContainer> created = CreateContainer(containers, options);
  if (!created.ok()) return RunFailed("run", created.status());
  absl::Status started = StartContainer(created->directory, created->state);
  if (!started.ok()) {
    (void)DestroyContainer(created->directory, created->state, options.warn);
    return RunFailed("run", started);
  }
  if (flags.detach) return 0;
  created->directory.Unlock();
  int code = Attach(created->state.monitor.pid, std::move(created->terminal));
  if (flags.keep) return code;
  absl::StatusOr<ContainerDirectory> directory = containers.Open(options.id);
  if (!directory.ok()) return code;  // somebody else has deleted it
  absl::StatusOr<ContainerState> state = directory->Load();
  if (!state.ok() || !(state->monitor == created->state.monitor)) return code;
  if (absl::Status status = DestroyContainer(*directory, *state, options.warn); !status.ok())
    Warn(std::string(status.message()));
  return code;
}

}  // namespace runsc
