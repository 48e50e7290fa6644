// The namespaces of a task but PID's and mounts' own matters; setns(2).
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace_handle.h"

namespace runsc {

TaskNamespaces::TaskNamespaces() = default;
TaskNamespaces::TaskNamespaces(const TaskNamespaces& other) = default;
TaskNamespaces& TaskNamespaces::operator=(const TaskNamespaces& other) = default;
TaskNamespaces::~TaskNamespaces() = default;

RefPtr<UtsNamespace> Task::uts() const {
  MutexLock lock(state_mu_);
  return uts_;
}

RefPtr<IpcNamespace> Task::ipc() const {
  MutexLock lock(state_mu_);
  return ipc_;
}

SemaphoreUndo& Task::semaphore_undo() {
  if (!semaphore_undo_) {
    // The list keeps the semaphores of its namespace alive.
    auto made = MakeRef<SemaphoreUndo>(RefPtr<SemaphoreSets>(&ipc()->semaphores()));
    MutexLock lock(state_mu_);
    semaphore_undo_ = std::move(made);
  }
  return *semaphore_undo_;
}

RefPtr<SemaphoreUndo> Task::GetSemaphoreUndo() const {
  MutexLock lock(state_mu_);
  return semaphore_undo_;
}

void Task::DropSemaphoreUndo() {
  RefPtr<SemaphoreUndo> dropped;  // applied without the lock
  MutexLock lock(state_mu_);
  std::swap(semaphore_undo_, dropped);
}

void Task::SetIpc(RefPtr<IpcNamespace> ipc) {
  // What is to be undone is undone in the namespace that is left.
  DropSemaphoreUndo();
  MutexLock lock(state_mu_);
  std::swap(ipc_, ipc);
}

Result<void> Task::EnterPidNamespace(RefPtr<PidNamespace> space) {
  PidNamespace* at = space.get();
  while (at != nullptr && at != &pid_namespace()) at = at->parent().get();
  if (at == nullptr) return Errno(EINVAL);  // not the own one or one below
  child_pid_namespace_ = space == &pid_namespace() ? nullptr : std::move(space);
  return Ok();
}

RefPtr<TimeNamespace> Task::GetTimeNamespace(bool for_children) const {
  MutexLock lock(state_mu_);
  return for_children ? child_time_namespace_ : time_namespace_;
}

// Linux: timens_install(), which wants the memory for itself.
Result<void> Task::EnterTimeNamespace(RefPtr<TimeNamespace> space) {
  if (thread_group_->task_count() > 1 || memory_->ref_count() > 1) return Errno(EUSERS);
  space->Freeze();
  const TimeOffsets offsets = space->offsets();
  if (offsets != time_namespace_->offsets())
    RETURN_IF_ERROR(kernel_.loader().SetTimeOffsets(*memory_, offsets));
  RefPtr<TimeNamespace> old = space, old_for_children = std::move(space);
  MutexLock lock(state_mu_);
  std::swap(time_namespace_, old);
  std::swap(child_time_namespace_, old_for_children);
  return Ok();
}

Result<void> Task::EnterNamespace(const NamespaceHandle& handle) {
  if (handle.type == CLONE_NEWUSER) return Errno(EINVAL);  // it is in it
  if (!creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  if (!handle.object) return Ok();
  switch (handle.type) {
    case CLONE_NEWIPC:
      SetIpc(RefPtr<IpcNamespace>(static_cast<IpcNamespace*>(handle.object.get())));
      return Ok();
    case CLONE_NEWUTS: {
      RefPtr<UtsNamespace> uts(static_cast<UtsNamespace*>(handle.object.get()));
      MutexLock lock(state_mu_);
      std::swap(uts_, uts);
      return Ok();
    }
    case CLONE_NEWPID:
      return EnterPidNamespace(RefPtr<PidNamespace>(static_cast<PidNamespace*>(handle.object.get())));
    case CLONE_NEWTIME:
      return EnterTimeNamespace(RefPtr<TimeNamespace>(static_cast<TimeNamespace*>(handle.object.get())));
    case CLONE_NEWNS: {
      if (!creds().HasCapability(CAP_SYS_CHROOT)) return Errno(EPERM);
      if (thread_group_->task_count() > 1) return Errno(EINVAL);  // others would go along
      RefPtr<MountNamespace> mounts(static_cast<MountNamespace*>(handle.object.get()));
      VfsPath root = mounts->Root();
      uint32_t umask = fs_->Get().umask;
      SetFs(MakeRef<FsContext>(std::move(mounts), root, root, umask));
      return Ok();
    }
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
