// Fault-safe access to memory that the Sentry maps but does not control: a page of a
// host file raises SIGBUS once the file has shrunk. These routines stop at such a page
// and say how far they came; any other fault in the Sentry stays fatal.
//
// Threading: any thread. InstallSafeCopyHandler once at boot, before guests run; a
// thread must not block SIGSEGV and SIGBUS.
// Linux counterpart: exception tables (arch/x86/mm/extable.c).
#ifndef SENTRY_USERMEM_SAFE_COPY_H_
#define SENTRY_USERMEM_SAFE_COPY_H_

#include <cstddef>
#include <cstdint>

namespace runsc {

// Takes SIGSEGV and SIGBUS. Idempotent.
void InstallSafeCopyHandler();

// For whoever takes the two signals later: whether the fault was one of ours. If so,
// `ucontext` has been changed to go on behind it.
bool HandleSafeCopyFault(void* ucontext);

// Return the number of bytes that were done, from the start.
size_t SafeCopy(void* to, const void* from, size_t length);
size_t SafeZero(void* to, size_t length);

// Atomics on an aligned word; false on a fault. CompareExchange stores what it found
// in *expected; sequentially consistent.
bool SafeLoad32(const uint32_t* word, uint32_t* value);
bool SafeCompareExchange32(uint32_t* word, uint32_t* expected, uint32_t desired, bool* exchanged);

}  // namespace runsc

#endif  // SENTRY_USERMEM_SAFE_COPY_H_
