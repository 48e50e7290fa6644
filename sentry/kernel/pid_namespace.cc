#include "sentry/kernel/pid_namespace.h"

#include <algorithm>

#include "sentry/kernel/kernel.h"

namespace runsc {
namespace {

constexpr pid_t kPidMax = 4194304;
constexpr pid_t kReservedPids = 300;  // not used again after the numbers wrapped

}  // namespace

pid_t PidNumbers::In(const PidNamespace& view) const {
  const PidNamespace* at = space.get();
  while (at->level() > view.level()) at = at->parent().get();
  return at == &view ? ids[view.level()] : 0;
}

PidNamespace::PidNamespace(Kernel& kernel)
    : PidNamespace(kernel, nullptr, RefPtr<UserNamespace>(&UserNamespace::Initial())) {}

Result<RefPtr<PidNamespace>> PidNamespace::Make(RefPtr<PidNamespace> parent, RefPtr<UserNamespace> user_ns) {
  constexpr int kMaxLevel = 32;  // MAX_PID_NS_LEVEL
  if (!user_ns->IsIn(*parent->user_ns())) return Errno(EINVAL);
  if (parent->level() >= kMaxLevel) return Errno(ENOSPC);
  Kernel& kernel = parent->kernel_;
  return RefPtr<PidNamespace>::Adopt(new PidNamespace(kernel, std::move(parent), std::move(user_ns)));
}

PidNamespace::PidNamespace(Kernel& kernel, RefPtr<PidNamespace> parent, RefPtr<UserNamespace> user_ns)
    : Namespace(std::move(user_ns)),
      kernel_(kernel),
      parent_(std::move(parent)),
      level_(parent_ ? parent_->level_ + 1 : 0) {}

PidNamespace::~PidNamespace() { CHECK(tasks_.empty()); }

bool PidNamespace::IsTakenLocked(pid_t id) const {
  return tasks_.contains(id) || groups_.contains(id) || sessions_.contains(id);
}

Result<PidNumbers> PidNamespace::AllocateLocked(std::span<const pid_t> wanted) {
  if (wanted.size() > static_cast<size_t>(level_) + 1) return Errno(EINVAL);
  PidNumbers numbers{RefPtr<PidNamespace>(this), std::vector<pid_t>(level_ + 1)};
  for (PidNamespace* space = this; space != nullptr; space = space->parent_.get()) {
    if (!wanted.empty()) {
      const pid_t id = wanted.front();
      wanted = wanted.subspan(1);
      // Before there is an init no other number can be given (Linux: alloc_pid()).
      if (id < 1 || id >= kPidMax || (id != 1 && space->init_ == nullptr)) return Errno(EINVAL);
      if (space->IsTakenLocked(id)) return Errno(EEXIST);
      numbers.ids[space->level_] = id;
      continue;
    }
    pid_t id = space->last_;
    do {
      id = id + 1 >= kPidMax ? kReservedPids : id + 1;
      if (id == space->last_) return Errno(EAGAIN);
    } while (space->IsTakenLocked(id));
    space->last_ = id;
    numbers.ids[space->level_] = id;
  }
  if (dead_) return Errno(ENOMEM);  // looked at last, as alloc_pid() does
  return numbers;
}

RefPtr<Task> PidNamespace::FindTask(pid_t tid) const {
  MutexLock lock(kernel_.task_tree_mu_);
  auto found = tasks_.find(tid);
  return found != tasks_.end() ? RefPtr<Task>(found->second) : RefPtr<Task>();
}

pid_t PidNamespace::FromRoot(pid_t root_pid) const {
  if (level_ == 0 || root_pid == 0) return root_pid;
  RefPtr<ThreadGroup> group = kernel_.root_pid_namespace()->FindThreadGroup(root_pid);
  return group ? IdOf(*group) : 0;
}

ThreadGroup* PidNamespace::FindThreadGroupLocked(pid_t pid) const {
  auto found = tasks_.find(pid);
  if (found == tasks_.end()) return nullptr;
  ThreadGroup& group = found->second->thread_group();
  return group.leader_ == found->second ? &group : nullptr;
}

RefPtr<ThreadGroup> PidNamespace::FindThreadGroup(pid_t pid) const {
  MutexLock lock(kernel_.task_tree_mu_);
  return RefPtr<ThreadGroup>(FindThreadGroupLocked(pid));
}

ProcessGroup* PidNamespace::FindProcessGroupLocked(pid_t pgid) const {
  auto found = groups_.find(pgid);
  return found != groups_.end() ? found->second : nullptr;
}

RefPtr<ProcessGroup> PidNamespace::FindProcessGroup(pid_t pgid) const {
  MutexLock lock(kernel_.task_tree_mu_);
  return RefPtr<ProcessGroup>(FindProcessGroupLocked(pgid));
}

pid_t PidNamespace::IdOf(const Task& task) const {
  MutexLock lock(kernel_.task_tree_mu_);
  return task.numbers_.In(*this);
}

// A process keeps its numbers for life (exec's de-thread moves them to the new leader).
pid_t PidNamespace::IdOf(const ThreadGroup& group) const { return group.numbers_.In(*this); }
pid_t PidNamespace::IdOf(const ProcessGroup& group) const { return group.numbers().In(*this); }
pid_t PidNamespace::IdOf(const Session& session) const { return session.numbers().In(*this); }

std::vector<RefPtr<ThreadGroup>> PidNamespace::ThreadGroupsLocked() const {
  std::vector<RefPtr<ThreadGroup>> groups;
  for (const auto& [id, task] : tasks_) {
    if (task->thread_group().leader_ == task) groups.emplace_back(&task->thread_group());
  }
  return groups;
}

std::vector<RefPtr<ThreadGroup>> PidNamespace::ThreadGroups() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return ThreadGroupsLocked();
}

size_t PidNamespace::task_count() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return tasks_.size();
}

pid_t PidNamespace::last_pid() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return last_;
}

}  // namespace runsc
