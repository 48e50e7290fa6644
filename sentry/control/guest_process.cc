#include "sentry/control/guest_process.h"

#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "sentry/fsimpl/devpts.h"
#include "sentry/fsimpl/host_file.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/wait/deferred.h"

namespace runsc {
namespace {

constexpr int kFailed = 125;
constexpr int kCannotExecute = 126;
constexpr int kNoSuchCommand = 127;

RefPtr<const Credentials> MakeCredentials(const ProcessSpec& spec) {
  auto creds = MakeRef<Credentials>();
  creds->ruid = creds->euid = creds->suid = creds->fsuid = spec.uid;
  creds->rgid = creds->egid = creds->sgid = creds->fsgid = spec.gid;
  creds->groups = spec.groups;
  std::sort(creds->groups.begin(), creds->groups.end());
  auto set = [](uint64_t bits) { return CapabilitySet(bits & CapabilitySet::All().bits()); };
  creds->bounding = set(spec.bounding);
  creds->permitted = set(spec.permitted);
  creds->effective = set(spec.effective) & creds->permitted;
  creds->inheritable = set(spec.inheritable);
  creds->ambient = set(spec.ambient) & creds->permitted & creds->inheritable;
  creds->no_new_privs = spec.no_new_privileges;
  return creds;
}

std::string_view Variable(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& variable : environment) {
    if (variable.size() > name.size() && variable.starts_with(name) && variable[name.size()] == '=')
      return std::string_view(variable).substr(name.size() + 1);
  }
  return {};
}

bool HasVariable(const std::vector<std::string>& environment, std::string_view name) {
  return std::any_of(environment.begin(), environment.end(), [&](const std::string& variable) {
    return variable.size() > name.size() && variable.starts_with(name) && variable[name.size()] == '=';
  });
}

std::string ReadSmallFile(const PathContext& context, std::string_view path) {
  constexpr size_t kMost = 1 << 20;
  std::string text;
  OpenHow how;
  how.flags = O_RDONLY | O_NONBLOCK;
  auto file = VfsOpen(context, context.root, path, how);
  if (!file.ok() || !(*file)->path().inode()->IsRegular()) return text;
  std::vector<std::byte> buffer(4096);
  while (text.size() < kMost) {
    IoSequence to(std::span<std::byte>(buffer.data(), buffer.size()));
    auto size = (*file)->PRead(to, text.size());
    if (!size.ok() || *size == 0) break;
    text.append(reinterpret_cast<const char*>(buffer.data()), *size);
  }
  return text;
}

// passwd(5): the sixth field of the user's entry.
std::string HomeOf(const PathContext& context, uint32_t uid) {
  std::string text = ReadSmallFile(context, "/etc/passwd");
  std::string_view left = text;
  while (!left.empty()) {
    size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = left.substr(0, end);
    left.remove_prefix(std::min(left.size(), end + 1));
    std::vector<std::string_view> fields;
    for (size_t at = 0; at <= line.size() && fields.size() < 7;) {
      size_t colon = std::min(line.find(':', at), line.size());
      fields.push_back(line.substr(at, colon - at));
      at = colon + 1;
    }
    uint32_t id = 0;
    if (fields.size() < 6 || fields[5].empty()) continue;
    auto [stop, error] = std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), id);
    if (error == std::errc() && stop == fields[2].data() + fields[2].size() && id == uid)
      return std::string(fields[5]);
  }
  return "/";
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

class Starter {
 public:
  Starter(Kernel& kernel, GuestProcessOptions options) : kernel_(kernel), options_(std::move(options)) {
    context_.mounts = options_.mounts;
    context_.root = options_.mounts->Root();
    context_.cwd = context_.root;
    context_.creds = Credentials::Root();
    context_.umask = 022;
  }

  GuestProcess Start() {
    ProcessSpec& spec = options_.spec;
    if (spec.container && !HasVariable(spec.environment, "HOME"))
      spec.environment.push_back("HOME=" + HomeOf(context_, spec.uid));
    if (!ImportFiles()) return std::move(process_);
    RefPtr<const Credentials> creds = MakeCredentials(spec);
    if (!EnterDirectory(creds)) return std::move(process_);
    context_.creds = creds;
    init_.fs = MakeRef<FsContext>(context_.mounts, context_.root, context_.cwd, spec.umask);
    init_.creds = creds;
    init_.argv = spec.arguments;
    init_.envp = spec.environment;
    init_.limits = spec.limits;
    init_.ignored_signals = SignalSet(spec.ignored_signals);
    init_.blocked_signals = SignalSet(spec.blocked_signals);
    init_.namespaces = options_.namespaces;
    init_.container = options_.container;
    init_.seccomp_flags = spec.seccomp_flags;
    for (uint64_t instruction : spec.seccomp_program)
      init_.seccomp_program.push_back(std::bit_cast<sock_filter>(instruction));
    init_.is_ordinary = options_.is_ordinary;
    init_.is_held = true;
    Execute();
    return std::move(process_);
  }

 private:
  bool Fail(int code, std::string wrong) {
    process_.exit_code = code;
    process_.wrong = std::move(wrong);
    return false;
  }

  // Its place among the guest's terminals. In a container it is the next one, as if it had been made there;
  // else it keeps the host's number if it is one of its pseudo-terminals, so that what the environment says
  // of it (GPG_TTY, SSH_TTY) stays true.
  VfsPath PlaceTerminal(const RefPtr<HostTerminal>& terminal) {
    constexpr unsigned kFirstMajor = 136, kLastMajor = 143;
    unsigned device = major(terminal->host_device());
    bool keeps_number = !options_.spec.container && device >= kFirstMajor && device <= kLastMajor;
    int wanted = keeps_number ? static_cast<int>(minor(terminal->host_device())) : 0;
    auto directory = Walk(context_, context_.root, "/dev/pts");
    if (!directory.ok()) return {};
    auto placed = runsc::PlaceTerminal(*directory, terminal, wanted, options_.spec.uid);
    if (!placed.ok()) return {};
    terminal->SetDevice(placed->device);
    return placed->path;
  }

  bool ImportFiles() {
    if (options_.ask) process_.job = MakeRef<HostJob>(std::move(options_.ask));
    ImportOptions how;
    how.job = process_.job;
    if (options_.spec.container) how.owner.emplace(options_.spec.uid, options_.spec.gid);
    how.place_terminal = [this](const RefPtr<HostTerminal>& terminal) { return PlaceTerminal(terminal); };
    auto imported = ImportHostFiles(std::move(options_.files), how);
    if (!imported.ok())
      return Fail(kFailed, fmt::format("the standard streams: {}", imported.error().message()));
    init_.fd_table = MakeRef<FDTable>();
    for (size_t fd = 0; fd < imported->files.size(); ++fd) {
      if (!imported->files[fd]) continue;
      auto added = init_.fd_table->Add(imported->files[fd], false, static_cast<int>(fd), 1024);
      if (!added.ok()) return Fail(kFailed, "the standard streams cannot be installed");
    }
    init_.terminal = imported->terminal;
    process_.terminal = imported->terminal;
    return true;
  }

  void MakeDirectory(const std::string& path) {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      (void)VfsMkdir(context_, context_.root, path.substr(0, slash), 0755);
      if (slash == std::string::npos) return;
    }
  }

  bool EnterDirectory(const RefPtr<const Credentials>& creds) {
    const ProcessSpec& spec = options_.spec;
    WalkOptions as_directory;
    as_directory.must_be_directory = true;
    auto directory = Walk(context_, context_.root, spec.working_directory, as_directory);
    if (directory.is(ENOENT) && spec.container && options_.is_first) {
      MakeDirectory(spec.working_directory);
      directory = Walk(context_, context_.root, spec.working_directory, as_directory);
    }
    if (directory.ok()) {
      PathContext user = context_;
      user.creds = creds;
      directory = Walk(user, user.root, spec.working_directory, as_directory);
      if (directory.ok()) {
        if (auto enter = VfsAccess(user, *directory, X_OK); !enter.ok()) directory = enter.error();
      }
    }
    if (!directory.ok()) {
      if (spec.container)
        return Fail(kFailed, fmt::format("chdir to cwd (\"{}\") set in config.json failed: {}",
                                         spec.working_directory, Lower(directory.error())));
      return Fail(kFailed, fmt::format("the working directory {}: {}", spec.working_directory,
                                       directory.error().message()));
    }
    context_.cwd = *directory;
    return true;
  }

  Result<RefPtr<ThreadGroup>> Load() {
    return options_.is_init ? kernel_.StartInit(init_) : kernel_.StartProcess(init_);
  }

  const std::string& CommandName() const {
    return options_.spec.program.empty() ? options_.spec.arguments[0] : options_.spec.program;
  }

  void Execute() {
    const std::vector<std::string>& arguments = options_.spec.arguments;
    std::string_view search = Variable(options_.spec.environment, "PATH");
    if (!HasVariable(options_.spec.environment, "PATH"))
      search = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
    auto program = FindCommand(context_, CommandName(), search);
    if (!program.ok()) return CannotFind(program.error());
    init_.filename = *program;
    auto started = Load();
    if (started.is(ENOEXEC) && options_.spec.shell_fallback) {
      init_.filename = "/bin/sh";
      init_.argv.assign({"/bin/sh", *program});
      init_.argv.insert(init_.argv.end(), arguments.begin() + 1, arguments.end());
      if (auto by_shell = Load(); by_shell.ok()) started = std::move(by_shell);
    }
    if (started.ok()) {
      process_.group = std::move(*started);
      SetAttributes();
      if (options_.is_held) return;
      if (auto let_go = kernel_.StartHeld(*process_.group); let_go.ok()) return;
      process_.group = {};
      started = Errno(EAGAIN);
    }
    CannotStart(*program, started.error());
  }

  // Before it runs.
  void SetAttributes() {
    const ProcessSpec& spec = options_.spec;
    process_.group->oom_score_adj.store(spec.oom_score_adj);
    RefPtr<Task> task = process_.group->leader();
    task->nice.store(spec.nice);
    SetScheduling(*task, spec.scheduling);
    task->io_priority.store(spec.io_priority);
    task->personality.store(static_cast<int>(spec.personality));
  }

  // Engines take their exit codes from these words, which are runc's.
  void CannotFind(Errno error) {
    const std::string& command = CommandName();
    int code = error == ENOENT ? kNoSuchCommand : kCannotExecute;
    if (options_.spec.container) {
      Fail(code, error == ENOENT ? fmt::format("exec: \"{}\": executable file not found in $PATH", command)
                                 : fmt::format("exec: \"{}\": {}", command, Lower(error)));
    } else {
      Fail(code, error == ENOENT ? fmt::format("{}: command not found", command)
                                 : fmt::format("{}: {}", command, error.message()));
    }
  }

  void CannotStart(const std::string& program, Errno error) {
    const std::string& command = CommandName();
    int code = error == ENOENT ? kNoSuchCommand : kCannotExecute;
    if (!options_.spec.container) {
      Fail(code, fmt::format("{}: {}", command, error.message()));
    } else if (error == ENOENT || error == ENOTDIR) {
      Fail(code, fmt::format("exec: \"{}\": stat {}: {}", command, program, Lower(error)));
    } else if (error == EACCES) {
      Fail(code, fmt::format("exec: \"{}\": {}", command, Lower(error)));
    } else {
      Fail(code, fmt::format("exec {}: {}", program, Lower(error)));
    }
  }

  static std::string Lower(Errno error) {
    std::string text(error.message());
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
    return text;
  }

  Kernel& kernel_;
  GuestProcessOptions options_;
  PathContext context_;
  InitOptions init_;
  GuestProcess process_;
};  // namespace

}  // namespace

void GuestProcess::Signal(int signal) const {
  // What continues a job is sent to all of it, and only the caller is there to get it.
  RefPtr<ProcessGroup> job_group = signal == SIGCONT ? group->process_group() : nullptr;
  if (job_group) {
    job_group->SendSignal(signal);
  } else {
    (void)group->SendSignal(MakeUserSignalInfo(signal, SI_USER, 0, 0), true);
  }
  RunDeferred();
}

void GuestProcess::SignalFromTerminal(int signal) const {
  RefPtr<ProcessGroup> job_group = group->process_group();
  if (terminal) {
    terminal->SignalForeground(signal);
  } else if (job_group) {
    job_group->SendSignal(signal);
  }
  // A hang-up concerns the session's leader too.
  if (signal == SIGHUP) (void)group->SendSignal(MakeSignalInfo(signal, SI_KERNEL), true);
  RunDeferred();
}

TaskNamespaces NamespacesOf(const ThreadGroup& group) {
  TaskNamespaces namespaces;
  namespaces.pid = RefPtr<PidNamespace>(&group.pid_namespace());
  RefPtr<Task> leader = group.leader();
  if (!leader || !leader->GetFs()) return namespaces;
  namespaces.uts = leader->uts();
  namespaces.ipc = leader->ipc();
  namespaces.time = leader->GetTimeNamespace();
  return namespaces;
}

GuestProcess StartGuestProcess(Kernel& kernel, GuestProcessOptions options) {
  GuestProcess process = Starter(kernel, std::move(options)).Start();
  RunDeferred();
  return process;
}

}  // namespace runsc
