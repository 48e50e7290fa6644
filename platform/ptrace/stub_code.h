// The symbols of stub.S.
#ifndef PLATFORM_PTRACE_STUB_CODE_H_
#define PLATFORM_PTRACE_STUB_CODE_H_

extern "C" {
extern const char runsc_ptrace_stub_begin[];
extern const char runsc_ptrace_stub_master[];
extern const char runsc_ptrace_stub_inject[];
extern const char runsc_ptrace_stub_trap[];
extern const char runsc_ptrace_stub_park[];
extern const char runsc_ptrace_stub_exit[];
extern const char runsc_ptrace_stub_end[];
}

#endif  // PLATFORM_PTRACE_STUB_CODE_H_
