// Maps a checked ELF image into a new address space: segments, bss, and where it all landed.
// Linux counterpart: elf_map, set_brk and load_elf_interp.
#ifndef SENTRY_LOADER_ELF_MAPPING_H_
#define SENTRY_LOADER_ELF_MAPPING_H_

#include "sentry/loader/elf_image.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

struct MappedElf {
  uint64_t bias = 0;
  UserAddr entry;
  UserAddr base;     // of the first page
  UserAddr headers;  // program headers; null: not mapped
  UserAddr code_start, code_end, data_start, data_end, end;
};

enum class ElfPlacement {
  kProgram,  // ET_DYN goes where PIE programs go (two thirds up, randomised)
  kAnywhere  // ET_DYN goes to the mmap area (interpreters, programs without one)
};

// ENOMEM, EINVAL and what the file's ConfigureMMap says.
Result<MappedElf> MapElf(MemoryManager& memory, FileDescription& file, const ElfImage& image,
                         ElfPlacement placement, uint64_t min_address, uint64_t max_address);

// Where programs that are position-independent go, before randomisation.
constexpr uint64_t ElfProgramBase(uint64_t max_address) { return PageRoundDown(max_address / 3 * 2); }

}  // namespace runsc

#endif  // SENTRY_LOADER_ELF_MAPPING_H_
