// What a keeper may do: the rules that every backend's stub filter has.
//
// A seccomp filter sees where a call comes from and its arguments, not who makes it, and guest code can
// jump to any instruction of the stub with any registers. So that one filter can serve keepers and
// guest threads, a keeper shows a *key*: 64 random bits of this sandbox, which are in the filter's program
// (kernel memory) and in the keepers' registers, and nowhere else. The other way, a second filter
// for each guest thread, costs a system call and a program of the kernel's BPF allocator a thread; freeing a
// thousand of those at once can lock Linux 6.18 up (its workers wait for a lock whose holder waits for the
// workers).
#ifndef PLATFORM_STUB_KEEPER_FILTER_H_
#define PLATFORM_STUB_KEEPER_FILTER_H_

#include <initializer_list>

#include "platform/stub/filter_program.h"

namespace runsc {

// Without a key for a backend whose guest threads never get to make a call.
void AddKeeperRules(FilterProgram& p);
// For calls with the key; what follows in the program is for those without. `also_allowed` are calls
// that a guest thread makes at its birth, while it has the key.
void AddKeyedKeeperRules(FilterProgram& p, uint64_t key, std::initializer_list<uint32_t> also_allowed);

}  // namespace runsc

#endif  // PLATFORM_STUB_KEEPER_FILTER_H_
