#include "sentry/ipc/semaphores.h"

#include <algorithm>

namespace runsc {

struct SemaphoreSets::SemaphoreSet final : IpcObject, RefCounted {
  SemaphoreSet(const IpcPermissions& permissions, size_t count, IpcCharge charge)
      : IpcObject(permissions), semaphores(count), charge(std::move(charge)) {}
  std::vector<Semaphore> semaphores;
  std::list<SemaphoreOperation*> waiting;
  int64_t operation_time = 0, change_time = IpcNow();  // seconds
  IpcCharge charge;
};

SemaphoreSets::SemaphoreSets(CurrentPid current_pid) : current_pid_(current_pid) {}

SemaphoreSets::~SemaphoreSets() = default;

SemaphoreUndo::SemaphoreUndo(RefPtr<SemaphoreSets> sets) : sets_(std::move(sets)) {
  MutexLock lock(sets_->mu_);
  sets_->undos_.insert(this);
}

SemaphoreUndo::~SemaphoreUndo() { sets_->UndoAll(*this); }

Result<RefPtr<SemaphoreSets::SemaphoreSet>> SemaphoreSets::FindLocked(int id, int access,
                                                                      const IpcCaller& caller) {
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, table_.Find(id));
  RETURN_IF_ERROR(CheckIpcAccess(set->permissions, caller, access));
  return set;
}

Result<int> SemaphoreSets::Get(key_t key, int count, int flags, const IpcCaller& caller) {
  if (count < 0 || count > limits.per_set) return Errno(EINVAL);
  MutexLock lock(mu_);
  auto check = [&](SemaphoreSet& set) -> Result<void> {
    if (static_cast<size_t>(count) > set.semaphores.size()) return Errno(EINVAL);
    return Ok();
  };
  auto make = [&]() -> Result<RefPtr<SemaphoreSet>> {
    mu_.AssertHeld();
    if (count == 0) return Errno(EINVAL);
    if (semaphores_ > limits.total - count) return Errno(ENOSPC);
    if (table_.size() >= limits.sets) return Errno(ENOSPC);
    ASSIGN_OR_RETURN(IpcCharge charge,
                     IpcCharge::Take(sizeof(SemaphoreSet) + static_cast<size_t>(count) * sizeof(Semaphore)));
    semaphores_ += count;
    IpcPermissions permissions(key, static_cast<uint32_t>(flags) & 0777, caller.creds);
    return MakeRef<SemaphoreSet>(permissions, static_cast<size_t>(count), std::move(charge));
  };
  return table_.Get(key, flags, caller, kIpcMaxObjects, check, make);
}

Result<void> SemaphoreSets::PrepareUndoLocked(SemaphoreSet& set, const SemaphoreOperation& operation) {
  if (operation.undo_ == nullptr) return Ok();
  auto& adjustments = operation.undo_->adjustments_;
  if (adjustments.contains(set.id)) return Ok();
  size_t count = set.semaphores.size();
  ASSIGN_OR_RETURN(IpcCharge charge,
                   IpcCharge::Take(sizeof(SemaphoreUndo::Adjustments) + count * sizeof(int16_t)));
  adjustments.emplace(set.id, SemaphoreUndo::Adjustments{std::vector<int16_t>(count), std::move(charge)});
  return Ok();
}

// perform_atomic_semop(): changes the values one by one; `applied` tells how many were.
Result<void> SemaphoreSets::ApplyLocked(SemaphoreSet& set, SemaphoreOperation& operation, size_t& applied) {
  SemaphoreUndo::Adjustments* undo = nullptr;
  if (operation.undo_ != nullptr) {
    auto found = operation.undo_->adjustments_.find(set.id);
    if (found == operation.undo_->adjustments_.end()) return Errno(EIDRM);
    undo = &found->second;
  }
  for (const sembuf& one : operation.operations_) {
    Semaphore& semaphore = set.semaphores[one.sem_num];
    const int value = semaphore.value + one.sem_op;
    if ((one.sem_op == 0 && semaphore.value != 0) || value < 0) {
      operation.blocking_ = &one;
      return Errno(EAGAIN);
    }
    if (value > kSemaphoreMax) return Errno(ERANGE);
    if ((one.sem_flg & SEM_UNDO) != 0 && undo != nullptr) {
      int adjustment = undo->values[one.sem_num] - one.sem_op;
      if (adjustment < -kSemaphoreMax - 1 || adjustment > kSemaphoreMax) return Errno(ERANGE);
      undo->values[one.sem_num] = static_cast<int16_t>(adjustment);
    }
    semaphore.value = value;
    ++applied;
  }
  return Ok();
}

Result<void> SemaphoreSets::TryLocked(SemaphoreSet& set, SemaphoreOperation& operation) {
  size_t applied = 0;
  Result<void> result = ApplyLocked(set, operation, applied);
  const auto& operations = operation.operations_;
  if (result.ok()) {
    for (const sembuf& one : operations) set.semaphores[one.sem_num].pid = operation.pid_;
    set.operation_time = IpcNow();
    return result;
  }
  while (applied > 0) {
    const sembuf& one = operations[--applied];
    set.semaphores[one.sem_num].value -= one.sem_op;
    if ((one.sem_flg & SEM_UNDO) == 0 || operation.undo_ == nullptr) continue;
    auto& values = operation.undo_->adjustments_.at(set.id).values;
    values[one.sem_num] = static_cast<int16_t>(values[one.sem_num] + one.sem_op);
  }
  return result;
}

void SemaphoreSets::CompleteLocked(SemaphoreOperation& operation, int error) {
  operation.error_ = error;
  operation.done_.store(true, std::memory_order_release);
  operation.waiter_.Notify(EPOLLIN);
}

void SemaphoreSets::UpdateLocked(SemaphoreSet& set) {
  for (auto it = set.waiting.begin(); it != set.waiting.end();) {
    SemaphoreOperation& operation = **it;
    Result<void> tried = TryLocked(set, operation);
    if (tried.is(EAGAIN)) {
      // Another of its operations may be what it waits for now, and that may not wait.
      if ((operation.blocking_->sem_flg & IPC_NOWAIT) == 0) {
        ++it;
        continue;
      }
    }
    it = set.waiting.erase(it);
    CompleteLocked(operation, tried.ok() ? 0 : tried.error().value());
    auto alters = [](const sembuf& one) { return one.sem_op != 0; };
    const auto& operations = operation.operations_;
    if (tried.ok() && std::any_of(operations.begin(), operations.end(), alters)) it = set.waiting.begin();
  }
}

Result<bool> SemaphoreSets::Operate(int id, const IpcCaller& caller, SemaphoreOperation& operation) {
  int highest = 0;
  bool alters = false;
  for (const sembuf& one : operation.operations_) {
    highest = std::max<int>(highest, one.sem_num);
    alters = alters || one.sem_op != 0;
  }
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, table_.Find(id));
  if (static_cast<size_t>(highest) >= set->semaphores.size()) return Errno(EFBIG);
  RETURN_IF_ERROR(CheckIpcAccess(set->permissions, caller, alters ? 0222 : 0444));
  RETURN_IF_ERROR(PrepareUndoLocked(*set, operation));
  Result<void> tried = TryLocked(*set, operation);
  if (tried.ok()) {
    if (alters) UpdateLocked(*set);
    return true;
  }
  if (!tried.is(EAGAIN) || (operation.blocking_->sem_flg & IPC_NOWAIT) != 0) return tried.error();
  set->waiting.push_back(&operation);
  operation.set_ = set;
  return false;
}

Result<void> SemaphoreSets::Finish(SemaphoreOperation& operation) {
  RefPtr<RefCounted> released;
  MutexLock lock(mu_);
  released = std::move(operation.set_);
  if (!operation.done()) {
    static_cast<SemaphoreSet&>(*released).waiting.remove(&operation);
    return Errno(EAGAIN);
  }
  if (operation.error_ != 0) return Errno(operation.error_);
  return Ok();
}

Result<int> SemaphoreSets::GetValue(int id, int number, int command, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, FindLocked(id, 0444, caller));
  if (number < 0 || static_cast<size_t>(number) >= set->semaphores.size()) return Errno(EINVAL);
  const Semaphore& semaphore = set->semaphores[static_cast<size_t>(number)];
  if (command == GETVAL) return semaphore.value;
  if (command == GETPID) return semaphore.pid;
  // A task counts for the one semaphore that keeps it waiting.
  return static_cast<int>(
      std::count_if(set->waiting.begin(), set->waiting.end(), [&](const SemaphoreOperation* operation) {
        const sembuf& blocking = *operation->blocking_;
        return blocking.sem_num == number && (blocking.sem_op == 0) == (command == GETZCNT);
      }));
}

Result<std::vector<uint16_t>> SemaphoreSets::GetAll(int id, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, FindLocked(id, 0444, caller));
  std::vector<uint16_t> values;
  values.reserve(set->semaphores.size());
  for (const Semaphore& semaphore : set->semaphores) values.push_back(static_cast<uint16_t>(semaphore.value));
  return values;
}

void SemaphoreSets::ForgetUndoLocked(int id, std::optional<int> number) {
  for (SemaphoreUndo* undo : undos_) {
    auto found = undo->adjustments_.find(id);
    if (found == undo->adjustments_.end()) continue;
    std::vector<int16_t>& values = found->second.values;
    if (number) {
      values[static_cast<size_t>(*number)] = 0;
    } else {
      std::fill(values.begin(), values.end(), int16_t{0});
    }
  }
}

Result<void> SemaphoreSets::SetValue(int id, int number, int value, const IpcCaller& caller) {
  if (value < 0 || value > kSemaphoreMax) return Errno(ERANGE);
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, table_.Find(id));
  if (number < 0 || static_cast<size_t>(number) >= set->semaphores.size()) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckIpcAccess(set->permissions, caller, 0222));
  ForgetUndoLocked(id, number);
  set->semaphores[static_cast<size_t>(number)] = {value, caller.pid};
  set->change_time = IpcNow();
  UpdateLocked(*set);
  return Ok();
}

Result<size_t> SemaphoreSets::CountToSet(int id, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, FindLocked(id, 0222, caller));
  return set->semaphores.size();
}

Result<void> SemaphoreSets::SetAll(int id, const std::vector<uint16_t>& values, const IpcCaller& caller) {
  for (uint16_t value : values) {
    if (value > kSemaphoreMax) return Errno(ERANGE);
  }
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, FindLocked(id, 0222, caller));
  if (values.size() != set->semaphores.size()) return Errno(EIDRM);
  for (size_t i = 0; i < values.size(); ++i) set->semaphores[i] = {values[i], caller.pid};
  ForgetUndoLocked(id, std::nullopt);
  set->change_time = IpcNow();
  UpdateLocked(*set);
  return Ok();
}

IpcStatus<semid_ds> SemaphoreSets::StatusOf(const SemaphoreSet& set) {
  IpcStatus<semid_ds> status{set.id, {}};
  status.description.sem_perm = ToIpcPerm(set);
  status.description.sem_otime = set.operation_time;
  status.description.sem_ctime = set.change_time;
  status.description.sem_nsems = set.semaphores.size();
  return status;
}

Result<IpcStatus<semid_ds>> SemaphoreSets::Stat(int id, IpcLookup how, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, table_.FindToStat(id, how, caller));
  return StatusOf(*set);
}

Result<void> SemaphoreSets::Set(int id, const ipc_perm& wanted, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SemaphoreSet> set, table_.FindToControl(id, caller));
  RETURN_IF_ERROR(ChangeIpcOwner(set->permissions, wanted, caller));
  set->change_time = IpcNow();
  return Ok();
}

Result<void> SemaphoreSets::Remove(int id, const IpcCaller& caller) {
  RefPtr<SemaphoreSet> set;
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(set, table_.FindToControl(id, caller));
  table_.Remove(*set);
  semaphores_ -= static_cast<int>(set->semaphores.size());
  for (SemaphoreUndo* undo : undos_) undo->adjustments_.erase(id);
  for (SemaphoreOperation* operation : set->waiting) CompleteLocked(*operation, EIDRM);
  set->waiting.clear();
  return Ok();
}

std::pair<seminfo, int> SemaphoreSets::Info(bool used) {
  seminfo info{};
  info.semmni = limits.sets;
  info.semmns = limits.total;
  info.semmsl = limits.per_set;
  info.semopm = limits.operations;
  info.semvmx = kSemaphoreMax;
  info.semaem = kSemaphoreMax;
  // What the kernel does not use has its compiled-in default.
  info.semmap = info.semmnu = 1024000000;
  info.semume = 500;
  info.semusz = 20;
  MutexLock lock(mu_);
  if (used) {
    info.semusz = table_.size();
    info.semaem = semaphores_;
  }
  return {info, table_.highest_index()};
}

std::vector<IpcStatus<semid_ds>> SemaphoreSets::List() {
  MutexLock lock(mu_);
  std::vector<IpcStatus<semid_ds>> list;
  for (const auto& [index, set] : table_.objects()) list.push_back(StatusOf(*set));
  return list;
}

// exit_sem()
void SemaphoreSets::UndoAll(SemaphoreUndo& undo) {
  const pid_t pid = current_pid_();
  MutexLock lock(mu_);
  undos_.erase(&undo);
  for (const auto& [id, adjustments] : undo.adjustments_) {
    Result<RefPtr<SemaphoreSet>> set = table_.Find(id);
    if (!set.ok()) continue;
    for (size_t i = 0; i < adjustments.values.size(); ++i) {
      if (adjustments.values[i] == 0) continue;
      Semaphore& semaphore = (*set)->semaphores[i];
      semaphore.value = std::clamp(semaphore.value + adjustments.values[i], 0, kSemaphoreMax);
      semaphore.pid = pid;
    }
    (*set)->operation_time = IpcNow();
    UpdateLocked(**set);
  }
}

}  // namespace runsc
