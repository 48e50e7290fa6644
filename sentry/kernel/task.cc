#include "sentry/kernel/task.h"

#include <time.h>

#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/scheduling.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"
#include "sentry/kernel/vfork_done.h"

namespace runsc {

Task::Task(Kernel& kernel, RefPtr<ThreadGroup> thread_group)
    : kernel_(kernel),
      thread_group_(std::move(thread_group)),
      context_(kernel.platform().NewContext()),
      seccomp_(std::make_unique<SeccompState>(*this)),
      tracee_(std::make_unique<Tracee>(*this)) {
  signal_stack_.ss_flags = SS_DISABLE;
}

Task::~Task() { SetScheduling(*this, {}); }

std::string Task::name() const {
  MutexLock lock(state_mu_);
  return name_;
}

void Task::SetName(std::string_view name) {
  constexpr size_t kCommLength = 15;
  MutexLock lock(state_mu_);
  name_ = name.substr(0, kCommLength);
}

RefPtr<MemoryManager> Task::GetMemory() const {
  MutexLock lock(state_mu_);
  return memory_;
}

RefPtr<FDTable> Task::GetFDTable() const {
  MutexLock lock(state_mu_);
  return fd_table_;
}

RefPtr<FsContext> Task::GetFs() const {
  MutexLock lock(state_mu_);
  return fs_;
}

RefPtr<const Credentials> Task::GetCreds() const {
  MutexLock lock(state_mu_);
  return creds_;
}

namespace {

// Linux: cred_cap_issubset(). Who made a user namespace has all capabilities in it.
bool IsSubset(const Credentials& now, const Credentials& before) {
  if (now.user_ns == before.user_ns) return now.permitted.IsSubsetOf(before.permitted);
  for (const UserNamespace* at = now.user_ns.get(); at != nullptr; at = at->parent().get()) {
    if (at->parent() == before.user_ns && at->owner() == before.euid) return true;
  }
  return false;
}

}  // namespace

void Task::CommitCreds(RefPtr<const Credentials> creds) {
  const Credentials& old = *creds_;
  if (old.euid != creds->euid || old.egid != creds->egid || old.fsuid != creds->fsuid ||
      old.fsgid != creds->fsgid || !IsSubset(*creds, old)) {
    memory_->SetDumpable(0);
    parent_death_signal.store(0);
  }
  if (old.fsuid != creds->fsuid || old.fsgid != creds->fsgid) kernel_.keyrings().OnNewIds(keyrings_, *creds);
  SetCreds(std::move(creds));
}

Uid Task::VisibleUid(Uid uid) const {
  RefPtr<const Credentials> creds = GetCreds();
  return creds ? creds->user_ns->VisibleUid(uid) : uid;
}

bool Task::HasNoNewPrivs() const {
  RefPtr<const Credentials> creds = GetCreds();
  return (creds && creds->no_new_privs) || seccomp_->no_new_privs();
}

// The old object goes after the lock, as its end may close files.
void Task::SetCreds(RefPtr<const Credentials> creds) {
  if (creds->ruid != creds_->ruid) counted_ = kernel_.user_tasks().Add(creds->ruid);
  MutexLock lock(state_mu_);
  std::swap(creds_, creds);
}

void Task::SetFDTable(RefPtr<FDTable> table) {
  MutexLock lock(state_mu_);
  std::swap(fd_table_, table);
}

void Task::SetFs(RefPtr<FsContext> fs) {
  MutexLock lock(state_mu_);
  std::swap(fs_, fs);
}

MemoryLimits Task::memory_limits() const {
  MemoryLimits limits;
  limits.address_space = Limit(RLIMIT_AS);
  limits.data = Limit(RLIMIT_DATA);
  limits.stack = Limit(RLIMIT_STACK);
  RefPtr<const Credentials> creds = GetCreds();
  limits.locked = creds && creds->HasCapability(CAP_IPC_LOCK) ? UINT64_MAX : Limit(RLIMIT_MEMLOCK);
  return limits;
}

Result<RefPtr<FileDescription>> Task::GetFile(int fd) const {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, fd_table_->Get(fd));
  if (file->IsPathOnly()) return Errno(EBADF);
  return file;
}

Result<RefPtr<FileDescription>> Task::GetFileOrPath(int fd) const { return fd_table_->Get(fd); }

Result<int> Task::AddFile(RefPtr<FileDescription> file, bool close_on_exec, int minimum) {
  return fd_table_->Add(std::move(file), close_on_exec, minimum, Limit(RLIMIT_NOFILE));
}

PathContext Task::path_context() const {
  FsContext::View view = fs_->Get();
  PathContext context;
  context.mounts = std::move(view.mounts);
  context.root = std::move(view.root);
  context.cwd = std::move(view.cwd);
  context.umask = view.umask;
  context.creds = creds_;
  context.file_size_limit = Limit(RLIMIT_FSIZE);
  return context;
}

Result<VfsPath> Task::StartOf(int dirfd) const {
  if (dirfd == AT_FDCWD) return fs_->Get().cwd;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, fd_table_->Get(dirfd));
  return file->path();
}

Result<std::string> Task::ReadPath(UserPath path) {
  return memory_->ReadString(path.addr, PATH_MAX, ENAMETOOLONG);
}

SyscallArguments Task::syscall_arguments() const {
  const Registers& r = registers_;
  return SyscallArguments{{r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}};
}

int64_t Task::HostCpuTime() const {
  clockid_t clock = host_clock_.load(std::memory_order_acquire);
  timespec now;
  if (clock != -1 && clock_gettime(clock, &now) == 0)
    return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec -
           host_clock_start_.load(std::memory_order_relaxed);
  return host_time_.load(std::memory_order_acquire);
}

CpuUsage Task::GetCpuUsage() const {
  CpuUsage usage;
  usage.user = guest_time_.Sum();
  // The thread's time is the kernel's but for what it spent waiting, which is not known to the last tick:
  // the sum must not go back all the same.
  const int64_t system = HostCpuTime() - CycleClock::ToNanoseconds(context_->SpunTicks());
  int64_t told = told_system_time_.load(std::memory_order_relaxed);
  while (system > told && !told_system_time_.compare_exchange_weak(told, system, std::memory_order_relaxed)) {
  }
  usage.system = std::max(told, system);
  usage.minor_faults = faults_.load(std::memory_order_relaxed);
  usage.voluntary_switches = sleeps_.load(std::memory_order_relaxed);
  return usage;
}

}  // namespace runsc
