// The seccomp filter of stub processes: the second wall behind PTRACE_SYSEMU. It
// lets the stub's own few calls pass, and these only from the stub's code page.
#ifndef PLATFORM_PTRACE_STUB_FILTER_H_
#define PLATFORM_PTRACE_STUB_FILTER_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace runsc {

// The program for a stub whose code page is at `code_address`. Everything that it
// does not name ends in SIGSYS: death for an untraced thread, and for a traced one
// (a call of the host's vsyscall page is the only way there) a signal its tracer sees.
// It takes no key: nothing but the stub's own code ever gets to make a call.
std::vector<sock_filter> StubFilter(uint64_t code_address, uint64_t key);

}  // namespace runsc

#endif  // PLATFORM_PTRACE_STUB_FILTER_H_
