#include "sentry/kernel/process_group.h"

#include <signal.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"

namespace runsc {

RefPtr<Terminal> Session::terminal() const {
  MutexLock lock(mu_);
  return terminal_;
}

void Session::SetTerminal(RefPtr<Terminal> terminal) {
  MutexLock lock(mu_);
  std::swap(terminal_, terminal);
}

void Session::HangUpLeader() {
  MutexLock lock(kernel_.task_tree_lock());
  if (leader_ == nullptr) return;
  (void)leader_->SendSignal(MakeSignalInfo(SIGHUP, SI_KERNEL));
  (void)leader_->SendSignal(MakeSignalInfo(SIGCONT, SI_KERNEL));
}

void ProcessGroup::AddMemberLocked(ThreadGroup& group) {
  if (members_.empty()) {
    for (PidNamespace* space = numbers_.space.get(); space != nullptr; space = space->parent().get())
      space->groups_[numbers_.ids[space->level()]] = this;
    if (session_->group_count_++ == 0) {
      const PidNumbers& numbers = session_->numbers();
      for (PidNamespace* space = numbers.space.get(); space != nullptr; space = space->parent().get())
        space->sessions_[numbers.ids[space->level()]] = session_.get();
    }
  }
  members_.push_back(&group);
}

void ProcessGroup::RemoveMemberLocked(ThreadGroup& group) {
  std::erase(members_, &group);
  if (!members_.empty()) return;
  for (PidNamespace* space = numbers_.space.get(); space != nullptr; space = space->parent().get())
    space->groups_.erase(numbers_.ids[space->level()]);
  if (--session_->group_count_ != 0) return;
  const PidNumbers& numbers = session_->numbers();
  for (PidNamespace* space = numbers.space.get(); space != nullptr; space = space->parent().get())
    space->sessions_.erase(numbers.ids[space->level()]);
}

std::vector<RefPtr<ThreadGroup>> ProcessGroup::Members() const {
  MutexLock lock(kernel_.task_tree_lock());
  std::vector<RefPtr<ThreadGroup>> members;
  members.reserve(members_.size());
  for (ThreadGroup* member : members_) members.emplace_back(member);
  return members;
}

bool ProcessGroup::IsOrphanedLocked(const ThreadGroup* ignored) const {
  for (const ThreadGroup* member : members_) {
    const ThreadGroup* parent = member->parent_;
    if (member == ignored || member->zombie_) continue;
    if (member->is_ordinary_init_) return false;  // whoever started the sandbox can continue it
    if (parent == nullptr) continue;
    if (parent->process_group_ != this && parent->process_group_->session() == session_) return false;
  }
  return true;
}

bool ProcessGroup::IsOrphaned() const {
  MutexLock lock(kernel_.task_tree_lock());
  return IsOrphanedLocked(nullptr);
}

bool ProcessGroup::HasStoppedMemberLocked() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const ThreadGroup* member) { return member->IsStopped(); });
}

void ProcessGroup::SendSignalLocked(int signal) {
  for (ThreadGroup* member : members_) (void)member->SendSignal(MakeSignalInfo(signal, SI_KERNEL));
}

void ProcessGroup::SendSignal(int signal) {
  MutexLock lock(kernel_.task_tree_lock());
  SendSignalLocked(signal);
}

void ProcessGroup::HangUpIfOrphanedLocked(const ThreadGroup* ignored) {
  if (!IsOrphanedLocked(ignored) || !HasStoppedMemberLocked()) return;
  SendSignalLocked(SIGHUP);
  SendSignalLocked(SIGCONT);
}

}  // namespace runsc
