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

RefPtr<CgroupNamespace> Task::cgroup_namespace() const {
  MutexLock lock(state_mu_);
  return cgroup_;
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

Result<RefPtr<const Credentials>> Task::CredsInNewUserNamespace() const {
  const Credentials& own = creds();
  const FsContext::View view = fs_->Get();
  VfsPath root = view.mounts->Root();
  if (RefPtr<Mount> over = MountNamespace::TopMountOn(root)) root = VfsPath{over, over->root()};
  // A new root would get whoever is in it out of a chroot.
  if (view.root != root) return Errno(EPERM);
  if (!own.user_ns->MapsUid(own.euid) || !own.user_ns->MapsGid(own.egid)) return Errno(EPERM);
  ASSIGN_OR_RETURN(RefPtr<UserNamespace> made,
                   UserNamespace::Make(own.user_ns, own.euid, own.egid, own.HasOwnCapability(CAP_SETFCAP)));
  return RefPtr<const Credentials>(own.In(std::move(made)));
}

// Checked one by one and then entered at once. Linux: struct nsset.
struct Task::NamespaceSet {
  RefPtr<const Credentials> creds;  // those in force when all is done
  RefPtr<FsContext> fs;             // the others null: as it is
  RefPtr<UtsNamespace> uts;
  RefPtr<IpcNamespace> ipc;
  RefPtr<PidNamespace> pid;
  RefPtr<TimeNamespace> time;
  RefPtr<CgroupNamespace> cgroup;
};

// Over what is entered, and in the user namespace that the caller will be in.
Result<void> Task::CheckMayEnter(const Namespace& space, const NamespaceSet& set) const {
  const bool may = creds().HasCapabilityIn(*space.user_ns(), CAP_SYS_ADMIN) &&
                   creds().HasCapabilityIn(*set.creds->user_ns, CAP_SYS_ADMIN);
  return may ? Ok() : Result<void>(Errno(EPERM));
}

// Linux: the install operations of each kind.
Result<void> Task::PrepareToEnter(const NamespaceHandle& handle, NamespaceSet& set) const {
  if (!handle.object) return creds().HasCapability(CAP_SYS_ADMIN) ? Ok() : Result<void>(Errno(EPERM));
  if (handle.type == CLONE_NEWUSER) {
    RefPtr<UserNamespace> space(static_cast<UserNamespace*>(handle.object.get()));
    if (space == creds().user_ns) return Errno(EINVAL);
    if (thread_group_->task_count() > 1 || fs_->ref_count() > 1) return Errno(EINVAL);
    if (!creds().HasCapabilityIn(*space, CAP_SYS_ADMIN)) return Errno(EPERM);
    set.creds = creds().In(std::move(space));
    return Ok();
  }
  auto* space = static_cast<Namespace*>(handle.object.get());
  if (handle.type == CLONE_NEWTIME && (thread_group_->task_count() > 1 || memory_->ref_count() > 1))
    return Errno(EUSERS);
  RETURN_IF_ERROR(CheckMayEnter(*space, set));
  switch (handle.type) {
    case CLONE_NEWIPC:
      set.ipc = RefPtr<IpcNamespace>(static_cast<IpcNamespace*>(space));
      return Ok();
    case CLONE_NEWUTS:
      set.uts = RefPtr<UtsNamespace>(static_cast<UtsNamespace*>(space));
      return Ok();
    case CLONE_NEWCGROUP:
      set.cgroup = RefPtr<CgroupNamespace>(static_cast<CgroupNamespace*>(space));
      return Ok();
    case CLONE_NEWTIME:
      set.time = RefPtr<TimeNamespace>(static_cast<TimeNamespace*>(space));
      return Ok();
    case CLONE_NEWPID: {
      set.pid = RefPtr<PidNamespace>(static_cast<PidNamespace*>(space));
      const PidNamespace* at = set.pid.get();
      while (at != nullptr && at != &pid_namespace()) at = at->parent().get();
      return at != nullptr ? Ok() : Result<void>(Errno(EINVAL));  // neither the own one nor one below
    }
    case CLONE_NEWNS: {
      if (!creds().HasCapabilityIn(*set.creds->user_ns, CAP_SYS_CHROOT)) return Errno(EPERM);
      if (thread_group_->task_count() > 1 || fs_->ref_count() > 1)
        return Errno(EINVAL);  // others would go along
      RefPtr<MountNamespace> mounts(static_cast<MountNamespace*>(space));
      VfsPath root = mounts->Root();
      if (RefPtr<Mount> over = MountNamespace::TopMountOn(root)) root = VfsPath{over, over->root()};
      set.fs = MakeRef<FsContext>(std::move(mounts), root, root, fs_->Get().umask);
      return Ok();
    }
    default:
      return Errno(EINVAL);
  }
}

Result<void> Task::EnterNamespaces(std::span<const NamespaceHandle> handles) {
  NamespaceSet set;
  set.creds = creds_;
  for (const NamespaceHandle& handle : handles) RETURN_IF_ERROR(PrepareToEnter(handle, set));
  if (set.time) RETURN_IF_ERROR(EnterTimeNamespace(std::move(set.time)));
  // From here on nothing fails.
  if (set.fs) SetFs(std::move(set.fs));
  if (set.ipc) SetIpc(std::move(set.ipc));
  if (set.pid) child_pid_namespace_ = set.pid == &pid_namespace() ? nullptr : std::move(set.pid);
  {
    MutexLock lock(state_mu_);
    if (set.uts) std::swap(uts_, set.uts);
    if (set.cgroup) std::swap(cgroup_, set.cgroup);
  }
  if (set.creds != creds_) CommitCreds(std::move(set.creds));
  return Ok();
}

RefPtr<UserNamespace> NamespaceHandle::Owner() const {
  if (!object) return RefPtr<UserNamespace>(&UserNamespace::Initial());
  if (type == CLONE_NEWUSER) return static_cast<const UserNamespace&>(*object).parent();
  return static_cast<const Namespace&>(*object).user_ns();
}

}  // namespace runsc
