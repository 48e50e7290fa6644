#include "platform/ptrace/stub_filter.h"

#include <sys/syscall.h>

#include "platform/stub/keeper_filter.h"

namespace runsc {

std::vector<sock_filter> StubFilter(uint64_t code_address, uint64_t /*key*/) {
  FilterProgram p(code_address);
  AddKeeperRules(p);
  p.AllowAlways(SYS_pause);  // a guest thread that nobody traces
  p.AllowAlways(SYS_exit);   // a guest thread that is not needed any more
  p.Return(FilterProgram::kTrap);
  return p.Take();
}

}  // namespace runsc
