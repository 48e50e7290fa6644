#include "test/fuzz/syscalls/fuzzer.h"

#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/fuzz/syscalls/memory.h"
#include "test/fuzz/syscalls/table.h"

namespace {

bool SharesMemory(int number, const uint64_t* a) {
  if (number == SYS_clone) return (a[0] & CLONE_VM) != 0;
  return true;  // clone3: who knows what another thread writes into the structure
}

// The system call itself. A new thread, or a child in this memory, has no stack of its own to return on: it
// makes a few harmless calls and ends.
long Raw(int number, const uint64_t* a) {
  long result = number;
  register uint64_t r10 asm("r10") = a[3];
  register uint64_t r8 asm("r8") = a[4];
  register uint64_t r9 asm("r9") = a[5];
  if (number == SYS_vfork || ((number == SYS_clone || number == SYS_clone3) && SharesMemory(number, a))) {
    asm volatile(
        "syscall\n"
        "test %%rax, %%rax\n"
        "jnz 1f\n"
        "mov $39, %%eax\n"
        "syscall\n"
        "mov $24, %%eax\n"
        "syscall\n"
        "mov $60, %%eax\n"
        "xor %%edi, %%edi\n"
        "syscall\n"
        "1:"
        : "+a"(result)
        : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
        : "rcx", "r11", "memory");
    return result;
  }
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace

bool Fuzzer::Allowed(int number, const uint64_t* a) {
  if (number == SYS_exit_group || number == SYS_reboot) return random_.OneIn(50) && number == SYS_exit_group;
  if (number == SYS_kill) return static_cast<int>(a[0]) != -1 && static_cast<int>(a[0]) != 1;
  return true;
}

void Fuzzer::Step() {
  const Call* call = nullptr;
  do {
    call = &calls[random_.Below(calls.size())];
  } while (random_.Below(12) >= call->weight);
  int number = call->number;
  uint64_t arguments[6] = {};
  size_t count = strlen(call->signature);
  for (size_t i = 0; i < 6; ++i) {
    char kind = i < count ? call->signature[i] : 'x';
    if (random_.OneIn(40)) kind = 'x';
    arguments[i] = arguments_.Make(kind, number, i);
  }
  if (random_.OneIn(400)) number = static_cast<int>(random_.Below(470));
  if (!Allowed(number, arguments)) return;
  counters->calls.fetch_add(1, std::memory_order_relaxed);
  counters->per_call[number].fetch_add(1, std::memory_order_relaxed);
  long result = Raw(number, arguments);
  bool makes_process =
      number == SYS_fork || number == SYS_vfork || number == SYS_clone || number == SYS_clone3;
  if (makes_process && result == 0) {
    // The child of a fork goes on for a while. One that shares memory is not seen here: Raw ends it.
    for (int i = 0; i < 30 && !in_child_; ++i) {
      in_child_ = i == 29;
      Step();
    }
    _exit(0);
  }
}
