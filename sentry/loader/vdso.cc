#include "sentry/loader/vdso.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

extern "C" const std::byte runsc_vdso_start[], runsc_vdso_end[];

namespace runsc {

namespace {

constexpr uint64_t kVvarOffset = kPageSize, kImageOffset = 2 * kPageSize;

Translation TranslatePart(MemoryFile& memory_file, FileRange all, uint64_t offset, uint64_t max_length) {
  Translation translation;
  translation.file = &memory_file;
  translation.range = FileRange{all.offset + offset, std::min(max_length, all.length - offset)};
  translation.writable = false;
  memory_file.AddPageRefs(translation.range);
  return translation;
}

// The page of offsets of an address space in another time namespace than the first.
class OffsetsPage final : public MappedObject, public Mappable {
 public:
  static Result<RefPtr<OffsetsPage>> Create(MemoryFile& memory_file, const TimeOffsets& offsets) {
    ASSIGN_OR_RETURN(FileRange range, memory_file.Allocate(kPageSize));
    const TimeOffsetsPage page{offsets.monotonic, offsets.boottime};
    std::memcpy(memory_file.At(range), &page, sizeof(page));
    return MakeRef<OffsetsPage>(memory_file, range);
  }
  OffsetsPage(MemoryFile& memory_file, FileRange range) : memory_file_(memory_file), range_(range) {}

  Mappable& mappable() override { return *this; }
  std::string Name() const override { return "[vvar]"; }
  uint64_t device() const override { return 0; }
  uint64_t inode_number() const override { return 0; }
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override {
    if (offset >= range_.length) return Errno(ENXIO);
    return TranslatePart(memory_file_, range_, offset, max_length);
  }

 private:
  ~OffsetsPage() override { memory_file_.ReleasePageRefs(range_); }
  MemoryFile& memory_file_;
  const FileRange range_;
};

MMapOptions PagesAt(UserAddr addr, RefPtr<MappedObject> object, uint64_t offset, uint64_t length) {
  MMapOptions options;
  options.fixed = true;
  options.object = std::move(object);
  options.addr = addr;
  options.offset = offset;
  options.length = length;
  options.prot = options.max_prot = PROT_READ;
  options.name = "[vvar]";
  return options;
}

}  // namespace

Result<RefPtr<Vdso>> Vdso::Create(MemoryFile& memory_file) {
  size_t image = static_cast<size_t>(runsc_vdso_end - runsc_vdso_start);
  ASSIGN_OR_RETURN(FileRange range, memory_file.Allocate(kImageOffset + *PageRoundUp(image)));
  auto vdso = MakeRef<Vdso>(memory_file, range);
  std::memcpy(memory_file.At(range) + kImageOffset, runsc_vdso_start, image);
  return vdso;
}

Vdso::~Vdso() { memory_file_.ReleasePageRefs(range_); }

VvarPage* Vdso::vvar() { return reinterpret_cast<VvarPage*>(memory_file_.At(range_) + kVvarOffset); }

Result<Translation> Vdso::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  if (offset >= range_.length) return Errno(ENXIO);
  return TranslatePart(memory_file_, range_, offset, max_length);
}

Result<void> Vdso::MapOffsets(MemoryManager& memory, UserAddr addr, const TimeOffsets& offsets) {
  RefPtr<MappedObject> page(this);
  if (offsets != TimeOffsets{}) {
    ASSIGN_OR_RETURN(page, OffsetsPage::Create(memory_file_, offsets));
  }
  RETURN_IF_ERROR(memory.MMap(PagesAt(addr, std::move(page), 0, kPageSize)));
  return Ok();
}

Result<UserAddr> Vdso::MapInto(MemoryManager& memory, const TimeOffsets& offsets) {
  MMapOptions room;
  room.length = range_.length;
  room.prot = PROT_NONE;
  ASSIGN_OR_RETURN(UserAddr base, memory.MMap(room));
  RETURN_IF_ERROR(memory.MMap(PagesAt(base, RefPtr<MappedObject>(this), 0, kImageOffset)));
  if (offsets != TimeOffsets{}) RETURN_IF_ERROR(MapOffsets(memory, base, offsets));
  MMapOptions image =
      PagesAt(base + kImageOffset, RefPtr<MappedObject>(this), kImageOffset, range_.length - kImageOffset);
  image.prot = PROT_READ | PROT_EXEC;
  image.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC;  // a debugger's breakpoints go to a private copy
  image.name = "[vdso]";
  RETURN_IF_ERROR(memory.MMap(image));
  return image.addr;
}

Result<void> Vdso::SetOffsets(MemoryManager& memory, const TimeOffsets& offsets) {
  const std::vector<VmaInfo> vmas = memory.Vmas(false);
  for (const VmaInfo& vma : vmas) {
    const uint64_t length = vma.range.end.value() - vma.range.start.value();
    if (vma.object != this || vma.offset > kVvarOffset || vma.offset + length <= kVvarOffset) continue;
    const UserAddr addr(vma.range.start.value() + kVvarOffset - vma.offset - kPageSize);
    bool is_there = std::any_of(vmas.begin(), vmas.end(), [addr](const VmaInfo& other) {
      return other.name == "[vvar]" && other.range.start <= addr && addr < other.range.end;
    });
    if (is_there) RETURN_IF_ERROR(MapOffsets(memory, addr, offsets));
  }
  return Ok();
}

}  // namespace runsc
