#include "platform/systrap/guest_filter.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cstring>

#include "platform/stub/keeper_filter.h"
#include "platform/systrap/slot_layout.h"

namespace runsc {

std::vector<sock_filter> KeeperFilter(uint64_t base) {
  FilterProgram p(base);
  AddKeeperRules(p);
  // A new guest thread: where its signals go, the filter below, and which signals it takes.
  p.AllowAlways(SYS_sigaltstack);
  p.BeginRule(SYS_seccomp);
  p.LoadArgumentLow(0);
  p.TrapUnlessEqual(SECCOMP_SET_MODE_FILTER);
  p.LoadArgumentLow(1);
  p.AllowIfEqual(0);
  p.EndRule(FilterProgram::kTrap);
  p.AllowAlways(SYS_rt_sigprocmask);
  p.Return(FilterProgram::kTrap);
  return p.Take();
}

std::vector<char> GuestFilterData(uint64_t base) {
  FilterProgram p(base);
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

  p.BeginRule(SYS_rt_sigprocmask);
  p.LoadArgumentLow(0);
  p.TrapUnlessEqual(SIG_UNBLOCK);
  p.LoadArgumentLow(2);
  p.TrapUnlessEqual(0);
  p.LoadArgumentHigh(2);
  p.AllowIfEqual(0);
  p.EndRule(FilterProgram::kTrap);
  p.Return(FilterProgram::kTrap);

  std::vector<sock_filter> code = p.Take();
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(code.size());
  program.filter = reinterpret_cast<sock_filter*>(base + STUB_DATA_OFFSET + sizeof(program));
  std::vector<char> data(sizeof(program) + code.size() * sizeof(code[0]));
  memcpy(data.data(), &program, sizeof(program));
  memcpy(data.data() + sizeof(program), code.data(), code.size() * sizeof(code[0]));
  return data;
}

}  // namespace runsc
