// ElfImage: the headers of one ELF64 x86-64 file, read and checked. All that comes later (the
// mapper) may rely on: segments sorted and apart, sums that do not overflow, bounded counts.
// The file is hostile input.
// Linux counterpart: the first half of load_elf_binary; elf(5).
#ifndef SENTRY_LOADER_ELF_IMAGE_H_
#define SENTRY_LOADER_ELF_IMAGE_H_

#include <elf.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "platform/base/result.h"

namespace runsc {

// Reads up to to.size() bytes at an offset; fewer only at the end of the file.
using ElfReader = absl::FunctionRef<Result<size_t>(uint64_t offset, std::span<std::byte> to)>;

struct ElfSegment {  // PT_LOAD
  uint64_t vaddr = 0;
  uint64_t offset = 0;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
  int prot = 0;  // PROT_*
};

struct ElfImage {
  // `max_address`: where the guest's addresses end. ENOEXEC: no ELF file for this machine, or a
  // broken one; EINVAL: segments that no mapping can satisfy; ENOMEM: they do not fit.
  static Result<ElfImage> Parse(ElfReader read, uint64_t max_address);

  bool position_independent = false;  // ET_DYN
  uint64_t entry = 0;
  uint64_t header_offset = 0;    // e_phoff
  uint64_t headers_address = 0;  // where the program headers are in memory, unbiased; 0: nowhere
  uint16_t header_count = 0;
  std::vector<ElfSegment> segments;  // by address
  uint64_t start = 0, end = 0;       // page-aligned extent of the segments, unbiased
  uint64_t alignment = 0;            // largest p_align of a segment, at least a page
  std::string interpreter;           // PT_INTERP; empty: none
  bool executable_stack = false;     // PT_GNU_STACK
};

}  // namespace runsc

#endif  // SENTRY_LOADER_ELF_IMAGE_H_
