#include "sentry/boot/init_process.h"

#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "sentry/boot/channel.h"
#include "sentry/fsimpl/devpts.h"
#include "sentry/fsimpl/host_file.h"
#include "sentry/vfs/path_walk.h"

namespace runsc {
namespace {

constexpr int kCannotExecute = 126;
constexpr int kNoSuchCommand = 127;

RefPtr<const Credentials> MakeCredentials(const BootOptions& options) {
  auto creds = MakeRef<Credentials>();
  creds->ruid = creds->euid = creds->suid = creds->fsuid = options.uid;
  creds->rgid = creds->egid = creds->sgid = creds->fsgid = options.gid;
  creds->groups = options.groups;
  CapabilitySet capabilities(options.capabilities & CapabilitySet::All().bits());
  creds->permitted = creds->effective = capabilities;
  creds->bounding = options.uid == 0 ? capabilities : CapabilitySet::All();
  return creds;
}

std::string_view SearchPath(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  }
  return "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
}

// The program's path as execvp(3) finds it; the errno that says why not.
Result<std::string> FindCommand(const PathContext& context, const std::string& command,
                                std::string_view search) {
  if (command.find('/') != std::string::npos) return command;
  int error = ENOENT;
  while (true) {
    size_t colon = search.find(':');
    std::string_view folder = search.substr(0, colon);
    std::string candidate = folder.empty() ? command : fmt::format("{}/{}", folder, command);
    auto found = Walk(context, context.cwd, candidate);
    if (found.ok()) {
      if (found->inode()->IsRegular() && VfsAccess(context, *found, X_OK).ok()) return candidate;
      error = EACCES;
    } else if (found.is(EACCES)) {
      error = EACCES;
    }
    if (colon == std::string_view::npos) return Errno(error);
    search.remove_prefix(colon + 1);
  }
}

StartedInit Failed(int exit_code, std::string wrong) {
  return {nullptr, nullptr, nullptr, exit_code, std::move(wrong)};
}

// The host's terminal is one of the guest's in /dev/pts, by the host's number for it if that is one of
// its pseudo-terminals: what the environment says of it (GPG_TTY, SSH_TTY) stays true.
VfsPath PlaceHostTerminal(const PathContext& context, const RefPtr<HostTerminal>& terminal, uint32_t uid) {
  constexpr unsigned kFirstMajor = 136, kLastMajor = 143;
  unsigned device = major(terminal->host_device());
  bool is_pseudo = device >= kFirstMajor && device <= kLastMajor;
  int wanted = is_pseudo ? static_cast<int>(minor(terminal->host_device())) : 0;
  auto directory = Walk(context, context.root, "/dev/pts");
  if (!directory.ok()) return {};
  auto placed = PlaceTerminal(*directory, terminal, wanted, uid);
  if (!placed.ok()) return {};
  terminal->SetDevice(placed->device);
  return placed->path;
}

}  // namespace

StartedInit StartInitProcess(Kernel& kernel, const RefPtr<MountNamespace>& mounts, BootOptions& options) {
  PathContext context;
  context.mounts = mounts;
  context.root = mounts->Root();
  context.cwd = context.root;
  context.creds = Credentials::Root();

  std::vector<UniqueFd> stdio;
  for (int fd : options.stdio) stdio.emplace_back(fd);
  ImportOptions import;
  import.job = MakeRef<HostJob>([channel = options.channel.get()](bool to_change) {
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kAskForeground, to_change ? 1 : 0));
});
import.place_terminal = [&](const RefPtr<HostTerminal>& terminal) {
  return PlaceHostTerminal(context, terminal, options.uid);
};  // namespace runsc
auto imported = ImportHostFiles(std::move(stdio), import);
if (!imported.ok()) return Failed(125, fmt::format("the standard streams: {}", imported.error().message()));
auto fd_table = MakeRef<FDTable>();
for (size_t fd = 0; fd < imported->files.size(); ++fd) {
  if (!imported->files[fd]) continue;
  auto added = fd_table->Add(imported->files[fd], false, static_cast<int>(fd), 1024);
  if (!added.ok()) return Failed(125, "the standard streams cannot be installed");
}

context.creds = MakeCredentials(options);
auto directory = Walk(context, context.root, options.working_directory, {.must_be_directory = true});
if (directory.ok()) {
  if (auto enter = VfsAccess(context, *directory, X_OK); !enter.ok()) directory = enter.error();
}
if (!directory.ok())
  return Failed(125, fmt::format("the working directory {}: {}", options.working_directory,
                                 directory.error().message()));
context.cwd = *directory;

InitOptions init;
init.fs = MakeRef<FsContext>(mounts, context.root, context.cwd, options.umask);
init.fd_table = std::move(fd_table);
init.creds = context.creds;
init.argv = options.arguments;
init.envp = options.environment;
init.terminal = imported->terminal;
init.limits = options.limits;
init.ignored_signals = SignalSet(options.ignored_signals);
init.blocked_signals = SignalSet(options.blocked_signals);
init.is_ordinary = options.ordinary_init;

const std::string command = options.arguments[0];
auto program = FindCommand(context, command, SearchPath(options.environment));
Result<RefPtr<ThreadGroup>> started =
    program.ok() ? Result<RefPtr<ThreadGroup>>(Errno(ENOEXEC)) : program.error();
if (program.ok()) {
  init.filename = *program;
  started = kernel.StartInit(init);
  if (started.is(ENOEXEC)) {
    // A script without "#!": the shell reads it, as execvp(3) does it.
    init.filename = "/bin/sh";
    init.argv.assign({"/bin/sh", *program});
    init.argv.insert(init.argv.end(), options.arguments.begin() + 1, options.arguments.end());
    auto by_shell = kernel.StartInit(init);
    if (by_shell.ok()) started = std::move(by_shell);
  }
}
if (started.ok()) return {std::move(*started), imported->terminal, import.job, 0, ""};
if (program.is(ENOENT)) return Failed(kNoSuchCommand, fmt::format("{}: command not found", command));
int code = started.is(ENOENT) ? kNoSuchCommand : kCannotExecute;
return Failed(code, fmt::format("{}: {}", command, started.error().message()));
}

}  // namespace runsc
