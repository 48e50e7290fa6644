#include "platform/ptrace/stub_filter.h"

#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "platform/ptrace/stub_layout.h"

namespace runsc {
namespace {

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kTrap = SECCOMP_RET_TRAP;

class Program {
 public:
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)); }
  void LoadArgumentLow(int i) { Load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(i)); }
  void LoadArgumentHigh(int i) { Load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(i) + 4); }
  void And(uint32_t mask) { Add(BPF_ALU | BPF_AND | BPF_K, 0, 0, mask); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, 0, 0, action); }
  void TrapUnlessEqual(uint32_t value) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value);
    Return(kTrap);
  }
  void AllowIfEqual(uint32_t value) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    Return(kAllow);
  }
  // Starts a rule; EndRule makes the jump over it when the number differs.
  void BeginRule(uint32_t number) {
    Load(offsetof(seccomp_data, nr));
    rule_ = code_.size();
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, number);
  }
  void EndRule(uint32_t action) {
    Return(action);
    code_[rule_].jf = static_cast<uint8_t>(code_.size() - rule_ - 1);
  }
  void AllowAlways(uint32_t number) {
    BeginRule(number);
    EndRule(kAllow);
  }
  std::vector<sock_filter> Take() { return std::move(code_); }

 private:
  void Add(unsigned code, unsigned jt, unsigned jf, uint32_t k) {
    code_.push_back({static_cast<uint16_t>(code), static_cast<uint8_t>(jt), static_cast<uint8_t>(jf), k});
  }
  std::vector<sock_filter> code_;
  size_t rule_ = 0;
};

}  // namespace

std::vector<sock_filter> StubFilter(uint64_t code_address) {
  Program p;
  p.Load(offsetof(seccomp_data, arch));
  p.TrapUnlessEqual(AUDIT_ARCH_X86_64);
  p.Load(offsetof(seccomp_data, instruction_pointer) + 4);
  p.TrapUnlessEqual(static_cast<uint32_t>(code_address >> 32));
  p.Load(offsetof(seccomp_data, instruction_pointer));
  p.And(~uint32_t{STUB_PAGE_SIZE - 1});
  p.TrapUnlessEqual(static_cast<uint32_t>(code_address));

  // Guest memory is made of shared file mappings at fixed places and nothing else.
  p.BeginRule(SYS_mmap);
  p.LoadArgumentLow(3);
  p.And(~uint32_t{MAP_POPULATE});
  p.AllowIfEqual(MAP_SHARED | MAP_FIXED);
  p.EndRule(kTrap);
  p.AllowAlways(SYS_munmap);    // guest memory goes; the Sentry's memory in the master
  p.AllowAlways(SYS_mprotect);  // guest memory changes its protection

  // Waiting for the next command list, and the hint that one is done.
  p.BeginRule(SYS_futex);
  p.LoadArgumentLow(1);
  p.AllowIfEqual(FUTEX_WAIT);
  p.AllowIfEqual(FUTEX_WAKE);
  p.EndRule(kTrap);
  p.AllowAlways(SYS_lseek);  // the result of a command list

  // A guest thread, or (master only) a stub process; no namespaces, no CLONE_PTRACE.
  p.BeginRule(SYS_clone);
  p.LoadArgumentHigh(0);
  p.TrapUnlessEqual(0);
  p.LoadArgumentLow(0);
  p.AllowIfEqual(STUB_THREAD_FLAGS);
  p.AllowIfEqual(STUB_FORK_FLAGS);
  p.EndRule(kTrap);

  p.AllowAlways(SYS_pause);       // a guest thread that nobody traces
  p.AllowAlways(SYS_exit);        // a guest thread that is not needed any more
  p.AllowAlways(SYS_exit_group);  // a stub that could not set itself up

  // A stub dies with the Sentry.
  p.BeginRule(SYS_prctl);
  p.LoadArgumentLow(0);
  p.TrapUnlessEqual(PR_SET_PDEATHSIG);
  p.LoadArgumentLow(1);
  p.AllowIfEqual(SIGKILL);
  p.EndRule(kTrap);

  p.Return(kTrap);
  return p.Take();
}

}  // namespace runsc
