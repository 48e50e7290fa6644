#include "sentry/kernel/kernel.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "fmt/format.h"
#include "platform/base/log.h"
#include "sentry/arch/xsave.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/cgroup_namespace.h"
#include "sentry/kernel/executable.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/task_runner.h"
#include "sentry/time/cycle_clock.h"

namespace runsc {
namespace {

// A random UUID, as /proc/sys/kernel/random/boot_id shows it.
std::string MakeBootId() {
  uint8_t b[16] = {};
  (void)!getrandom(b, sizeof(b), 0);
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  std::string id;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    id += fmt::format("{:02x}", b[i]);
  }
  return id;
}

}  // namespace

Kernel::Kernel(KernelOptions options)
    : platform_(std::move(options.platform)),
      memory_file_(std::move(options.memory_file)),
      dispatcher_(options.dispatcher),
      cpu_count_(options.cpu_count),
      total_memory_(options.total_memory),
      max_tasks_(options.max_tasks),
      boot_time_monotonic_(MonotonicNow()),
      boot_id_(MakeBootId()),
      first_container_(MakeRef<GuestContainer>()),
      root_pid_namespace_(MakeRef<PidNamespace>(*this)),
      uts_(MakeRef<UtsNamespace>(RefPtr<UserNamespace>(&UserNamespace::Initial()),
                                 std::move(options.host_name), std::move(options.domain_name))),
      ipc_(MakeIpcNamespace(RefPtr<UserNamespace>(&UserNamespace::Initial()))),
      cgroup_(MakeRef<CgroupNamespace>(RefPtr<UserNamespace>(&UserNamespace::Initial()))),
      time_namespace_(MakeRef<TimeNamespace>(RefPtr<UserNamespace>(&UserNamespace::Initial()))) {
  CycleClock::Begin();
  time_namespace_->Freeze();
}

namespace {

thread_local const TaskNamespaces* acting_in = nullptr;

}  // namespace

Kernel::ActingIn::ActingIn(const TaskNamespaces& namespaces) { acting_in = &namespaces; }
Kernel::ActingIn::~ActingIn() { acting_in = nullptr; }

RefPtr<IpcNamespace> Kernel::current_ipc_namespace() const {
  RefPtr<IpcNamespace> own;
  if (const Task* task = Task::CurrentOrNull()) {
    own = task->ipc();
  } else if (acting_in != nullptr) {
    own = acting_in->ipc;
  }
  return own ? own : ipc_;
}

RefPtr<UtsNamespace> Kernel::current_uts_namespace() const {
  if (const Task* task = Task::CurrentOrNull()) return task->uts();
  return acting_in != nullptr && acting_in->uts ? acting_in->uts : uts_;
}

Kernel::~Kernel() {
  Kill();
  host_threads_.WaitForBodies();
  DCHECK(task_count_.load() == 0);
}

void Kernel::RegisterFilesystem(std::unique_ptr<FilesystemType> type) {
  std::string name(type->name());
  filesystems_[std::move(name)] = std::move(type);
}

FilesystemType* Kernel::FindFilesystem(std::string_view name) const {
  auto found = filesystems_.find(name);
  return found != filesystems_.end() ? found->second.get() : nullptr;
}

std::vector<const FilesystemType*> Kernel::Filesystems() const {
  std::vector<const FilesystemType*> types;
  for (const auto& [name, type] : filesystems_) types.push_back(type.get());
  return types;
}

RefPtr<ThreadGroup> Kernel::init() const {
  MutexLock lock(task_tree_mu_);
  return init_;
}

Result<RefPtr<ThreadGroup>> Kernel::StartInit(InitOptions options) {
  return StartFirstTask(std::move(options), true);
}

Result<RefPtr<ThreadGroup>> Kernel::StartProcess(InitOptions options) {
  return StartFirstTask(std::move(options), false);
}

Result<RefPtr<ThreadGroup>> Kernel::StartFirstTask(InitOptions options, bool is_init) {
  RefPtr<SeccompFilter> seccomp_filter;
  if (!options.seccomp_program.empty()) {
    ASSIGN_OR_RETURN(SeccompProgram seccomp, SeccompProgram::Create(std::move(options.seccomp_program)));
    bool log = (options.seccomp_flags & SECCOMP_FILTER_FLAG_LOG) != 0;
    seccomp_filter = MakeRef<SeccompFilter>(std::move(seccomp), nullptr, log, nullptr);
  }
  FsContext::View view = options.fs->Get();
  LoadRequest request;
  request.paths.mounts = view.mounts;
  request.paths.root = view.root;
  request.paths.cwd = view.cwd;
  request.paths.umask = view.umask;
  request.paths.creds = options.creds;
  ASSIGN_OR_RETURN(request.file, OpenExecutable(request.paths, view.cwd, options.filename, WalkOptions{}));
  request.filename = std::move(options.filename);
  request.argv = std::move(options.argv);
  request.envp = std::move(options.envp);
  request.limits.stack = options.limits[RLIMIT_STACK].current;
  request.limits.address_space = options.limits[RLIMIT_AS].current;
  request.limits.data = options.limits[RLIMIT_DATA].current;
  request.limits.locked = options.limits[RLIMIT_MEMLOCK].current;
  TaskNamespaces& spaces = options.namespaces;
  if (!spaces.time) spaces.time = time_namespace_;
  spaces.time->Freeze();
  request.time_offsets = spaces.time->offsets();
  ASSIGN_OR_RETURN(LoadedProgram program, loader_->Load(request));

  auto handlers = MakeRef<SignalHandlers>();
  for (int signal = 1; signal <= kSignalMax; ++signal) {
    constexpr uint64_t kIgnore = 1;  // SIG_IGN
    if (options.ignored_signals.Has(signal)) handlers->Exchange(signal, {.handler = kIgnore});
  }
  RefPtr<PidNamespace> space = spaces.pid ? std::move(spaces.pid) : root_pid_namespace_;
  auto group = MakeRef<ThreadGroup>(*this, space, std::move(handlers), SIGCHLD);
  group->limits_.SetAll(options.limits);
  group->has_execed.store(true);
  group->container_ = options.container ? std::move(options.container) : first_container_;
  group->is_ordinary_init_ = is_init && options.is_ordinary;
  if (group->Limit(RLIMIT_CPU) != RLIM_INFINITY) group->posix_timers().UpdateCpuLimit();
  auto task = RefPtr<Task>::Adopt(new Task(*this, group));
  task->memory_ = std::move(program.memory);
  task->memory_->SetExecutable(std::move(program.executable));
  task->registers_ = program.registers;
  task->fd_table_ = std::move(options.fd_table);
  task->fs_ = std::move(options.fs);
  task->creds_ = program.creds ? std::move(program.creds) : std::move(options.creds);
  task->uts_ = spaces.uts ? std::move(spaces.uts) : uts_;
  task->ipc_ = spaces.ipc ? std::move(spaces.ipc) : ipc_;
  task->cgroup_ = cgroup_;
  task->time_namespace_ = task->child_time_namespace_ = std::move(spaces.time);
  task->name_ = program.name;
  task->blocked_.store((options.blocked_signals & ~kUnblockableSignals).bits(), std::memory_order_relaxed);
  task->initial_fp_state_ = InitialFpState(platform_->fp_state_size());
  if (seccomp_filter) task->seccomp().Start(std::move(seccomp_filter));
  {
    MutexLock lock(task_tree_mu_);
    if (is_init && init_) return Errno(EBUSY);
    if (!is_init && (!init_ || init_->IsExiting())) return Errno(ESRCH);
    ASSIGN_OR_RETURN(PidNumbers numbers, space->AllocateLocked({}));
    task->EnterNamespacesLocked(numbers);
    group->numbers_ = numbers;
    {
      MutexLock signal_lock(group->signal_mu_);
      group->leader_ = task.get();
      group->tasks_.push_back(task);
      group->live_ = 1;
    }
    if (is_init) init_ = group;
    if (numbers.own() == 1) space->init_ = group.get();
    auto session = MakeRef<Session>(*this, group.get(), numbers);
    group->JoinProcessGroupLocked(MakeRef<ProcessGroup>(*this, session, numbers));
  }
  if (options.terminal) (void)options.terminal->BecomeControlling(*task, false);
  if (!options.is_held) RETURN_IF_ERROR(StartHeld(*group));
  return group;
}

Result<void> Kernel::StartHeld(ThreadGroup& group) {
  RefPtr<Task> task = group.leader();
  if (!task) return Errno(ESRCH);
  auto started = TaskRunner::Start(task);
  if (!started.ok()) {
    group.BeginExit(SIGKILL);
    task->Exit();
  }
  return started;
}

bool Kernel::Pause(GuestContainer& container) {
  container.paused_.store(true, std::memory_order_seq_cst);
  constexpr int kTries = 2000;
  constexpr timespec kBetween{0, 1'000'000};
  for (int i = 0; i < kTries; ++i) {
    bool in_guest = false;
    {
      MutexLock lock(task_tree_mu_);
      for (const auto& [id, task] : root_pid_namespace_->tasks_) {
        if (task->thread_group_->container_ != &container || !task->in_guest_.load(std::memory_order_seq_cst))
          continue;
        in_guest = true;
        task->context_->Interrupt();
      }
    }
    if (!in_guest) return true;
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &kBetween, nullptr);
  }
  return false;
}

void Kernel::Resume(GuestContainer& container) {
  container.paused_.store(false, std::memory_order_seq_cst);
  MutexLock lock(task_tree_mu_);
  for (const auto& [id, task] : root_pid_namespace_->tasks_)
    if (task->thread_group_->container_ == &container) task->SetWakeBits(Task::kInterrupted);
}

RefPtr<IpcNamespace> Kernel::MakeIpcNamespace(RefPtr<UserNamespace> user_ns) {
  return MakeRef<IpcNamespace>(
      *memory_file_,
      []() -> pid_t {
        Task* task = Task::CurrentOrNull();
        return task != nullptr ? task->thread_group().root_pid() : 0;
      },
      std::move(user_ns));
}

int Kernel::WaitForInit() {
  RefPtr<ThreadGroup> group = init();
  host_threads_.WaitForBodies();
  return group ? group->exit_status() : 0;
}

void Kernel::Kill() {
  std::vector<RefPtr<ThreadGroup>> groups = root_pid_namespace_->ThreadGroups();
  for (const auto& group : groups) group->BeginExit(SIGKILL);
}

void Kernel::Fail(std::string_view why) {
  if (failed_.exchange(true)) return;
  LOG_WARNING("the sandbox ends: {}", why);
  if (on_failure) {
    on_failure(why);
  } else {
    Kill();
  }
}

}  // namespace runsc
