// The code of a stub process: the keeper (keeper.inc), and what a guest thread runs
// between two stretches of guest code. It is copied to the stub region.
//
// A guest thread is born at .Lthread, shuts itself into the filter of guest threads,
// and waits. From then on it goes round:
//
//   .Lidle      until the number in the in page moves, then
//   .Lresume    loads what the in page says and enters guest code, until a signal
//   handler     finds the guest's state in the frame, publishes where that is, and waits
//
// .Lresume can be left and begun again at every instruction: it writes to nothing. An interrupt
// within it does not enter guest code; one elsewhere in the stub's code does nothing,
// since the in page's word is looked at in .Lresume. rt_sigreturn is never used (and not allowed,
// for it could mask signals): iretq loads everything.
//
// Registers outside guest code: rbx slot, r12 the run's number, r13 address of the FP state.
// Nothing here needs a stack but the signal frames.
#include <asm/unistd.h>

#include "platform/stub/stub_layout.h"
#include "platform/systrap/slot_layout.h"

#define BEGIN runsc_systrap_stub_begin

        .section .rodata.runsc_systrap_stub,"a",@progbits
        .balign 64
        .globl runsc_systrap_stub_begin, runsc_systrap_stub_handler, runsc_systrap_stub_end
#define STUB_BEGIN runsc_systrap_stub_begin
runsc_systrap_stub_begin:
#include "platform/stub/keeper.inc"

.Llist_done:
        ud2

// rsp is the end of the slot.
.Lthread:
        leaq    -SLOT_SIZE(%rsp), %rbx
        leaq    SLOT_IN_ALTSTACK(%rbx), %rdi
        xorl    %esi, %esi
        movl    $__NR_sigaltstack, %eax
        syscall
        testq   %rax, %rax
        jnz     .Lfail
        movl    $1, %edi                        // SECCOMP_SET_MODE_FILTER
        xorl    %esi, %esi
        leaq    BEGIN+STUB_DATA_OFFSET(%rip), %rdx
        movl    $__NR_seccomp, %eax
        syscall
        testq   %rax, %rax
        jnz     .Lfail
        // Not before the filter is in force: a signal frame can be forged.
        movl    $1, %edi                        // SIG_UNBLOCK
        leaq    SLOT_IN_UNBLOCK(%rbx), %rsi
        xorl    %edx, %edx
        movl    $8, %r10d
        movl    $__NR_rt_sigprocmask, %eax
        syscall
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d

.Lidle:
        movl    SLOT_IN_SPIN(%rbx), %ecx
.Lspin:
        movl    SLOT_IN_GO(%rbx), %eax
        cmpl    %eax, %r12d
        jne     .Lresume
        subl    $1, %ecx
        jc      .Lsleep
        pause
        jmp     .Lspin
.Lsleep:
        movl    $1, %eax
        xchgl   %eax, SLOT_OUT+SLOT_OUT_SLEEPS(%rbx)
        movl    SLOT_IN_GO(%rbx), %eax
        cmpl    %eax, %r12d
        jne     .Lwoken
        leaq    SLOT_IN_GO(%rbx), %rdi
        xorl    %esi, %esi                      // FUTEX_WAIT
        movl    %r12d, %edx
        xorl    %r10d, %r10d
        movl    $__NR_futex, %eax
        syscall
        jmp     .Lsleep
.Lwoken:
        movl    $0, SLOT_OUT+SLOT_OUT_SLEEPS(%rbx)

.Lresume:
        cmpl    $0, SLOT_IN_INTERRUPT(%rbx)
        jne     .Lnot_resumed
        cmpl    $0, SLOT_IN_LOAD_FP(%rbx)
        je      1f
        leaq    SLOT_IN_FP(%rbx), %r13
1:      testq   %r13, %r13
        jz      .Lfp_loaded
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%r13)
.Lfp_loaded:
        movq    SLOT_IN_FS_BASE(%rbx), %rax
        wrfsbase %rax
        movq    SLOT_IN_GS_BASE(%rbx), %rax
        wrgsbase %rax
        leaq    SLOT_IN_CLEAN_FLAGS(%rbx), %rsp
        popfq                                   // with NT set iretq would fault
        movq    SLOT_IN_REGISTERS+0(%rbx), %r15
        movq    SLOT_IN_REGISTERS+8(%rbx), %r14
        movq    SLOT_IN_REGISTERS+16(%rbx), %r13
        movq    SLOT_IN_REGISTERS+24(%rbx), %r12
        movq    SLOT_IN_REGISTERS+32(%rbx), %rbp
        movq    SLOT_IN_REGISTERS+48(%rbx), %r11
        movq    SLOT_IN_REGISTERS+56(%rbx), %r10
        movq    SLOT_IN_REGISTERS+64(%rbx), %r9
        movq    SLOT_IN_REGISTERS+72(%rbx), %r8
        movq    SLOT_IN_REGISTERS+80(%rbx), %rax
        movq    SLOT_IN_REGISTERS+88(%rbx), %rcx
        movq    SLOT_IN_REGISTERS+96(%rbx), %rdx
        movq    SLOT_IN_REGISTERS+104(%rbx), %rsi
        movq    SLOT_IN_REGISTERS+112(%rbx), %rdi
        movq    SLOT_IN_REGISTERS+40(%rbx), %rbx
        iretq
.Lresume_end:

// edi signal, rsi siginfo, rdx ucontext; rsp is in the stack of the slot.
runsc_systrap_stub_handler:
        movq    %rsp, %rbx
        andq    $-SLOT_SIZE, %rbx
        movl    SLOT_IN_GO(%rbx), %r12d
        movq    UC_RIP(%rdx), %rax
        leaq    BEGIN(%rip), %rcx
        subq    %rcx, %rax
        cmpq    $(runsc_systrap_stub_end-BEGIN), %rax
        jae     .Lcapture
        // A fault in stub code is the work of a guest: it is told of like any other.
        cmpl    $SYSTRAP_INTERRUPT_SIGNAL, %edi
        jne     .Lcapture
        cmpq    $(.Lresume-BEGIN), %rax
        jb      .Lreturn
        cmpq    $(.Lresume_end-BEGIN), %rax
        jae     .Lreturn
        cmpq    $(.Lfp_loaded-BEGIN), %rax
        jae     .Lfp_in_frame
        movq    UC_R13(%rdx), %r13
        testq   %r13, %r13
        jz      .Lfp_in_frame
        movq    UC_RSP(%rdx), %rsp              // below the frame that r13 may point into
        jmp     .Lnot_resumed
.Lfp_in_frame:
        movq    UC_FPSTATE(%rdx), %r13

.Lnot_resumed:
        cmpl    $0, SLOT_IN_LOAD_FP(%rbx)
        je      1f
        leaq    SLOT_IN_FP(%rbx), %r13
1:      movl    $SLOT_KIND_NOT_RESUMED, SLOT_OUT+SLOT_OUT_KIND(%rbx)
        jmp     .Lpublish

.Lcapture:
        movl    $SLOT_KIND_SIGNAL, SLOT_OUT+SLOT_OUT_KIND(%rbx)
        movl    %edi, SLOT_OUT+SLOT_OUT_SIGNAL(%rbx)
        movq    %rdx, SLOT_OUT+SLOT_OUT_FRAME(%rbx)
        movq    %rsi, SLOT_OUT+SLOT_OUT_INFO(%rbx)
        movq    UC_FPSTATE(%rdx), %r13
        rdfsbase %rax
        movq    %rax, SLOT_OUT+SLOT_OUT_FS_BASE(%rbx)
        rdgsbase %rax
        movq    %rax, SLOT_OUT+SLOT_OUT_GS_BASE(%rbx)

.Lpublish:
        movq    %r13, SLOT_OUT+SLOT_OUT_FP(%rbx)
        movl    SLOT_IN_GO(%rbx), %r12d
        movl    %r12d, %eax
        xchgl   %eax, SLOT_OUT+SLOT_OUT_DONE(%rbx)
        cmpl    $0, SLOT_IN_SENTRY_SLEEPS(%rbx)
        je      .Lidle
        leaq    SLOT_OUT+SLOT_OUT_DONE(%rbx), %rdi
        movl    $1, %esi                        // FUTEX_WAKE
        movl    $1, %edx
        movl    $__NR_futex, %eax
        syscall
        jmp     .Lidle

// Goes on where the signal came. The frame has the FP state, which the host has reset.
.Lreturn:
        movq    %rdx, %rsi
        movq    UC_FPSTATE(%rsi), %rcx
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%rcx)
        pushq   $2
        popfq
        pushq   $0x2b
        pushq   UC_RSP(%rsi)
        pushq   UC_EFLAGS(%rsi)
        pushq   $0x33
        pushq   UC_RIP(%rsi)
        movq    UC_R8(%rsi), %r8
        movq    UC_R9(%rsi), %r9
        movq    UC_R10(%rsi), %r10
        movq    UC_R11(%rsi), %r11
        movq    UC_R12(%rsi), %r12
        movq    UC_R13(%rsi), %r13
        movq    UC_R14(%rsi), %r14
        movq    UC_R15(%rsi), %r15
        movq    UC_RDI(%rsi), %rdi
        movq    UC_RBP(%rsi), %rbp
        movq    UC_RBX(%rsi), %rbx
        movq    UC_RDX(%rsi), %rdx
        movq    UC_RAX(%rsi), %rax
        movq    UC_RCX(%rsi), %rcx
        movq    UC_RSI(%rsi), %rsi
        iretq
runsc_systrap_stub_end:
        .section .note.GNU-stack,"",@progbits
