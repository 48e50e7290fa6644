#include "sentry/syscalls/poll_set.h"

namespace runsc {

PollSet::~PollSet() {
  for (size_t i = 0; i < waiters_.size(); ++i) {
    if (targets_[i].queue != nullptr) targets_[i].queue->Remove(waiters_[i]);
  }
}

void PollSet::Add(RefPtr<FileDescription> file, EventMask wanted) {
  targets_.push_back(Target{std::move(file), wanted});
}

size_t PollSet::Look() {
  size_t count = 0;
  for (Target& target : targets_) {
    target.ready = target.file->Readiness(target.wanted) & target.wanted;
    if (target.ready == 0) continue;
    target.file->OnReported(target.ready);
    ++count;
  }
  return count;
}

Result<size_t> PollSet::Wait(bool immediate, Deadline deadline) {
  size_t count = Look();
  if (count > 0 || immediate) return count;
  for (Target& target : targets_) {
    target.queue = target.file->wait_queue();
    waiters_.emplace_back(task_);
    if (target.queue != nullptr) target.queue->Add(waiters_.back(), target.wanted);
  }
  for (;;) {
    count = Look();
    if (count > 0) return count;
    Result<void> slept = task_.Block(deadline);
    if (slept.is(ETIMEDOUT)) return Look();
    RETURN_IF_ERROR(slept);
  }
}

}  // namespace runsc
