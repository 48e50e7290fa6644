#include "sentry/kernel/seccomp_listener.h"

#include <sys/random.h>

#include <algorithm>

#include "sentry/kernel/task.h"

namespace runsc {
namespace {

// Cookies are not to be guessed from the ones of another listener.
uint64_t RandomCookie() {
  uint64_t cookie = 0;
  (void)!getrandom(&cookie, sizeof(cookie), 0);
  return cookie;
}

}  // namespace

SeccompListener::SeccompListener(bool wait_killable)
    : wait_killable_(wait_killable), next_id_(RandomCookie()) {}

SeccompListener::~SeccompListener() = default;

SeccompListener::Entry* SeccompListener::FindLocked(uint64_t id) {
  auto found =
      std::find_if(entries_.begin(), entries_.end(), [id](const Entry& e) { return e.request.id == id; });
  return found != entries_.end() ? &*found : nullptr;
}

const SeccompListener::Entry* SeccompListener::FindLocked(uint64_t id) const {
  return const_cast<SeccompListener*>(this)->FindLocked(id);
}

SyscallDecision SeccompListener::DecisionOf(const Entry& entry) {
  if ((entry.flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE) != 0) return {};
  // As the supervisor gave them: the register gets the error if there is one, whatever it is.
  return SyscallDecision::Refuse(entry.error != 0 ? int64_t{entry.error} : entry.value);
}

// Until the call has its answer. ERESTARTSYS.
Result<void> SeccompListener::Wait(Task& task, uint64_t id) {
  for (;;) {
    bool killable = false;
    {
      MutexLock lock(mu_);
      Entry* entry = FindLocked(id);
      if (entry == nullptr || entry->state == State::kAnswered) return Ok();
      killable = wait_killable_ && entry->state != State::kNew;
    }
    Result<void> blocked = killable ? task.BlockKillable() : task.Block();
    if (blocked.ok()) continue;
    MutexLock lock(mu_);
    Entry* entry = FindLocked(id);
    if (entry != nullptr && entry->state == State::kAnswered) return Ok();
    // Taken meanwhile: from now on only what kills ends the wait.
    if (!killable && wait_killable_ && entry != nullptr && entry->state != State::kNew) continue;
    return blocked;
  }
}

SyscallDecision SeccompListener::Ask(Task& task, const seccomp_data& data) {
  uint64_t id = 0;
  {
    MutexLock lock(mu_);
    if (closed_) return SyscallDecision::Refuse(-ENOSYS);
    id = next_id_++;
    Entry& entry = entries_.emplace_back();
    entry.request = {id, RefPtr<Task>(&task), data};
  }
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
  Result<void> waited = Wait(task, id);
  RefPtr<Task> self;  // dropped without the lock
  MutexLock lock(mu_);
  Entry* entry = FindLocked(id);
  SyscallDecision decision = SyscallDecision::Refuse(-ENOSYS);
  if (!waited.ok()) {
    decision.interrupted = true;
  } else if (entry != nullptr) {
    decision = DecisionOf(*entry);
  }
  if (entry != nullptr) {
    self = std::move(entry->request.task);
    std::erase_if(entries_, [id](const Entry& e) { return e.request.id == id; });
  }
  return decision;
}

std::optional<SeccompListener::Request> SeccompListener::Take() {
  std::optional<Request> request;
  {
    MutexLock lock(mu_);
    for (Entry& entry : entries_) {
      if (entry.state != State::kNew) continue;
      entry.state = State::kTaken;
      request = entry.request;
      break;
    }
  }
  if (request) {
    queue_.Notify(EPOLLOUT | EPOLLWRNORM);
    if (wait_killable_) request->task->Wake();  // waits in another way from now on
  }
  return request;
}

void SeccompListener::PutBack(uint64_t id) {
  {
    MutexLock lock(mu_);
    Entry* entry = FindLocked(id);
    if (entry == nullptr || entry->state != State::kTaken) return;
    entry->state = State::kNew;
  }
  queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

Result<void> SeccompListener::Answer(const seccomp_notif_resp& response) {
  RefPtr<Task> task;
  {
    MutexLock lock(mu_);
    Entry* entry = FindLocked(response.id);
    if (entry == nullptr) return Errno(ENOENT);
    if (entry->state != State::kTaken) return Errno(EINPROGRESS);
    entry->state = State::kAnswered;
    entry->value = response.val;
    entry->error = response.error;
    entry->flags = response.flags;
    task = entry->request.task;
  }
  task->Wake();
  return Ok();
}

bool SeccompListener::IsValid(uint64_t id) const {
  MutexLock lock(mu_);
  const Entry* entry = FindLocked(id);
  return entry != nullptr && entry->state == State::kTaken;
}

Result<RefPtr<Task>> SeccompListener::Target(uint64_t id, bool answers) {
  MutexLock lock(mu_);
  Entry* entry = FindLocked(id);
  if (entry == nullptr) return Errno(ENOENT);
  if (entry->state != State::kTaken) return Errno(EINPROGRESS);
  if (answers) entry->state = State::kAnswering;
  return entry->request.task;
}

void SeccompListener::FinishTarget(uint64_t id, int fd) {
  RefPtr<Task> task;
  {
    MutexLock lock(mu_);
    Entry* entry = FindLocked(id);
    if (entry == nullptr || entry->state != State::kAnswering) return;
    entry->state = fd < 0 ? State::kTaken : State::kAnswered;
    entry->value = fd;
    task = entry->request.task;
  }
  task->Wake();
}

EventMask SeccompListener::Readiness(EventMask mask) const {
  EventMask ready = 0;
  MutexLock lock(mu_);
  for (const Entry& entry : entries_) {
    if (entry.state == State::kNew) ready |= EPOLLIN | EPOLLRDNORM;
    if (entry.state == State::kTaken) ready |= EPOLLOUT | EPOLLWRNORM;
  }
  if (orphaned_) ready |= EPOLLHUP;
  return ready & (mask | EPOLLHUP);
}

void SeccompListener::Close() {
  std::vector<RefPtr<Task>> waiting;
  {
    MutexLock lock(mu_);
    closed_ = true;
    for (Entry& entry : entries_) {
      if (entry.state == State::kAnswered) continue;
      entry.state = State::kAnswered;
      entry.error = -ENOSYS;
      entry.value = 0;
      entry.flags = 0;
      waiting.push_back(entry.request.task);
    }
  }
  for (const auto& task : waiting) task->Wake();
}

void SeccompListener::Orphan() {
  {
    MutexLock lock(mu_);
    orphaned_ = true;
  }
  queue_.Notify(EPOLLHUP);
}

}  // namespace runsc
