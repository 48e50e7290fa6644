// The general registers of a guest thread, in the layout of Linux's struct
// user_regs_struct (asserted in abi), so that every backend can take them as they are.
#ifndef PLATFORM_REGISTERS_H_
#define PLATFORM_REGISTERS_H_

#include <cstdint>

namespace runsc {

struct Registers {
  uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10;
  uint64_t r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
  uint64_t rip, cs, eflags, rsp, ss;
  uint64_t fs_base, gs_base, ds, es, fs, gs;
};

}  // namespace runsc

#endif  // PLATFORM_REGISTERS_H_
