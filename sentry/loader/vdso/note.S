// What the vDSO says of itself: ELFNOTE "Linux", type 0, a kernel version.
  .section .note.vdso, "a", @note
  .balign 4
  .long 6, 4, 0
  .asciz "Linux"
  .balign 4
  .long 0x060100
  .section .note.GNU-stack, "", @progbits
