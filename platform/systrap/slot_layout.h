// The slot of a guest thread: 64 KiB of the stub region through which its stub thread and
// its Sentry thread hand the guest's state to each other. Also included by stub.S.
//
//   in     r--  written by the Sentry: when to run, with which registers
//   out    rw-  written by the stub thread: that it stopped, why, and where the rest is
//   stack  rw-  the alternate signal stack; the host's signal frame on it *is* the
//               published state, general registers and FP state alike
//
// A system call of a patched site makes no frame: the general registers are in the out page, FP state
// stays in the CPU, and the guest's gs base (0 as far as the guest knows) has led there. What a call needs
// stands in one cache line with the word that says that it came, and the rest in lines that the Sentry hardly
// ever reads: each line that goes from one CPU to the other costs as much as the call itself. So the stub
// thread goes back with what it has put there itself, which is the guest's own to tamper with, like its
// memory.
//
// A guest thread can write to the out page and the stack of every slot of its own process,
// and therefore say anything at any time about itself and its siblings there; the Sentry
// takes each field once into a local and believes no address. It cannot write to an in page:
// nobody but the Sentry lets a stopped thread run.
#ifndef PLATFORM_SYSTRAP_SLOT_LAYOUT_H_
#define PLATFORM_SYSTRAP_SLOT_LAYOUT_H_

#define SLOT_SIZE 0x10000
#define SLOTS_OFFSET 0x10000            // in the stub region and in the pages' file
#define SYSTRAP_REGION_SIZE 0x80000000  // 32767 slots

#define SLOT_IN_FP 0x1000
#define SLOT_OUT 0x4000
#define SLOT_STACK 0x8000
#define SLOT_STACK_SIZE 0x8000

#define SLOT_IN_GO 0
#define SLOT_IN_INTERRUPT 4
#define SLOT_IN_SENTRY_SLEEPS 8
#define SLOT_IN_SPIN 12
#define SLOT_IN_LOAD_FP 16
#define SLOT_IN_SAVE_FP 20
#define SLOT_IN_FAST 24
#define SLOT_IN_YIELD 28
#define SLOT_IN_FAST_RAX 32
#define SLOT_IN_UNBLOCK 64
#define SLOT_IN_ALTSTACK 72
#define SLOT_IN_FS_BASE 112
#define SLOT_IN_GS_BASE 120
#define SLOT_IN_REGISTERS 128
#define SLOT_IN_CLEAN_FLAGS 248
#define SLOT_IN_RIP 256
#define SLOT_IN_ANSWERS 512
#define SLOT_ANSWERS 192  // system calls that may have a known result: those below this number

// The first cache line.
#define SLOT_OUT_DONE 0
#define SLOT_OUT_KIND 4
#define SLOT_OUT_CALL_RAX 8
#define SLOT_OUT_RDI 16
#define SLOT_OUT_RSI 24
#define SLOT_OUT_RDX 32
#define SLOT_OUT_R10 40
#define SLOT_OUT_R8 48
#define SLOT_OUT_R9 56
// The rest of a call's registers.
#define SLOT_OUT_R15 64
#define SLOT_OUT_R14 72
#define SLOT_OUT_R13 80
#define SLOT_OUT_R12 88
#define SLOT_OUT_RBP 96
#define SLOT_OUT_RBX 104
#define SLOT_OUT_RSP 112
#define SLOT_OUT_FLAGS 120
#define SLOT_OUT_FS_BASE 128
#define SLOT_OUT_GS_BASE 136
#define SLOT_OUT_RAX 144
#define SLOT_OUT_SITE 152
#define SLOT_OUT_TARGET 160
// Of a signal, and for every kind.
#define SLOT_OUT_SIGNAL 192
#define SLOT_OUT_FRAME 200
#define SLOT_OUT_INFO 208
#define SLOT_OUT_FP 216
#define SLOT_OUT_SLEEPS 256
#define SLOT_OUT_FP_AREA 0x1000

#define SLOT_KIND_SIGNAL 1       // a signal frame has everything
#define SLOT_KIND_NOT_RESUMED 2  // interrupted before guest code ran: the registers are those of the in page
#define SLOT_KIND_SITE 3         // a system call of a patched site; FP state is still in the CPU
#define SLOT_KIND_FP_SAVED 4     // as the Sentry asked for: FP state is where `fp` says
#define SLOT_KIND_SITE_FP 5      // the same as SLOT_KIND_SITE with FP state where `fp` says
#define SLOT_KIND_BITS 8         // of a call, the site's number stands above them

// Patched sites (site_table.h): pages at fixed low addresses of every address space that
// has them: pointers for the sites' jumps, then a trampoline for each.
#define SITE_TABLE 0x60000
#define SITE_CODE 0x61000
#define SITE_CODE_SIZE 0x8000
#define SITE_END 0x70000  // where the guest's own memory may begin
#define SITE_SIZE 64
#define SITES (SITE_CODE_SIZE / SITE_SIZE)
// Offsets in a trampoline.
#define SITE_ENTER 7    // behind the guest's own instruction that loads rax
#define SITE_TRAP 20    // a real `syscall`
#define SITE_RETURN 22  // loads rcx
#define SITE_TAIL 32    // the instructions that stood behind the call

// Slots are above this address and guest memory is below it. A shift and 16 bits tell.
#define SLOTS_ABOVE 0x7fff00000000
#define SLOTS_SHIFT 32
#define SLOTS_HIGH_BITS 0x7fff

// The host's signal used to interrupt guest code. Nobody else has a use for it.
#define SYSTRAP_INTERRUPT_SIGNAL 23  // SIGURG

// Offsets in struct ucontext of a signal frame.
#define UC_R8 40
#define UC_R9 48
#define UC_R10 56
#define UC_R11 64
#define UC_R12 72
#define UC_R13 80
#define UC_R14 88
#define UC_R15 96
#define UC_RDI 104
#define UC_RSI 112
#define UC_RBP 120
#define UC_RBX 128
#define UC_RDX 136
#define UC_RAX 144
#define UC_RCX 152
#define UC_RSP 160
#define UC_RIP 168
#define UC_EFLAGS 176
#define UC_FPSTATE 224

#ifndef __ASSEMBLER__
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace runsc {

struct SlotIn {
  std::atomic<uint32_t> go;             // the number of the run that the stub is to make or has made
  std::atomic<uint32_t> interrupt;      // not to enter guest code
  std::atomic<uint32_t> sentry_sleeps;  // the Sentry thread waits on `done` in a futex
  std::atomic<uint32_t> spin;           // how often the stub looks for `go` before it sleeps; may shrink
  uint32_t load_fp;                     // the FP state is in the FP area
  uint32_t save_fp;                     // this run is not one: only to save FP state
  uint32_t fast;                // back from the last call, with what the stub thread put down and this result
  std::atomic<uint32_t> yield;  // between two looks for `go` the stub yields its CPU
  uint64_t fast_rax;
  uint64_t unused0[3];
  uint64_t unblock;       // signal mask
  uint64_t alt_stack[3];  // stack_t
  uint64_t unused1[2];
  uint64_t fs_base, gs_base;
  uint64_t registers[15];  // as the first ones of Registers
  uint64_t clean_flags;
  uint64_t rip, cs, eflags, rsp, ss;  // what iretq wants
  uint64_t unused2[27];
  std::atomic<uint64_t> answers[SLOT_ANSWERS];  // results by system call number; ~0: ask the Sentry
};
static_assert(offsetof(SlotIn, save_fp) == SLOT_IN_SAVE_FP);
static_assert(offsetof(SlotIn, fast_rax) == SLOT_IN_FAST_RAX);
static_assert(offsetof(SlotIn, unblock) == SLOT_IN_UNBLOCK);
static_assert(offsetof(SlotIn, alt_stack) == SLOT_IN_ALTSTACK);
static_assert(offsetof(SlotIn, fs_base) == SLOT_IN_FS_BASE);
static_assert(offsetof(SlotIn, registers) == SLOT_IN_REGISTERS);
static_assert(offsetof(SlotIn, clean_flags) == SLOT_IN_CLEAN_FLAGS);
static_assert(offsetof(SlotIn, rip) == SLOT_IN_RIP);
static_assert(offsetof(SlotIn, answers) == SLOT_IN_ANSWERS);
static_assert(sizeof(SlotIn) <= SLOT_IN_FP);

struct SlotOut {
  std::atomic<uint32_t> done;  // the number of the run that ended
  std::atomic<uint32_t> kind;
  std::atomic<uint64_t> call_rax, rdi, rsi, rdx, r10, r8, r9;
  std::atomic<uint64_t> r15, r14, r13, r12, rbp, rbx, rsp, flags;
  std::atomic<uint64_t> fs_base, gs_base;
  uint64_t stubs_own[6];
  std::atomic<uint32_t> signal, unused1;
  std::atomic<uint64_t> frame, info;  // addresses of the ucontext and the siginfo
  std::atomic<uint64_t> fp;           // address of the FP state; 0: in the CPU
  uint64_t unused2[4];
  std::atomic<uint32_t> sleeps;  // the stub waits on `go` in a futex
};
static_assert(offsetof(SlotOut, kind) == SLOT_OUT_KIND);
static_assert(offsetof(SlotOut, r9) == SLOT_OUT_R9);
static_assert(offsetof(SlotOut, flags) == SLOT_OUT_FLAGS);
static_assert(offsetof(SlotOut, gs_base) == SLOT_OUT_GS_BASE);
static_assert(offsetof(SlotOut, signal) == SLOT_OUT_SIGNAL);
static_assert(offsetof(SlotOut, fp) == SLOT_OUT_FP);
static_assert(offsetof(SlotOut, sleeps) == SLOT_OUT_SLEEPS);

}  // namespace runsc

extern "C" {
extern const char runsc_systrap_stub_begin[];
extern const char runsc_systrap_stub_handler[];
extern const char runsc_systrap_stub_enter[];
extern const char runsc_systrap_stub_end[];
}
#endif  // __ASSEMBLER__
#endif  // PLATFORM_SYSTRAP_SLOT_LAYOUT_H_
