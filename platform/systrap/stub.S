// The code of a stub process: the keeper (keeper.inc), and what a guest thread runs
// between two stretches of guest code. It is copied to the stub region.
//
// A guest thread is born at .Lthread, gives up the key that its keeper had, and waits. From then on it goes round:
//
//   .Lidle      until the number in the in page moves, spinning, yielding or asleep, then
//   .Lresume    loads what the in page says and enters guest code, until a signal
//   handler     finds the guest's state in the frame, publishes where that is, and waits
//
// .Lresume can be left and begun again at every instruction: it writes to nothing. An interrupt
// within it does not enter guest code; one elsewhere in the stub's code does nothing,
// since the in page's word is looked at in .Lresume. rt_sigreturn is never used (and not allowed,
// for it could mask signals): iretq loads everything.
//
// Registers outside guest code: rbx slot, r12 the run's number, r13 address of the FP state (0: it is
// in the CPU). Nothing here needs a stack but the signal frames.
//
// The trampoline of a patched site (site_table.h) comes to `enter` with all of the guest's registers but
// rcx and r11, which a system call may clobber, and with its flags. From there to .Lfast_end all
// but rax, rcx and r11 stay in the CPU:
//
//   .Lknown     a call whose result the in page knows goes back at once
//   .Lhandover  publishes the registers, spins for the next run
//   .Lfast      goes back, if only what a system call returns has changed; else on to .Lresume, which
//               gets here, too, when the thread has slept meanwhile
//
// An interrupt before .Lknown is seen there in the in page's word; one in .Lknown takes the call back, as
// though it had not begun; one in .Lhandover finds a call that is handed over; .Lfast is like .Lresume.
#include <asm/unistd.h>

#include "platform/stub/stub_layout.h"
#include "platform/systrap/slot_layout.h"

#define BEGIN runsc_systrap_stub_begin

        .section .rodata.runsc_systrap_stub,"a",@progbits
        .balign 64
        .globl runsc_systrap_stub_begin, runsc_systrap_stub_handler, runsc_systrap_stub_end
        .globl runsc_systrap_stub_enter
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
        // From here on the thread is a guest's for the filter; not before may a signal's frame show its registers.
        xorl    %r9d, %r9d
        movl    $1, %edi                        // SIG_UNBLOCK
        leaq    SLOT_IN_UNBLOCK(%rbx), %rsi
        xorl    %edx, %edx
        movl    $8, %r10d
        movl    $__NR_rt_sigprocmask, %eax
        syscall
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d

.Lidle:
        xorl    %ebp, %ebp
.Lspin:
        movl    SLOT_IN_GO(%rbx), %eax
        cmpl    %eax, %r12d
        jne     .Lresume
        cmpl    SLOT_IN_SPIN(%rbx), %ebp
        jae     .Lsleep
        incl    %ebp
        pause
        cmpl    $0, SLOT_IN_YIELD(%rbx)
        je      .Lspin
        movq    %rbx, %rdi                      // the filter wants it
        movl    $__NR_sched_yield, %eax
        syscall
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
        cmpl    $0, SLOT_IN_SAVE_FP(%rbx)
        jne     .Lsave_fp
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
        cmpl    $0, SLOT_IN_FAST(%rbx)
        jne     .Lresume_site
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
.Lresume_site:
        movq    %rbx, %rcx
        movq    SLOT_OUT+SLOT_OUT_R15(%rcx), %r15
        movq    SLOT_OUT+SLOT_OUT_R14(%rcx), %r14
        movq    SLOT_OUT+SLOT_OUT_R13(%rcx), %r13
        movq    SLOT_OUT+SLOT_OUT_R12(%rcx), %r12
        movq    SLOT_OUT+SLOT_OUT_RBP(%rcx), %rbp
        movq    SLOT_OUT+SLOT_OUT_RBX(%rcx), %rbx
        movq    SLOT_OUT+SLOT_OUT_R10(%rcx), %r10
        movq    SLOT_OUT+SLOT_OUT_R9(%rcx), %r9
        movq    SLOT_OUT+SLOT_OUT_R8(%rcx), %r8
        movq    SLOT_OUT+SLOT_OUT_RDX(%rcx), %rdx
        movq    SLOT_OUT+SLOT_OUT_RSI(%rcx), %rsi
        movq    SLOT_OUT+SLOT_OUT_RDI(%rcx), %rdi
        jmp     .Lfast_load
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
        jae     .Lnot_in_stub
        // A fault in stub code is the work of a guest: it is told of like any other.
        cmpl    $SYSTRAP_INTERRUPT_SIGNAL, %edi
        jne     .Lcapture
        cmpq    $(.Lresume-BEGIN), %rax
        jb      .Lreturn
        cmpq    $(.Lresume_end-BEGIN), %rax
        jae     .Lnot_in_resume
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
        cmpl    $0, SLOT_IN_SAVE_FP(%rbx)
        jne     .Lfp_saved
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
.Lwake:
        leaq    SLOT_OUT+SLOT_OUT_DONE(%rbx), %rdi
        movl    $1, %esi                        // FUTEX_WAKE
        movl    $1, %edx
        movl    $__NR_futex, %eax
        syscall
        jmp     .Lidle

// FP state that is still in the CPU, or that a frame has got meanwhile.
.Lsave_fp:
        testq   %r13, %r13
        jnz     .Lfp_saved
        leaq    SLOT_OUT+SLOT_OUT_FP_AREA(%rbx), %rcx
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 (%rcx)
        movq    %rcx, %r13
.Lfp_saved:
        movl    $SLOT_KIND_FP_SAVED, SLOT_OUT+SLOT_OUT_KIND(%rbx)
        jmp     .Lpublish

.Lnot_in_resume:
        cmpq    $(.Lknown-BEGIN), %rax
        jb      .Lreturn
        cmpq    $(.Lknown_end-BEGIN), %rax
        jb      .Ltake_back
        cmpq    $(.Lfast-BEGIN), %rax
        jb      .Lreturn
        cmpq    $(.Lfast_end-BEGIN), %rax
        jb      .Lfp_in_frame
        jmp     .Lreturn

// The call of a patched site, which has not been answered yet, begins anew.
.Ltake_back:
        movq    SLOT_OUT+SLOT_OUT_RAX(%rbx), %rax
        movq    %rax, UC_RAX(%rdx)
        movq    SLOT_OUT+SLOT_OUT_RSP(%rbx), %rax
        movq    %rax, UC_RSP(%rdx)
        movq    SLOT_OUT+SLOT_OUT_FLAGS(%rbx), %rax
        movq    %rax, UC_EFLAGS(%rdx)
        movl    SLOT_OUT+SLOT_OUT_SITE(%rbx), %eax
        shlq    $6, %rax                        // SITE_SIZE
        addq    $SITE_CODE, %rax
        movq    %rax, UC_RIP(%rdx)
        jmp     .Lcapture

// Before its jump to `enter` a trampoline goes on; behind it, it is like guest code.
.Lnot_in_stub:
        cmpl    $SYSTRAP_INTERRUPT_SIGNAL, %edi
        jne     .Lcapture
        movq    UC_RIP(%rdx), %rax
        subq    $SITE_CODE, %rax
        cmpq    $SITE_CODE_SIZE, %rax
        jae     .Lcapture
        andl    $(SITE_SIZE-1), %eax
        cmpl    $SITE_TRAP, %eax
        jae     .Lcapture

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

// r11 is the site's number; rcx is free. Flags are the guest's until they are pushed.
runsc_systrap_stub_enter:
        rdgsbase %rcx
        rorxq   $SLOTS_SHIFT, %rcx, %rcx
        movzwl  %cx, %ecx
        leal    -SLOTS_HIGH_BITS(%rcx), %ecx
        jrcxz   1f
        // The guest uses gs for itself.
        leaq    (,%r11,8), %r11
        leaq    SITE_CODE+SITE_TRAP(,%r11,8), %r11
        jmp     *%r11
1:      rdgsbase %rcx
        movq    %rsp, SLOT_OUT+SLOT_OUT_RSP(%rcx)
        leaq    SLOT_OUT+SLOT_OUT_FLAGS+8(%rcx), %rsp
        pushfq
        movq    %rax, SLOT_OUT+SLOT_OUT_RAX(%rcx)
        movl    %r11d, SLOT_OUT+SLOT_OUT_SITE(%rcx)
        cmpq    $SLOT_ANSWERS, %rax
        jae     .Lhandover

.Lknown:
        movq    SLOT_IN_ANSWERS(%rcx,%rax,8), %rax
        cmpq    $-1, %rax
        je      .Lhandover
        cmpl    $0, SLOT_IN_INTERRUPT(%rcx)
        jne     .Lhandover
        shlq    $6, %r11                        // SITE_SIZE
        addq    $(SITE_CODE+SITE_RETURN), %r11
        movq    %r11, SLOT_OUT+SLOT_OUT_TARGET(%rcx)
        popfq
        movq    SLOT_OUT+SLOT_OUT_RSP(%rcx), %rsp
        movq    SLOT_OUT+SLOT_OUT_FLAGS(%rcx), %r11
        movq    SLOT_OUT+SLOT_OUT_TARGET(%rcx), %rcx
        jmp     *%rcx
.Lknown_end:

.Lhandover:
        movq    %r15, SLOT_OUT+SLOT_OUT_R15(%rcx)
        movq    %r14, SLOT_OUT+SLOT_OUT_R14(%rcx)
        movq    %r13, SLOT_OUT+SLOT_OUT_R13(%rcx)
        movq    %r12, SLOT_OUT+SLOT_OUT_R12(%rcx)
        movq    %rbp, SLOT_OUT+SLOT_OUT_RBP(%rcx)
        movq    %rbx, SLOT_OUT+SLOT_OUT_RBX(%rcx)
        rdfsbase %rax
        movq    %rax, SLOT_OUT+SLOT_OUT_FS_BASE(%rcx)
        // A new task begins with its maker's FP state: to be asked for it costs a hand-over more.
        movq    SLOT_OUT+SLOT_OUT_RAX(%rcx), %rax
        cmpl    $__NR_clone3, %eax
        je      .Lfp_along
        subl    $__NR_clone, %eax               // fork and vfork follow
        cmpl    $(__NR_vfork-__NR_clone), %eax
        jbe     .Lfp_along
        shll    $SLOT_KIND_BITS, %r11d
        addl    $SLOT_KIND_SITE, %r11d
.Lfp_done:
        // The line for which the Sentry looks all the time, at once.
        movq    SLOT_OUT+SLOT_OUT_RAX(%rcx), %rax
        movq    %rax, SLOT_OUT+SLOT_OUT_CALL_RAX(%rcx)
        movq    %rdi, SLOT_OUT+SLOT_OUT_RDI(%rcx)
        movq    %rsi, SLOT_OUT+SLOT_OUT_RSI(%rcx)
        movq    %rdx, SLOT_OUT+SLOT_OUT_RDX(%rcx)
        movq    %r10, SLOT_OUT+SLOT_OUT_R10(%rcx)
        movq    %r8, SLOT_OUT+SLOT_OUT_R8(%rcx)
        movq    %r9, SLOT_OUT+SLOT_OUT_R9(%rcx)
        movl    %r11d, SLOT_OUT+SLOT_OUT_KIND(%rcx)
        movl    SLOT_IN_GO(%rcx), %r11d
        movl    %r11d, %eax
        xchgl   %eax, SLOT_OUT+SLOT_OUT_DONE(%rcx)
        cmpl    $0, SLOT_IN_SENTRY_SLEEPS(%rcx)
        jne     .Lslow_wake
        cmpl    $0, SLOT_IN_YIELD(%rcx)
        jne     .Lslow_yield
        xorl    %eax, %eax
.Lfast_spin:
        cmpl    %r11d, SLOT_IN_GO(%rcx)
        jne     .Lfast
        cmpl    SLOT_IN_SPIN(%rcx), %eax
        jae     .Lslow
        incl    %eax
        pause
        jmp     .Lfast_spin

.Lfp_along:
        movq    %rdx, SLOT_OUT+SLOT_OUT_RDX(%rcx)
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 SLOT_OUT+SLOT_OUT_FP_AREA(%rcx)
        leaq    SLOT_OUT+SLOT_OUT_FP_AREA(%rcx), %rax
        movq    %rax, SLOT_OUT+SLOT_OUT_FP(%rcx)
        movq    SLOT_OUT+SLOT_OUT_RDX(%rcx), %rdx
        shll    $SLOT_KIND_BITS, %r11d
        addl    $SLOT_KIND_SITE_FP, %r11d
        jmp     .Lfp_done

.Lslow_wake:
        movq    %rcx, %rbx
        movl    %r11d, %r12d
        xorl    %r13d, %r13d
        jmp     .Lwake
.Lslow_yield:
        movq    %rcx, %rbx
        movl    %r11d, %r12d
        xorl    %r13d, %r13d
        jmp     .Lidle
.Lslow:
        movq    %rcx, %rbx
        movl    %r11d, %r12d
        xorl    %r13d, %r13d
        jmp     .Lsleep

.Lfast:
        cmpl    $0, SLOT_IN_FAST(%rcx)
        je      .Lslow
        cmpl    $0, SLOT_IN_INTERRUPT(%rcx)
        jne     .Lslow
.Lfast_load:
        movl    SLOT_OUT+SLOT_OUT_SITE(%rcx), %r11d
        shlq    $6, %r11                        // SITE_SIZE
        addq    $(SITE_CODE+SITE_RETURN), %r11
        movq    %r11, SLOT_OUT+SLOT_OUT_TARGET(%rcx)
        movq    SLOT_IN_FAST_RAX(%rcx), %rax
        leaq    SLOT_OUT+SLOT_OUT_FLAGS(%rcx), %rsp
        popfq
        movq    SLOT_OUT+SLOT_OUT_FLAGS(%rcx), %r11
        movq    SLOT_OUT+SLOT_OUT_RSP(%rcx), %rsp
        movq    SLOT_OUT+SLOT_OUT_TARGET(%rcx), %rcx
        jmp     *%rcx
.Lfast_end:
runsc_systrap_stub_end:
        .section .note.GNU-stack,"",@progbits
