#include "platform/ptrace/ptrace_address_space.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

#include "platform/ptrace/ptrace_platform.h"
#include "platform/ptrace/stub_thread.h"

namespace runsc {
namespace {

constexpr size_t kFreeThreadsKept = 16;
constexpr uint64_t kPageMask = STUB_PAGE_SIZE - 1;

// The last stub thread that this host thread has run, which is stopped whenever this
// host thread is not inside Switch.
thread_local PtraceAddressSpace* borrowable_space = nullptr;
thread_local StubThread* borrowable_thread = nullptr;

}  // namespace

PtraceAddressSpace::PtraceAddressSpace(PtracePlatform& platform, std::unique_ptr<StubProcess> process)
    : platform_(platform), process_(std::move(process)) {}

void PtraceAddressSpace::OnLastRelease() {
  platform_.Retire(std::move(process_));
  delete this;
}

void PtraceAddressSpace::SetBorrowable(PtraceAddressSpace* space, StubThread* thread) {
  borrowable_space = space;
  borrowable_thread = thread;
}

bool PtraceAddressSpace::InRange(uint64_t addr, uint64_t length) const {
  uint64_t end;
  return ((addr | length) & kPageMask) == 0 && length != 0 && !__builtin_add_overflow(addr, length, &end) &&
         addr >= platform_.min_address() && end <= platform_.max_address();
}

Result<void> PtraceAddressSpace::MapFile(uint64_t addr, int host_fd, uint64_t offset, uint64_t length,
                                         MapOptions options) {
  if (!InRange(addr, length) || (offset & kPageMask) != 0) return Errno(EINVAL);
  constexpr int kAllowedProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  uint64_t flags = MAP_SHARED | MAP_FIXED | (options.precommit ? MAP_POPULATE : 0);
  MutexLock lock(mu_);
  AddRangeLocked(addr, addr + length);
  return AddCommandLocked({SYS_mmap,
                           {addr, length, static_cast<uint64_t>(options.prot & kAllowedProt), flags,
                            static_cast<uint64_t>(host_fd), offset}});
}

Result<void> PtraceAddressSpace::Unmap(uint64_t addr, uint64_t length) {
  if (!InRange(addr, length)) return Errno(EINVAL);
  MutexLock lock(mu_);
  auto [start, end] = RemoveRangeLocked(addr, addr + length);
  if (start == end) return Ok();
  return AddCommandLocked({SYS_munmap, {start, end - start}});
}

Result<void> PtraceAddressSpace::Protect(uint64_t addr, uint64_t length, int prot) {
  if (!InRange(addr, length)) return Errno(EINVAL);
  constexpr int kAllowedProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  uint64_t limit = addr + length;
  MutexLock lock(mu_);
  std::vector<StubCommand> commands;
  auto it = ranges_.upper_bound(addr);
  if (it != ranges_.begin()) --it;
  for (; it != ranges_.end() && it->first < limit; ++it) {
    uint64_t start = std::max(addr, it->first);
    uint64_t end = std::min(limit, it->second);
    if (start >= end) continue;
    pending_.push_back({SYS_mprotect, {start, end - start, static_cast<uint64_t>(prot & kAllowedProt)}});
  }
  return BatchingLocked() ? Ok() : FlushLocked();
}

void PtraceAddressSpace::BeginBatch() {
  MutexLock lock(mu_);
  if (batch_depth_ == 0) batch_owner_ = std::this_thread::get_id();
  if (batch_owner_ == std::this_thread::get_id()) ++batch_depth_;
}

Result<void> PtraceAddressSpace::EndBatch() {
  MutexLock lock(mu_);
  if (batch_depth_ == 0 || batch_owner_ != std::this_thread::get_id()) return Ok();
  if (--batch_depth_ > 0) return Ok();
  Result<void> flushed = FlushLocked();
  Result<void> earlier = std::exchange(pending_error_, Ok());
  return earlier.ok() ? flushed : earlier;
}

bool PtraceAddressSpace::BatchingLocked() const {
  return batch_depth_ > 0 && batch_owner_ == std::this_thread::get_id();
}

Result<void> PtraceAddressSpace::AddCommandLocked(const StubCommand& command) {
  pending_.push_back(command);
  if (BatchingLocked()) return Ok();
  return FlushLocked();
}

Result<void> PtraceAddressSpace::FlushLocked() {
  Result<void> result = Ok();
  for (size_t done = 0; done < pending_.size() && result.ok();) {
    size_t count = std::min(pending_.size() - done, kStubCommands);
    std::span<const StubCommand> list(pending_.data() + done, count);
    Result<int32_t> answer = Errno(ESRCH);
    if (borrowable_space == this && borrowable_thread->attached()) {
      answer = process_->Finish();
      if (answer.ok()) {
        process_->Load(list);
        answer = borrowable_thread->Inject(platform_.code().inject, platform_.code().trap);
        if (answer.ok() && *answer < 0) answer = Errno(-*answer);
        if (!borrowable_thread->attached()) process_->MarkDead();
      }
    } else {
      answer = process_->Run(list);
    }
    if (!answer.ok()) result = answer.error();
    done += count;
  }
  pending_.clear();
  // The owner of an open batch hears of it in EndBatch, whoever carried it out.
  if (!result.ok() && batch_depth_ > 0 && pending_error_.ok()) pending_error_ = result;
  return result;
}

void PtraceAddressSpace::AddRangeLocked(uint64_t start, uint64_t end) {
  auto it = ranges_.upper_bound(start);
  if (it != ranges_.begin() && std::prev(it)->second >= start) --it;
  while (it != ranges_.end() && it->first <= end) {
    start = std::min(start, it->first);
    end = std::max(end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(start, end);
}

std::pair<uint64_t, uint64_t> PtraceAddressSpace::RemoveRangeLocked(uint64_t start, uint64_t end) {
  auto it = ranges_.upper_bound(start);
  if (it != ranges_.begin() && std::prev(it)->second > start) --it;
  uint64_t first = 0, last = 0;
  while (it != ranges_.end() && it->first < end) {
    auto [range_start, range_end] = *it;
    it = ranges_.erase(it);
    if (first == 0) first = std::max(start, range_start);
    last = std::min(end, range_end);
    if (range_start < start) ranges_.emplace(range_start, start);
    if (range_end > end) {
      ranges_.emplace(end, range_end);
      break;
    }
    it = ranges_.lower_bound(start);
  }
  return {first, last};
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
