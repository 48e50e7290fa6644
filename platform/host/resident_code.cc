#include "platform/host/resident_code.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

// Of this program, by the linker. (Its headers are not among what a static one finds in its auxiliary
// vector.)
extern "C" const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

namespace runsc {

void ReleaseCode() {
  constexpr uintptr_t kPage = 4096;
  const auto start = reinterpret_cast<uintptr_t>(&__ehdr_start);
  const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(start + __ehdr_start.e_phoff);
  uintptr_t base = 0;
  for (size_t i = 0; i < __ehdr_start.e_phnum; ++i) {
    if (headers[i].p_type == PT_LOAD && headers[i].p_offset == 0) base = start - headers[i].p_vaddr;
  }
  for (size_t i = 0; i < __ehdr_start.e_phnum; ++i) {
    // What can be written, or could be before it was relocated, is the process's own.
    if (headers[i].p_type != PT_LOAD || (headers[i].p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (base + headers[i].p_vaddr) & ~(kPage - 1);
    const uintptr_t end = (base + headers[i].p_vaddr + headers[i].p_memsz) & ~(kPage - 1);
    if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

}  // namespace runsc
