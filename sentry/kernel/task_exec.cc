// execve(2): the new program takes the place of every thread of the process.
#include <algorithm>

#include "sentry/arch/xsave.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/tracee.h"

namespace runsc {

Result<void> Task::KillOtherThreads() {
  ThreadGroup& group = *thread_group_;
  {
    MutexLock lock(group.signal_mu_);
    if (group.IsExiting() || exit_requested_.load() || group.exec_task_ != nullptr)
      return Errno(ERESTARTNOINTR);
    if (group.tasks_.size() == 1) return Ok();
    group.exec_task_ = this;
    group.EndStopLocked();
    for (const auto& task : group.tasks_) {
      if (task.get() == this) continue;
      task->exit_requested_.store(true, std::memory_order_release);
      task->Interrupt();
    }
  }
  for (;;) {
    {
      // Only the leader's remains may still be there: its number is needed.
      MutexLock tree(kernel_.task_tree_mu_);
      size_t left = group.tasks_.size();
      if (left == 1 || (left == 2 && group.leader_ != this && group.leader_->zombie_)) return Ok();
    }
    if (auto blocked = BlockKillable(); !blocked.ok()) {
      MutexLock lock(group.signal_mu_);
      group.exec_task_ = nullptr;
      return blocked;
    }
  }
}

void Task::BecomeLeader() {
  ThreadGroup& group = *thread_group_;
  RefPtr<Task> old;
  std::vector<RefPtr<Task>> released;
  MutexLock tree(kernel_.task_tree_mu_);
  if (group.leader_ != this) group.leader_->tracee_->UnlinkLocked(released);
  MutexLock lock(group.signal_mu_);
  group.exec_task_ = nullptr;
  if (group.leader_ == this) return;
  old = RefPtr<Task>(group.leader_);
  PidNumbers own = numbers_;
  for (PidNamespace* space = own.space.get(); space != nullptr; space = space->parent().get()) {
    space->tasks_.erase(own.ids[space->level()]);
    space->tasks_[group.numbers_.ids[space->level()]] = this;
  }
  SetNumbersLocked(group.numbers_);
  old->SetNumbersLocked(std::move(own));
  CpuUsage usage = old->GetCpuUsage();
  group.dead_usage_.user += usage.user;
  group.dead_usage_.system += usage.system;
  group.dead_usage_.minor_faults += usage.minor_faults;
  group.dead_usage_.voluntary_switches += usage.voluntary_switches;
  old->counted_ = {};
  group.leader_ = this;
  std::erase_if(group.tasks_, [&](const RefPtr<Task>& task) { return task == old; });
  kernel_.task_count_.fetch_sub(1, std::memory_order_relaxed);
}

Result<void> Task::Execve(LoadRequest request) {
  request.limits = memory_limits();
  request.time_offsets = child_time_namespace_->offsets();
  if (tracee_->IsUnsafeForExec() && !creds().no_new_privs) {
    // Whoever traces it must not get hold of what a set-user-ID program is.
    RefPtr<Credentials> restricted = creds().Clone();
    restricted->no_new_privs = true;
    request.paths.creds = std::move(restricted);
  }
  const pid_t old_id = tracee_->IdForTracer(*this);
  ASSIGN_OR_RETURN(LoadedProgram program, kernel_.loader().Load(request));
  RETURN_IF_ERROR(KillOtherThreads());
  // From here on nothing can fail.
  BecomeLeader();
  ThreadGroup& group = *thread_group_;
  if (memory_->ref_count() > 1) {
    WalkRobustList();
    if (clear_child_tid) (void)memory_->Write(clear_child_tid, int32_t{0});
  }
  clear_child_tid = {};
  robust_list = {};
  group.membarrier_registered.store(0);

  RefPtr<const Credentials> new_creds = program.creds ? std::move(program.creds) : creds_;
  bool changed = program.secure || new_creds->euid != creds().euid || new_creds->egid != creds().egid;
  program.memory->SetExecutable(std::move(program.executable));
  const uint64_t peak = memory_->PeakResidentBytes();
  {
    MutexLock tree(kernel_.task_tree_mu_);
    MutexLock lock(group.signal_mu_);
    group.dead_usage_.peak_resident = std::max(group.dead_usage_.peak_resident, peak);
  }
  {
    RefPtr<MemoryManager> old = program.memory;
    RefPtr<TimeNamespace> old_time = child_time_namespace_;
    old_time->Freeze();
    {
      MutexLock lock(state_mu_);
      std::swap(memory_, old);
      std::swap(time_namespace_, old_time);
    }
    context_->Detach();
    FinishVfork();
  }
  if (fd_table_->ref_count() > 1) SetFDTable(fd_table_->Fork());
  fd_table_->CloseOnExec();
  if (changed) parent_death_signal.store(0);
  kernel_.keyrings().OnExec(keyrings_);
  SetCreds(std::move(new_creds));
  SetName(program.name);
  {
    RefPtr<SignalHandlers> handlers = group.handlers()->Copy();
    handlers->ResetForExec();
    MutexLock lock(group.signal_mu_);
    std::swap(group.handlers_, handlers);
    group.exit_signal_.store(SIGCHLD);
  }
  group.posix_timers_->OnExec();
  signal_stack_ = stack_t{};
  signal_stack_.ss_flags = SS_DISABLE;
  restart_block_ = nullptr;
  fault_ = FaultContext{};
  registers() = program.registers;
  registers_.orig_rax = static_cast<uint64_t>(syscall_number_);
  (void)context_->SetFpState(InitialFpState(kernel_.platform().fp_state_size()));
  group.has_execed.store(true);
  tracee_->OnExec(old_id);
  return Ok();
}

}  // namespace runsc
