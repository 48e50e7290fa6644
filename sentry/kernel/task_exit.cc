// The end of a task, and of its process with the last one.
#include <linux/futex.h>

#include <algorithm>

#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/process_accounting.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"
#include "sentry/kernel/vfork_done.h"

namespace runsc {

void Task::PrepareExit(int wait_status) {
  exit_status_ = wait_status;
  exit_requested_.store(true, std::memory_order_release);
  work_pending_.store(true, std::memory_order_seq_cst);
}

void Task::PrepareGroupExit(int wait_status) {
  thread_group_->BeginExit(wait_status);
  PrepareExit(wait_status);
}

void Task::Exit() {
  ThreadGroup& group = *thread_group_;
  bool group_dead = false;
  bool notify_stop = false;
  {
    MutexLock lock(group.signal_mu_);
    exiting_ = true;
    tracee_->RememberExitStatus(group.IsExiting() ? group.exit_status() : exit_status_);
    if (!group.IsExiting() && group.leader_ == this) group.exit_status_.store(exit_status_);
    group_dead = --group.live_ == 0;
    if (group_dead) group.exiting_.store(true, std::memory_order_release);
    if (std::exchange(stop_pending_, false))
      notify_stop = !tracee_->TakeUncountedLocked() && group.FinishStopLocked() && !group_dead;
    group.RetargetLocked(*this, SignalSet::All());
  }
  if (notify_stop) {
    MutexLock tree(kernel_.task_tree_mu_);
    group.NotifyParentLocked(CLD_STOPPED);
  }
  if (group_dead) group.posix_timers_->Clear();
  WalkRobustList();
  if (clear_child_tid && memory_->Write(clear_child_tid, int32_t{0}).ok()) {
    if (auto key = memory_->GetFutexKey(clear_child_tid.addr(), false); key.ok())
      kernel_.futexes().Wake(FutexKey{key->object, key->offset}, FUTEX_BITSET_MATCH_ANY, 1);
  }
  FinishVfork();
  MakeWakes();
  if (group_dead) AccountForProcess(*this);
  ReleaseResources(group_dead);
  host_time_.store(HostCpuTime(), std::memory_order_release);
  host_clock_.store(-1, std::memory_order_release);
  LeaveTree(group_dead);
}

void Task::FinishVfork() {
  if (!vfork_done_) return;
  RefPtr<VforkDone> done = std::move(vfork_done_);
  done->done.store(true, std::memory_order_release);
  done->parent->Wake();
}

void Task::ReleaseResources(bool group_dead) {
  RefPtr<Session> session;
  if (group_dead) {
    MutexLock tree(kernel_.task_tree_mu_);
    const RefPtr<Session>& own = thread_group_->process_group_->session();
    if (own->leader_ == thread_group_.get()) {
      session = own;
      own->leader_ = nullptr;
    }
  }
  RefPtr<MemoryManager> memory;
  RefPtr<FDTable> fd_table;
  RefPtr<FsContext> fs;
  RefPtr<IpcNamespace> ipc;
  DropSemaphoreUndo();
  {
    MutexLock lock(state_mu_);
    memory = std::move(memory_);
    fd_table = std::move(fd_table_);
    fs = std::move(fs_);
    ipc = std::move(ipc_);
  }
  if (group_dead) {
    const uint64_t peak = memory->PeakResidentBytes();
    MutexLock tree(kernel_.task_tree_mu_);
    MutexLock lock(thread_group_->signal_mu_);
    CpuUsage& usage = thread_group_->dead_usage_;
    usage.peak_resident = std::max(usage.peak_resident, peak);
  }
  context_->Detach();
  seccomp_->Release();
  kernel_.keyrings().Release(keyrings_);
  // Closes what nobody else has open, without a lock.
  fd_table.reset();
  fs.reset();
  memory.reset();
  restart_block_ = nullptr;
  child_pid_namespace_.reset();
  if (session) {
    if (RefPtr<Terminal> terminal = session->terminal()) terminal->Hangup();
  }
}

void Task::ReleaseLocked() {
  ThreadGroup& group = *thread_group_;
  for (PidNamespace* space = numbers_.space.get(); space != nullptr; space = space->parent().get())
    space->tasks_.erase(numbers_.ids[space->level()]);
  CpuUsage usage = GetCpuUsage();
  state_letter_.store('X', std::memory_order_relaxed);
  kernel_.task_count_.fetch_sub(1, std::memory_order_relaxed);
  counted_ = {};
  MutexLock lock(group.signal_mu_);
  group.dead_usage_.user += usage.user;
  group.dead_usage_.system += usage.system;
  group.dead_usage_.minor_faults += usage.minor_faults;
  group.dead_usage_.voluntary_switches += usage.voluntary_switches;
  // The caller keeps the task alive.
  if (group.leader_ == this) group.leader_ = nullptr;
  std::erase_if(group.tasks_, [this](const RefPtr<Task>& task) { return task == this; });
}

void Task::LeaveTree(bool group_dead) {
  ThreadGroup& group = *thread_group_;
  std::vector<RefPtr<ThreadGroup>> released;
  std::vector<RefPtr<Task>> released_tasks;
  RefPtr<Task> exec_task;
  {
    MutexLock tree(kernel_.task_tree_mu_);
    state_letter_.store('Z', std::memory_order_relaxed);
    zombie_ = true;
    PidNamespace& space = *group.pid_namespace_;
    if (group_dead) {
      if (space.init_ == &group) {
        // Without its init a PID namespace ends: pid_namespaces(7).
        space.dead_ = true;
        for (const auto& other : space.ThreadGroupsLocked()) {
          if (other.get() != &group) other->BeginExit(SIGKILL);
        }
        space.init_ = nullptr;
      }
      group.ReparentChildrenLocked(released);
      if (group.parent_ != nullptr && group.parent_->process_group_ != group.process_group_ &&
          group.parent_->process_group_->session() == group.process_group_->session())
        group.process_group_->HangUpIfOrphanedLocked(&group);
    }
    tracee_->ReleaseTraceesLocked(released, released_tasks);
    const bool is_traced = tracee_->IsTracedLocked();
    if (is_traced && (group.leader_ != this || group.tasks_.size() > 1)) tracee_->NotifyExitLocked();
    // A traced thread is a zombie until its tracer has waited for it.
    if (group.leader_ != this && !is_traced) ReleaseLocked();
    {
      MutexLock lock(group.signal_mu_);
      exec_task = RefPtr<Task>(group.exec_task_);
    }
    if (group.tasks_.size() == 1 && group.leader_ != nullptr && group.leader_->zombie_)
      group.AllTasksGoneLocked(released);
  }
  if (exec_task) exec_task->Wake();
}

void Task::WalkRobustList() {
  struct RobustListHead {
    uint64_t next;
    int64_t futex_offset;
    uint64_t pending;
  };
  if (robust_list.is_null()) return;
  auto head = memory_->Read(UserPtr<const RobustListHead>(robust_list));
  uint64_t head_address = robust_list.value();
  robust_list = {};
  if (!head.ok()) return;

  uint32_t tid = static_cast<uint32_t>(this->tid());
  auto died = [&](uint64_t entry, bool is_pending) {
    bool is_pi = (entry & 1) != 0;
    UserAddr word((entry & ~uint64_t{1}) + static_cast<uint64_t>(head->futex_offset));
    bool wake = false;
    auto result = memory_->WithWord(word, MemoryAccess::kWrite, [&](uint32_t* value) -> Result<void> {
      uint32_t old = __atomic_load_n(value, __ATOMIC_SEQ_CST);
      for (;;) {
        if ((old & FUTEX_TID_MASK) != tid) {
          wake = is_pending && !is_pi && old == 0;
          return Ok();
        }
        uint32_t dead = (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        if (!__atomic_compare_exchange_n(value, &old, dead, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
          continue;
        wake = !is_pi && (old & FUTEX_WAITERS) != 0;
        return Ok();
      }
    });
    if (!result.ok()) return false;
    if (!wake) return true;
    if (auto key = memory_->GetFutexKey(word, false); key.ok())
      kernel_.futexes().Wake(FutexKey{key->object, key->offset}, FUTEX_BITSET_MATCH_ANY, 1);
    return true;
  };
  constexpr int kLimit = 2048;  // ROBUST_LIST_LIMIT: the list may be a circle
  uint64_t entry = head->next;
  for (int i = 0; i < kLimit && (entry & ~uint64_t{1}) != head_address; ++i) {
    // Read before the owner may reuse it.
    auto next = memory_->Read(UserPtr<const uint64_t>(entry & ~uint64_t{1}));
    if ((entry & ~uint64_t{1}) != (head->pending & ~uint64_t{1}) && !died(entry, false)) break;
    if (!next.ok()) break;
    entry = *next;
  }
  if ((head->pending & ~uint64_t{1}) != 0) (void)died(head->pending, true);
}

}  // namespace runsc
