#include "sentry/loader/elf_mapping.h"

#include <sys/mman.h>

#include <algorithm>

#include "sentry/loader/randomize.h"

namespace runsc {
namespace {

constexpr uint64_t kProgramRandomPages = uint64_t{1} << 28;

// An address of the mmap area with room for the whole image, aligned as it asks.
Result<uint64_t> FindRoom(MemoryManager& memory, const ElfImage& image) {
  uint64_t length = image.end - image.start;
  uint64_t extra = image.alignment - kPageSize;
  if (__builtin_add_overflow(length, extra, &length)) return Errno(ENOMEM);
  MMapOptions options;
  options.length = length;
  options.prot = PROT_NONE;
  options.no_reserve = true;
  ASSIGN_OR_RETURN(UserAddr room, memory.MMap(options));
  RETURN_IF_ERROR(memory.MUnmap(room, length));
  return (room.value() + extra) & ~(image.alignment - 1);
}

Result<uint64_t> PickBias(MemoryManager& memory, const ElfImage& image, ElfPlacement placement,
                          uint64_t max_address) {
  if (!image.position_independent) return uint64_t{0};
  if (placement == ElfPlacement::kAnywhere) {
    ASSIGN_OR_RETURN(uint64_t room, FindRoom(memory, image));
    return room - image.start;
  }
  uint64_t base = ElfProgramBase(max_address);
  // A small address space leaves fewer random bits.
  uint64_t pages = std::min(kProgramRandomPages, max_address / 8 / kPageSize);
  base = (base + RandomBelow(pages) * kPageSize) & ~(image.alignment - 1);
  if (image.end - image.start > max_address - base) return Errno(ENOMEM);
  return base - image.start;
}

Result<void> MapSegment(MemoryManager& memory, FileDescription& file, const ElfSegment& segment,
                        uint64_t bias) {
  uint64_t start = segment.vaddr + bias;
  uint64_t page = PageRoundDown(start);
  uint64_t file_end = start + segment.file_size;
  uint64_t mapped_end = page;
  if (segment.file_size > 0) {
    ASSIGN_OR_RETURN(RefPtr<MappedObject> object, file.ConfigureMMap(segment.prot, /*shared=*/false));
    mapped_end = *PageRoundUp(file_end);
    MMapOptions options;
    options.addr = UserAddr(page);
    options.length = mapped_end - page;
    options.prot = segment.prot;
    options.fixed = true;
    options.object = std::move(object);
    options.offset = PageRoundDown(segment.offset);
    RETURN_IF_ERROR(memory.MMap(options));
    // What follows the file's bytes in the last page belongs to the bss. A read-only
    // segment keeps the file's, as in Linux.
    if (segment.memory_size > segment.file_size && (segment.prot & PROT_WRITE) != 0 &&
        file_end < mapped_end) {
      uint64_t tail = mapped_end - file_end;
      if (memory.ZeroOut(UserAddr(file_end), tail) != tail) return Errno(EFAULT);
    }
  }
  uint64_t memory_end = *PageRoundUp(start + segment.memory_size);
  if (memory_end <= mapped_end) return Ok();
  MMapOptions options;
  options.addr = UserAddr(mapped_end);
  options.length = memory_end - mapped_end;
  options.prot = segment.prot;
  options.fixed = true;
  RETURN_IF_ERROR(memory.MMap(options));
  return Ok();
}

}  // namespace

Result<MappedElf> MapElf(MemoryManager& memory, FileDescription& file, const ElfImage& image,
                         ElfPlacement placement, uint64_t min_address, uint64_t max_address) {
  ASSIGN_OR_RETURN(uint64_t bias, PickBias(memory, image, placement, max_address));
  // Mapping below the lowest address of the platform (mmap_min_addr) is not possible.
  if (image.start + bias < min_address) return Errno(EPERM);
  MappedElf mapped;
  mapped.bias = bias;
  mapped.base = UserAddr(image.start + bias);
  mapped.entry = UserAddr(image.entry + bias);
  if (image.headers_address != 0) mapped.headers = UserAddr(image.headers_address + bias);
  mapped.end = UserAddr(image.end + bias);
  mapped.code_start = UserAddr(UINT64_MAX);
  for (const ElfSegment& segment : image.segments) {
    RETURN_IF_ERROR(MapSegment(memory, file, segment, bias));
    UserAddr start(segment.vaddr + bias);
    UserAddr file_end = start + segment.file_size;
    if ((segment.prot & PROT_EXEC) != 0) {
      mapped.code_start = std::min(mapped.code_start, start);
      mapped.code_end = std::max(mapped.code_end, file_end);
    }
    mapped.data_start = std::max(mapped.data_start, start);
    mapped.data_end = std::max(mapped.data_end, file_end);
  }
  if (mapped.code_end.is_null()) mapped.code_start = mapped.code_end = mapped.base;
  return mapped;
}

}  // namespace runsc
