#include "platform/ptrace/ptrace_address_space.h"

#include <sys/syscall.h>

#include "platform/ptrace/ptrace_platform.h"
#include "platform/ptrace/stub_thread.h"

namespace runsc {
namespace {

constexpr size_t kFreeThreadsKept = 16;

// The last stub thread that this host thread has run, which is stopped whenever this
// host thread is not inside Switch.
thread_local PtraceAddressSpace* borrowable_space = nullptr;
thread_local StubThread* borrowable_thread = nullptr;

}  // namespace

PtraceAddressSpace::PtraceAddressSpace(PtracePlatform& platform, std::unique_ptr<StubProcess> process)
    : StubAddressSpace(platform.master(), std::move(process), kMinAddress, platform.master().base()),
      platform_(platform) {}

void PtraceAddressSpace::SetBorrowable(PtraceAddressSpace* space, StubThread* thread) {
  borrowable_space = space;
  borrowable_thread = thread;
}

Result<int32_t> PtraceAddressSpace::CarryOutLocked(std::span<const StubCommand> list) {
  if (borrowable_space != this || !borrowable_thread->attached()) return process_->Run(list);
  RETURN_IF_ERROR(process_->Finish());
  process_->Load(list);
  Result<int32_t> answer = borrowable_thread->Inject(platform_.code().inject, platform_.code().trap);
  if (!borrowable_thread->attached()) process_->MarkDead();
  if (answer.ok() && *answer < 0) return Errno(-*answer);
  return answer;
}

Result<pid_t> PtraceAddressSpace::TakeThread() {
  MutexLock lock(mu_);
  if (process_->dead()) return Errno(ESRCH);
  if (!free_threads_.empty()) {
    pid_t tid = free_threads_.back();
    free_threads_.pop_back();
    return tid;
  }
  // The process's first list makes a thread, which is the answer of this Finish.
  ASSIGN_OR_RETURN(int32_t first, process_->Finish());
  if (first > 0) return first;
  const StubCommand clone[] = {{SYS_clone, {STUB_THREAD_FLAGS}}};
  return process_->Run(clone);
}

bool PtraceAddressSpace::WantsThread() {
  MutexLock lock(mu_);
  return free_threads_.size() < kFreeThreadsKept;
}

void PtraceAddressSpace::ReturnThread(pid_t tid) {
  MutexLock lock(mu_);
  free_threads_.push_back(tid);
}

}  // namespace runsc
