#include "sentry/usermem/safe_copy.h"

#include <signal.h>
#include <ucontext.h>

namespace runsc {
namespace {

struct FixupEntry {
  int32_t start, end, fixup;  // each relative to its own field
};

uintptr_t Resolve(const int32_t& field) {
  return reinterpret_cast<uintptr_t>(&field) + static_cast<intptr_t>(field);
}

extern "C" {
size_t runsc_safe_copy(void* to, const void* from, size_t length);
size_t runsc_safe_zero(void* to, size_t length);
int runsc_safe_load32(const uint32_t* word, uint32_t* value);
int runsc_safe_cmpxchg32(uint32_t* word, uint32_t* expected, uint32_t desired);
extern const FixupEntry runsc_safe_table[];
extern const FixupEntry runsc_safe_table_end[];
}

void OnFault(int signal, siginfo_t* info, void* ucontext) {
  if (info->si_code > 0 && HandleSafeCopyFault(ucontext)) return;
  // Not ours: let it kill the process where it happened, as if we had never been here.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  if (info->si_code <= 0) raise(signal);
}

}  // namespace

bool HandleSafeCopyFault(void* ucontext) {
  auto& rip = static_cast<ucontext_t*>(ucontext)->uc_mcontext.gregs[REG_RIP];
  for (const FixupEntry* entry = runsc_safe_table; entry != runsc_safe_table_end; ++entry) {
    auto at = static_cast<uintptr_t>(rip);
    if (at < Resolve(entry->start) || at >= Resolve(entry->end)) continue;
    rip = static_cast<greg_t>(Resolve(entry->fixup));
    return true;
  }
  return false;
}

void InstallSafeCopyHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

size_t SafeCopy(void* to, const void* from, size_t length) {
  return length - runsc_safe_copy(to, from, length);
}
size_t SafeZero(void* to, size_t length) { return length - runsc_safe_zero(to, length); }

bool SafeLoad32(const uint32_t* word, uint32_t* value) { return runsc_safe_load32(word, value) != 0; }

bool SafeCompareExchange32(uint32_t* word, uint32_t* expected, uint32_t desired, bool* exchanged) {
  int outcome = runsc_safe_cmpxchg32(word, expected, desired);
  *exchanged = outcome == 2;
  return outcome != 0;
}

}  // namespace runsc
