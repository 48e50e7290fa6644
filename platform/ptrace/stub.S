// The code of a stub process. It is copied to the stub region and runs there in
// three roles, none of which has a stack:
//
//   keeper   the process's first thread, never traced, never in guest code. It runs
//            the command list whenever the sequence number in the command page moves.
//   inject   a traced guest thread that its tracer borrows for one command list; it
//            ends in the int3 at runsc_ptrace_stub_trap.
//   park     a guest thread that nobody traces at the moment.
//
// The result of a list (the last clone's return value, or the first error) leaves in
// a register: to the tracer as r14, from the keeper as the file offset of its
// mailbox. Guest threads can write to neither.
//
// Registers: rbx command page, rbp response page, r12 sequence (-1: injected),
// r13 commands left, r14 result, r15 current command.
#include <asm/unistd.h>

#include "platform/ptrace/stub_layout.h"

        .section .rodata.runsc_ptrace_stub,"a",@progbits
        .balign 16
        .globl runsc_ptrace_stub_begin, runsc_ptrace_stub_master, runsc_ptrace_stub_inject
        .globl runsc_ptrace_stub_trap, runsc_ptrace_stub_park, runsc_ptrace_stub_exit, runsc_ptrace_stub_end
runsc_ptrace_stub_begin:

// The master enters here with the Sentry's memory still mapped, and drops it.
runsc_ptrace_stub_master:
        xorl    %edi, %edi
        leaq    runsc_ptrace_stub_begin(%rip), %rsi
        movl    $__NR_munmap, %eax
        syscall
        testq   %rax, %rax
        jnz     .Lfail
        leaq    runsc_ptrace_stub_begin+STUB_REGION_SIZE(%rip), %rdi
        movabsq $STUB_TASK_SIZE, %rsi
        subq    %rdi, %rsi
        movl    $__NR_munmap, %eax
        syscall
        testq   %rax, %rax
        jnz     .Lfail
        xorl    %esp, %esp

.Lkeeper:
        leaq    runsc_ptrace_stub_begin+STUB_COMMAND_OFFSET(%rip), %rbx
        leaq    runsc_ptrace_stub_begin+STUB_RESPONSE_OFFSET(%rip), %rbp
        xorl    %r12d, %r12d
.Lwait:
        movl    STUB_COMMAND_SEQUENCE(%rbx), %eax
        cmpl    %eax, %r12d
        jne     .Lhave
        leaq    STUB_COMMAND_SEQUENCE(%rbx), %rdi
        xorl    %esi, %esi                      // FUTEX_WAIT
        movl    %r12d, %edx
        xorl    %r10d, %r10d
        movl    $__NR_futex, %eax
        syscall
        jmp     .Lwait
.Lhave:
        movl    %eax, %r12d
        jmp     .Lrun
.Lanswer:
        movq    STUB_COMMAND_MAILBOX(%rbx), %rdi
        movq    %r12, %rsi
        shlq    $32, %rsi
        movl    %r14d, %r14d
        orq     %r14, %rsi
        xorl    %edx, %edx                      // SEEK_SET
        movl    $__NR_lseek, %eax
        syscall
        movl    %r12d, (%rbp)
        movq    %rbp, %rdi
        movl    $1, %esi                        // FUTEX_WAKE
        movl    $0x7fffffff, %edx
        movl    $__NR_futex, %eax
        syscall
        jmp     .Lwait

runsc_ptrace_stub_inject:
        movq    $-1, %r12
        leaq    runsc_ptrace_stub_begin+STUB_COMMAND_OFFSET(%rip), %rbx
.Lrun:
        movl    STUB_COMMAND_COUNT(%rbx), %r13d
        leaq    STUB_COMMAND_LIST(%rbx), %r15
        xorl    %r14d, %r14d
.Lnext:
        testl   %r13d, %r13d
        jz      .Ldone
        movq    0(%r15), %rax
        movq    8(%r15), %rdi
        movq    16(%r15), %rsi
        movq    24(%r15), %rdx
        movq    32(%r15), %r10
        movq    40(%r15), %r8
        movq    48(%r15), %r9
        syscall
        cmpq    $-4096, %rax
        ja      .Lerror
        cmpq    $__NR_clone, 0(%r15)
        jne     .Ladvance
        testq   %rax, %rax
        jz      .Lchild
        movl    %eax, %r14d
.Ladvance:
        decl    %r13d
        addq    $STUB_COMMAND_SIZE, %r15
        jmp     .Lnext
.Lerror:
        movl    %eax, %r14d
.Ldone:
        testq   %r12, %r12
        jns     .Lanswer
runsc_ptrace_stub_trap:
        int3
        jmp     runsc_ptrace_stub_trap

// A new thread parks; a new process maps its own pages (r9 is their file) first.
.Lchild:
        testl   $STUB_CLONE_VM, %edi
        jnz     runsc_ptrace_stub_park
        movq    %r9, %r8
        movq    %rbx, %rdi
        movl    $STUB_PAGE_SIZE, %esi
        movl    $1, %edx                        // PROT_READ
        movl    $0x11, %r10d                    // MAP_SHARED|MAP_FIXED
        xorl    %r9d, %r9d
        movl    $__NR_mmap, %eax
        syscall
        cmpq    %rbx, %rax
        jne     .Lfail
        movq    %rbp, %rdi
        movl    $3, %edx                        // PROT_READ|PROT_WRITE
        movl    $STUB_PAGE_SIZE, %r9d
        movl    $__NR_mmap, %eax
        syscall
        cmpq    %rbp, %rax
        je      .Lkeeper
.Lfail:
        movl    $1, %edi
        movl    $__NR_exit_group, %eax
        syscall
        jmp     .Lfail

runsc_ptrace_stub_park:
        movl    $__NR_pause, %eax
        syscall
        jmp     runsc_ptrace_stub_park

runsc_ptrace_stub_exit:
        xorl    %edi, %edi
        movl    $__NR_exit, %eax
        syscall
        jmp     runsc_ptrace_stub_exit
runsc_ptrace_stub_end:
        .section .note.GNU-stack,"",@progbits
