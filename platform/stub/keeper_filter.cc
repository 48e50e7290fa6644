#include "platform/stub/keeper_filter.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace runsc {

namespace {

constexpr int kMapFlags = 3, kMapFd = 4, kKeyArgument = 5;

// Guest memory is made of shared file mappings at fixed places and nothing else.
void AddMapRule(FilterProgram& p, const uint64_t* key) {
  p.BeginRule(SYS_mmap);
  if (key != nullptr) {
    p.LoadArgumentHigh(kMapFlags);
    p.TrapUnlessEqual(static_cast<uint32_t>(*key));
    p.LoadArgumentHigh(kMapFd);
    p.TrapUnlessEqual(static_cast<uint32_t>(*key >> 32));
  }
  p.LoadArgumentLow(kMapFlags);
  p.And(~uint32_t{MAP_POPULATE});
  p.AllowIfEqual(MAP_SHARED | MAP_FIXED);
  p.EndRule(FilterProgram::kTrap);
}

void AddOtherRules(FilterProgram& p) {
  p.AllowAlways(SYS_munmap);    // guest memory goes; the Sentry's memory in the master
  p.AllowAlways(SYS_mprotect);  // guest memory changes its protection

  // Waiting for the next command list, and the hint that one is done.
  p.BeginRule(SYS_futex);
  p.LoadArgumentLow(1);
  p.AllowIfEqual(FUTEX_WAIT);
  p.AllowIfEqual(FUTEX_WAKE);
  p.EndRule(FilterProgram::kTrap);
  p.AllowAlways(SYS_lseek);  // the result of a command list

  // A guest thread, or (master only) a stub process; no namespaces, no CLONE_PTRACE.
  p.BeginRule(SYS_clone);
  p.LoadArgumentHigh(0);
  p.TrapUnlessEqual(0);
  p.LoadArgumentLow(0);
  p.AllowIfEqual(STUB_THREAD_FLAGS);
  p.AllowIfEqual(STUB_FORK_FLAGS);
  p.EndRule(FilterProgram::kTrap);

  p.AllowAlways(SYS_exit_group);  // a stub that could not set itself up

  // A stub dies with the Sentry.
  p.BeginRule(SYS_prctl);
  p.LoadArgumentLow(0);
  p.TrapUnlessEqual(PR_SET_PDEATHSIG);
  p.LoadArgumentLow(1);
  p.AllowIfEqual(SIGKILL);
  p.EndRule(FilterProgram::kTrap);
}

}  // namespace

void AddKeeperRules(FilterProgram& p) {
  AddMapRule(p, nullptr);
  AddOtherRules(p);
}

void AddKeyedKeeperRules(FilterProgram& p, uint64_t key, std::initializer_list<uint32_t> also_allowed) {
  AddMapRule(p, &key);
  p.BeginIfArgument(kKeyArgument, key);
  AddOtherRules(p);
  for (uint32_t number : also_allowed) p.AllowAlways(number);
  p.EndIfArgument();
}

}  // namespace runsc
