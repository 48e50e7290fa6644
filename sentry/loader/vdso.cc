#include "sentry/loader/vdso.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

extern "C" const std::byte runsc_vdso_start[], runsc_vdso_end[];

namespace runsc {

Result<RefPtr<Vdso>> Vdso::Create(MemoryFile& memory_file) {
  size_t image = static_cast<size_t>(runsc_vdso_end - runsc_vdso_start);
  ASSIGN_OR_RETURN(FileRange range, memory_file.Allocate(kPageSize + *PageRoundUp(image)));
  auto vdso = MakeRef<Vdso>(memory_file, range);
  std::memcpy(memory_file.At(range) + kPageSize, runsc_vdso_start, image);
  return vdso;
}

Vdso::~Vdso() { memory_file_.ReleasePageRefs(range_); }

VvarPage* Vdso::vvar() { return reinterpret_cast<VvarPage*>(memory_file_.At(range_)); }

Result<Translation> Vdso::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  if (offset >= range_.length) return Errno(ENXIO);
  Translation translation;
  translation.file = &memory_file_;
  translation.range = FileRange{range_.offset + offset, std::min(max_length, range_.length - offset)};
  translation.writable = false;
  memory_file_.AddPageRefs(translation.range);
  return translation;
}

Result<UserAddr> Vdso::MapInto(MemoryManager& memory) {
  MMapOptions room;
  room.length = range_.length;
  room.prot = PROT_NONE;
  ASSIGN_OR_RETURN(UserAddr base, memory.MMap(room));
  MMapOptions options;
  options.fixed = true;
  options.object = RefPtr<MappedObject>(this);
  options.addr = base;
  options.length = kPageSize;
  options.prot = options.max_prot = PROT_READ;
  options.name = "[vvar]";
  RETURN_IF_ERROR(memory.MMap(options));
  options.addr = base + kPageSize;
  options.length = range_.length - kPageSize;
  options.offset = kPageSize;
  options.prot = PROT_READ | PROT_EXEC;
  options.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC;  // a debugger's breakpoints go to a private copy
  options.name = "[vdso]";
  RETURN_IF_ERROR(memory.MMap(options));
  return options.addr;
}

}  // namespace runsc
