// The code of a stub process. It is copied to the stub region and runs there in
// three roles, none of which has a stack:
//
//   keeper   the process's first thread (keeper.inc), untraced
//   inject   a traced guest thread that its tracer borrows for one command list; it
//            ends in the int3 at runsc_ptrace_stub_trap, with the result in r14
//   park     a guest thread that nobody traces at the moment
#include <asm/unistd.h>

#include "platform/stub/stub_layout.h"

        .section .rodata.runsc_ptrace_stub,"a",@progbits
        .balign 16
        .globl runsc_ptrace_stub_begin, runsc_ptrace_stub_master, runsc_ptrace_stub_inject
        .globl runsc_ptrace_stub_trap, runsc_ptrace_stub_park, runsc_ptrace_stub_exit, runsc_ptrace_stub_end
#define STUB_BEGIN runsc_ptrace_stub_begin
runsc_ptrace_stub_begin:
runsc_ptrace_stub_master:
#include "platform/stub/keeper.inc"

runsc_ptrace_stub_inject:
        movq    $-1, %r12
        leaq    runsc_ptrace_stub_begin+STUB_COMMAND_OFFSET(%rip), %rbx
        jmp     .Lrun
.Llist_done:
runsc_ptrace_stub_trap:
        int3
        jmp     runsc_ptrace_stub_trap

.Lthread:
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
