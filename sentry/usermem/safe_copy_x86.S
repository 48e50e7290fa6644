// The routines of safe_copy.h. An access that may fault stands between a pair of
// labels that runsc_safe_table lists with the place to go on at:
// struct { start, end, fixup }, as offsets from the entry itself (position independent).

        .text

// size_t runsc_safe_copy(rdi to, rsi from, rdx length): bytes not copied.
// The short ways keep rdi, rsi and rdx, so that a fault there starts over with
// rep movsb, which stops at the exact byte.
        .globl runsc_safe_copy
        .type runsc_safe_copy, @function
        .p2align 5
runsc_safe_copy:
        cmpq $16, %rdx
        jae 2f
.Lshort_start:
        cmpq $8, %rdx
        jae 1f
        cmpq $4, %rdx
        jae 3f
        testq %rdx, %rdx
        jz .Ldone
        movzbl (%rsi), %eax
        movzbl -1(%rsi,%rdx), %ecx
        cmpq $3, %rdx
        jne 4f
        movzbl 1(%rsi), %r8d
        movb %r8b, 1(%rdi)
4:      movb %al, (%rdi)
        movb %cl, -1(%rdi,%rdx)
        jmp .Ldone
3:      movl (%rsi), %eax
        movl -4(%rsi,%rdx), %ecx
        movl %eax, (%rdi)
        movl %ecx, -4(%rdi,%rdx)
        jmp .Ldone
1:      movq (%rsi), %rax
        movq -8(%rsi,%rdx), %rcx
        movq %rax, (%rdi)
        movq %rcx, -8(%rdi,%rdx)
        jmp .Ldone
2:      cmpq $256, %rdx
        ja .Llong
        movups -16(%rsi,%rdx), %xmm1
        leaq -16(%rdx), %r8
        xorl %ecx, %ecx
5:      movups (%rsi,%rcx), %xmm0
        movups %xmm0, (%rdi,%rcx)
        addq $16, %rcx
        cmpq %r8, %rcx
        jb 5b
        movups %xmm1, -16(%rdi,%rdx)
.Lshort_end:
.Ldone:
        xorl %eax, %eax
        ret
.Llong:
        movq %rdx, %rcx
.Lcopy_start:
        rep movsb
.Lcopy_end:
.Lcopy_fixup:
        movq %rcx, %rax
        ret
        .size runsc_safe_copy, . - runsc_safe_copy

// size_t runsc_safe_zero(rdi to, rsi length): bytes not zeroed.
        .globl runsc_safe_zero
        .type runsc_safe_zero, @function
        .p2align 5
runsc_safe_zero:
        movq %rsi, %rcx
        xorl %eax, %eax
.Lzero_start:
        rep stosb
.Lzero_end:
.Lzero_fixup:
        movq %rcx, %rax
        ret
        .size runsc_safe_zero, . - runsc_safe_zero

// bool runsc_safe_load32(rdi word, rsi value): 0 on a fault.
        .globl runsc_safe_load32
        .type runsc_safe_load32, @function
        .p2align 4
runsc_safe_load32:
.Lload_start:
        movl (%rdi), %eax
.Lload_end:
        movl %eax, (%rsi)
        movl $1, %eax
        ret
.Lword_fixup:
        xorl %eax, %eax
        ret
        .size runsc_safe_load32, . - runsc_safe_load32

// int runsc_safe_cmpxchg32(rdi word, rsi expected, edx desired): 0 on a fault, 1 if
// another value was found, 2 if exchanged.
        .globl runsc_safe_cmpxchg32
        .type runsc_safe_cmpxchg32, @function
        .p2align 4
runsc_safe_cmpxchg32:
        movl (%rsi), %eax
.Lcmpxchg_start:
        lock cmpxchgl %edx, (%rdi)
.Lcmpxchg_end:
        movl %eax, (%rsi)
        movl $1, %eax
        jne 1f
        movl $2, %eax
1:      ret
        .size runsc_safe_cmpxchg32, . - runsc_safe_cmpxchg32

        .section .rodata
        .globl runsc_safe_table
        .globl runsc_safe_table_end
        .p2align 3
        .macro ENTRY start, end, fixup
        .long \start - ., \end - ., \fixup - .
        .endm
runsc_safe_table:
        ENTRY .Lshort_start, .Lshort_end, .Llong
        ENTRY .Lcopy_start, .Lcopy_end, .Lcopy_fixup
        ENTRY .Lzero_start, .Lzero_end, .Lzero_fixup
        ENTRY .Lload_start, .Lload_end, .Lword_fixup
        ENTRY .Lcmpxchg_start, .Lcmpxchg_end, .Lword_fixup
runsc_safe_table_end:

        .section .note.GNU-stack, "", @progbits
