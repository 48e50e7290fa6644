#include "platform/stub/stub_process.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "platform/base/log.h"
#include "platform/stub/cpu_balancer.h"

namespace runsc {
namespace {

// The keeper's lists take microseconds. Something that looks dead for this long is.
constexpr int kCheckIntervalMs = 20;
constexpr int kGiveUpAfterChecks = 10'000 / kCheckIntervalMs;
// A guest that forges the hint this often in one list wants to be gone.
constexpr int kForgedHintsAllowed = 1000;

void FutexWait(std::atomic<uint32_t>& word, uint32_t value, int timeout_ms) {
  timespec timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

Result<std::unique_ptr<StubPages>> StubPages::New(uint64_t size) {
  UniqueFd fd(memfd_create("stub", MFD_CLOEXEC));
  // A process more is what the host refuses here: the guest gets what fork(2) says.
  if (!fd) return errno == EMFILE || errno == ENFILE ? Errno(EAGAIN) : HostErrno();
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return HostErrno();
  void* base = mmap(nullptr, 2 * STUB_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return HostErrno();
  std::unique_ptr<StubPages> pages(new StubPages(std::move(fd), static_cast<char*>(base), size));
  RETURN_IF_ERROR(pages->Reset());
  return pages;
}

StubPages::~StubPages() { munmap(base_, 2 * STUB_PAGE_SIZE); }

Result<void> StubPages::Reset() {
  if (size_ > 2 * STUB_PAGE_SIZE &&
      (ftruncate(fd(), 2 * STUB_PAGE_SIZE) != 0 || ftruncate(fd(), static_cast<off_t>(size_)) != 0))
    return HostErrno();
  command().sequence.store(0, std::memory_order_relaxed);
  command().count = 0;
  command().mailbox_fd = static_cast<uint64_t>(fd());
  response().sequence.store(0, std::memory_order_relaxed);
  lseek(fd(), 0, SEEK_SET);
  return Ok();
}

void StubProcess::Load(std::span<const StubCommand> commands) {
  CHECK(!posted_ && commands.size() <= kStubCommands);
  StubCommandPage& page = pages_->command();
  std::copy(commands.begin(), commands.end(), page.commands);
  page.count = static_cast<uint32_t>(commands.size());
}

void StubProcess::Post() {
  // 31 bits, so that the mailbox's offset never gets negative; never 0, where a keeper starts.
  sequence_ = (sequence_ & 0x7fffffff) == 0x7fffffff ? 1 : sequence_ + 1;
  posted_ = true;
  int cpu = CpuBalancer::ThreadCpu();
  if (cpu >= 0 && cpu != keeper_cpu_ && pid_ > 0) {
    // A wake-up on the own CPU is several times cheaper than one on another.
    if (CpuBalancer::SetAffinity(pid_, cpu)) keeper_cpu_ = cpu;
  }
  pages_->command().sequence.store(sequence_, std::memory_order_release);
  FutexWake(pages_->command().sequence);
}

Result<int32_t> StubProcess::Finish() {
  if (!posted_) return 0;
  int checks = 0, forged = 0;
  while (true) {
    if (dead()) return Errno(ESRCH);
    uint32_t hint = pages_->response().sequence.load(std::memory_order_acquire);
    if (hint != sequence_) FutexWait(pages_->response().sequence, hint, kCheckIntervalMs);
    int64_t mail = lseek(pages_->fd(), 0, SEEK_CUR);
    if (mail >> 32 == sequence_) {
      posted_ = false;
      int32_t result = static_cast<int32_t>(mail);
      if (result < 0) return Errno(-result);
      return result;
    }
    if (pages_->response().sequence.load(std::memory_order_acquire) != hint || hint == sequence_) {
      // The hint precedes the mail only if a guest wrote it.
      if (hint == sequence_ && ++forged > kForgedHintsAllowed) break;
      if (hint == sequence_) usleep(100);
      continue;
    }
    CheckAlive();
    if (!dead() && ++checks > kGiveUpAfterChecks) break;
  }
  LOG_ERROR("stub process {} does not answer: killed", pid_);
  kill(pid_, SIGKILL);
  MarkDead();
  return Errno(ESRCH);
}

void StubProcess::CheckAlive() {
  if (dead()) return;
  if (!reaped_ && wait4(pid_, nullptr, WNOHANG | __WALL, nullptr) == pid_) {
    reaped_ = true;
    MarkDead();
  } else {
    // One that a SIGSTOP from outside caught goes on.
    kill(pid_, SIGCONT);
  }
}

Result<int32_t> StubProcess::Run(std::span<const StubCommand> commands) {
  RETURN_IF_ERROR(Finish());
  Load(commands);
  Post();
  return Finish();
}

}  // namespace runsc
