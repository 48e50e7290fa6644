#include "platform/ptrace/stub_thread.h"

#include <elf.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "platform/base/log.h"
#include "platform/stub/stub_layout.h"

namespace runsc {
namespace {

static_assert(sizeof(Registers) == sizeof(user_regs_struct));
static_assert(offsetof(Registers, orig_rax) == offsetof(user_regs_struct, orig_rax));
static_assert(offsetof(Registers, fs_base) == offsetof(user_regs_struct, fs_base));
static_assert(offsetof(Registers, gs) == offsetof(user_regs_struct, gs));

// The registers up to ss; behind it come segment bases and selectors, which rarely change.
constexpr size_t kCoreSize = offsetof(Registers, fs_base);

constexpr uint64_t kTaskSize = STUB_TASK_SIZE;
constexpr uint64_t kUserCode64 = 0x33, kUserCode32 = 0x23, kUserData = 0x2b;

long Ptrace(int request, pid_t tid, uint64_t address, void* data) {
  return syscall(SYS_ptrace, request, tid, address, data);
}

// A null selector or one of privilege 3, which is what PTRACE_SETREGS takes.
uint64_t SafeSelector(uint64_t selector) { return (selector & 3) == 3 ? selector & 0xffff : 0; }

Registers Sanitize(const Registers& registers) {
  Registers r = registers;
  r.orig_rax = ~uint64_t{0};  // else the host might restart the call
  r.cs = r.cs == kUserCode32 ? kUserCode32 : kUserCode64;
  r.ss = kUserData;
  r.ds = SafeSelector(r.ds);
  r.es = SafeSelector(r.es);
  r.fs = SafeSelector(r.fs);
  r.gs = SafeSelector(r.gs);
  return r;
}

}  // namespace

Result<void> StubThread::Attach(pid_t pid, pid_t tid) {
  CHECK(!attached());
  constexpr uint64_t kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
  if (Ptrace(PTRACE_SEIZE, tid, 0, reinterpret_cast<void*>(kOptions)) != 0) return HostErrno();
  pid_ = pid;
  tid_ = tid;
  tracer_ = static_cast<pid_t>(syscall(SYS_gettid));
  stale_ = true;
  Registers unused;
  if (Ptrace(PTRACE_INTERRUPT, tid, 0, nullptr) != 0 || Wait() < 0 || !GetRegisters(unused)) {
    Bury();
    return Errno(ESRCH);
  }
  stale_ = true;
  return Ok();
}

Result<void> StubThread::Detach(uint64_t stub_code) {
  Registers r = {};
  r.rip = stub_code;
  r.eflags = 0x202;
  stale_ = true;
  current_ = r;
  if (!SetRegisters(r) || Ptrace(PTRACE_DETACH, tid_, 0, nullptr) != 0) {
    Bury();
    return Errno(ESRCH);
  }
  pid_ = tid_ = tracer_ = -1;
  return Ok();
}

void StubThread::Bury() {
  // A thread that fails requests is being killed (and if not, it is now), so this ends.
  // It must be collected, or else the process never finishes dying.
  if (attached()) kill(pid_, SIGKILL);
  int status;
  while (attached()) {
    pid_t waited = wait4(tid_, &status, __WALL | __WNOTHREAD, nullptr);
    if (waited < 0 && errno == EINTR) continue;
    if (waited < 0 || WIFEXITED(status) || WIFSIGNALED(status)) break;
  }
  pid_ = tid_ = tracer_ = -1;
}

int StubThread::Wait() {
  int status;
  while (true) {
    pid_t waited = wait4(tid_, &status, __WALL | __WNOTHREAD, nullptr);
    if (waited == tid_) break;
    if (errno != EINTR) {
      pid_ = tid_ = tracer_ = -1;
      return -1;
    }
  }
  if (WIFSTOPPED(status)) return status;
  pid_ = tid_ = tracer_ = -1;
  return -1;
}

int StubThread::ResumeAndWait(int request) {
  if (Ptrace(request, tid_, 0, nullptr) != 0) {
    Bury();
    return -1;
  }
  return Wait();
}

bool StubThread::GetRegisters(Registers& registers) {
  if (Ptrace(PTRACE_GETREGS, tid_, 0, &registers) != 0) return false;
  current_ = registers;
  stale_ = false;
  return true;
}

bool StubThread::SetRegisters(const Registers& registers) {
  Registers wanted = Sanitize(registers);
  const auto* wanted_bytes = reinterpret_cast<const std::byte*>(&wanted);
  const auto* current_bytes = reinterpret_cast<const std::byte*>(&current_);
  // The tail is left out whenever it can be: guest code may have set segment bases
  // (wrfsbase) which ptrace would refuse.
  bool same_tail =
      memcmp(wanted_bytes + kCoreSize, current_bytes + kCoreSize, sizeof(Registers) - kCoreSize) == 0;
  if (same_tail && !stale_ && memcmp(wanted_bytes, current_bytes, kCoreSize) == 0) return true;
  if (current_.cs != kUserCode64) {
    // Else the host takes the register set for that of a 32-bit program.
    if (Ptrace(PTRACE_POKEUSER, tid_, offsetof(Registers, cs), reinterpret_cast<void*>(kUserCode64)) != 0)
      return false;
  }
  iovec iov = {&wanted, same_tail ? kCoreSize : sizeof(Registers)};
  if (Ptrace(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &iov) != 0) return false;
  current_ = wanted;
  stale_ = false;
  return true;
}

bool StubThread::WouldRefuse(const Registers& registers) const {
  if (registers.fs_base < kTaskSize && registers.gs_base < kTaskSize) return false;
  Registers wanted = Sanitize(registers);
  return memcmp(&wanted.fs_base, &current_.fs_base, sizeof(Registers) - kCoreSize) != 0;
}

Result<void> StubThread::GetFpState(std::span<std::byte> xsave) {
  iovec iov = {xsave.data(), xsave.size()};
  if (Ptrace(PTRACE_GETREGSET, tid_, NT_X86_XSTATE, &iov) != 0) return HostErrno();
  return Ok();
}

Result<void> StubThread::SetFpState(std::span<const std::byte> xsave) {
  iovec iov = {const_cast<std::byte*>(xsave.data()), xsave.size()};
  if (Ptrace(PTRACE_SETREGSET, tid_, NT_X86_XSTATE, &iov) != 0) return HostErrno();
  return Ok();
}

bool StubThread::StoppedInNativeSyscall() {
  // `syscall` leaves rip in rcx and the flags in r11. A guest that forges both around an
  // int 0x80 gets what `syscall` would have got it. All else is looked up.
  if (current_.cs == kUserCode64 && current_.rcx == current_.rip && current_.r11 == current_.eflags)
    return true;
  __ptrace_syscall_info info = {};
  if (Ptrace(PTRACE_GET_SYSCALL_INFO, tid_, sizeof(info), &info) <= 0) return false;
  return info.op == PTRACE_SYSCALL_INFO_ENTRY && info.arch == AUDIT_ARCH_X86_64;
}

bool StubThread::GetSignalInfo(void* siginfo) { return Ptrace(PTRACE_GETSIGINFO, tid_, 0, siginfo) == 0; }

Result<int32_t> StubThread::Inject(uint64_t entry, uint64_t trap) {
  Registers r = current_;  // keeps the tail
  r.rip = entry;
  r.cs = kUserCode64;
  r.eflags = 0x202;
  stale_ = true;
  if (!SetRegisters(r)) {
    Bury();
    return Errno(ESRCH);
  }
  while (true) {
    int status = ResumeAndWait(PTRACE_CONT);
    if (status < 0) return Errno(ESRCH);
    if (!GetRegisters(r)) {
      Bury();
      return Errno(ESRCH);
    }
    stale_ = true;
    if (status >> 8 == SIGTRAP && r.rip == trap + 1) break;
    if (status >> 16 == 0 && (WSTOPSIG(status) == SIGSYS || WSTOPSIG(status) == SIGSEGV)) {
      LOG_ERROR("stub thread {} got signal {} in stub code at {:#x}: killed", tid_, WSTOPSIG(status), r.rip);
      kill(pid_, SIGKILL);
    }
  }
  return static_cast<int32_t>(r.r14);
}

}  // namespace runsc
