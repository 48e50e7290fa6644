#include "platform/systrap/guest_filter.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include "platform/stub/keeper_filter.h"
#include "platform/systrap/slot_layout.h"

namespace runsc {

std::vector<sock_filter> SystrapFilter(uint64_t base, uint64_t key) {
  FilterProgram p(base);
  AddKeyedKeeperRules(p, key, {SYS_sigaltstack});

  uint64_t slots = base + SLOTS_OFFSET, end = base + SYSTRAP_REGION_SIZE;
  p.BeginRule(SYS_futex);
  p.LoadArgumentHigh(0);
  p.TrapUnlessEqual(static_cast<uint32_t>(slots >> 32));
  p.LoadArgumentLow(0);
  p.TrapUnlessAtLeast(static_cast<uint32_t>(slots));
  p.TrapUnlessBelow(static_cast<uint32_t>(end));
  p.LoadArgumentLow(1);
  p.AllowIfEqual(FUTEX_WAIT);
  p.AllowIfEqual(FUTEX_WAKE);
  p.EndRule(FilterProgram::kTrap);

  // From a thread that waits in its slot. The argument is none of the call's: without it the stub's code
  // would make any sched_yield of the guest's that jumps there.
  p.BeginRule(SYS_sched_yield);
  p.LoadArgumentHigh(0);
  p.TrapUnlessEqual(static_cast<uint32_t>(slots >> 32));
  p.LoadArgumentLow(0);
  p.TrapUnlessAtLeast(static_cast<uint32_t>(slots));
  p.TrapUnlessBelow(static_cast<uint32_t>(end));
  p.EndRule(FilterProgram::kAllow);

  p.BeginRule(SYS_rt_sigprocmask);
  p.LoadArgumentLow(0);
  p.TrapUnlessEqual(SIG_UNBLOCK);
  p.LoadArgumentLow(2);
  p.TrapUnlessEqual(0);
  p.LoadArgumentHigh(2);
  p.AllowIfEqual(0);
  p.EndRule(FilterProgram::kTrap);
  p.Return(FilterProgram::kTrap);

  return p.Take();
}

}  // namespace runsc
