// StubThread: a thread of a stub process as its tracer sees it. Guest code runs in
// it under PTRACE_SYSEMU, so none of its system calls reaches the host.
//
// Threading: belongs to the host thread that called Attach (ptrace(2) takes requests
// from the tracing thread only). That thread must call Detach before it exits, for
// PTRACE_O_EXITKILL then kills the whole stub process.
// Linux counterpart: none; ptrace(2).
#ifndef PLATFORM_PTRACE_STUB_THREAD_H_
#define PLATFORM_PTRACE_STUB_THREAD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/base/result.h"
#include "platform/registers.h"

namespace runsc {

class StubThread {
 public:
  bool attached() const { return tid_ > 0; }
  pid_t pid() const { return pid_; }
  pid_t tid() const { return tid_; }
  pid_t tracer() const { return tracer_; }

  // Takes a parked thread of process `pid` and stops it.
  Result<void> Attach(pid_t pid, pid_t tid);
  // Lets the stopped thread run on, untraced, at a place in stub code. ESRCH if it is dead.
  Result<void> Detach(uint64_t stub_code);
  // After false or ESRCH from any method: collects the dead thread and forgets it.
  void Bury();

  // False: the thread is dead.
  [[nodiscard]] bool GetRegisters(Registers& registers);
  // Makes the thread's registers these (what cannot be loaded safely is corrected: see
  // Sanitize); a host call only if something changes.
  [[nodiscard]] bool SetRegisters(const Registers& registers);
  // Whether the host would refuse these: segment bases outside user space that the
  // thread does not have already.
  bool WouldRefuse(const Registers& registers) const;
  Result<void> GetFpState(std::span<std::byte> xsave);
  Result<void> SetFpState(std::span<const std::byte> xsave);

  // Resumes with PTRACE_SYSEMU and friends, and waits for the next stop. Returns its
  // wait status, or -1 if the thread is dead.
  int ResumeAndWait(int request);
  // At a syscall stop: whether the call came through the 64-bit `syscall` instruction.
  bool StoppedInNativeSyscall();
  // At a signal stop: its siginfo, 128 bytes.
  [[nodiscard]] bool GetSignalInfo(void* siginfo);

  // Borrows the stopped thread to run stub code from `entry` to the int3 at `trap`.
  // Returns its r14: a result, or a negative errno.
  Result<int32_t> Inject(uint64_t entry, uint64_t trap);

 private:
  int Wait();

  pid_t pid_ = -1;
  pid_t tid_ = -1;
  pid_t tracer_ = -1;
  Registers current_ = {};  // what the thread has, if not stale_
  bool stale_ = true;
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_STUB_THREAD_H_
