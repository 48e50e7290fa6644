// The vDSO's file, built beside (vdso/), as bytes of this program.
  .section .rodata
  .balign 4096
  .global runsc_vdso_start
  .global runsc_vdso_end
runsc_vdso_start:
  .incbin RUNSC_VDSO_FILE
runsc_vdso_end:
  .section .note.GNU-stack, "", @progbits
