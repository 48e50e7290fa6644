// Vdso: the pages that every program of a sandbox finds the vDSO in: the page of its time namespace's
// offsets, the vvar page right above it, and the image. One a kernel, in the memory file; address spaces map
// it, but for the offsets of another time namespace than the first. Linux counterpart: arch/x86/entry/vdso;
// vdso(7).
#ifndef SENTRY_LOADER_VDSO_H_
#define SENTRY_LOADER_VDSO_H_

#include "sentry/memory/memory_file.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/time/time_namespace.h"
#include "sentry/time/vvar_page.h"

namespace runsc {

class Vdso final : public MappedObject, public Mappable {
 public:
  static Result<RefPtr<Vdso>> Create(MemoryFile& memory_file);
  // The Sentry's view of the vvar page.
  VvarPage* vvar();
  // Maps all of it; the image's address (AT_SYSINFO_EHDR).
  Result<UserAddr> MapInto(MemoryManager& memory, const TimeOffsets& offsets);
  // Other offsets, wherever the guest has moved the pages to; none if it has torn them apart.
  Result<void> SetOffsets(MemoryManager& memory, const TimeOffsets& offsets);

  Mappable& mappable() override { return *this; }
  std::string Name() const override { return "[vdso]"; }
  uint64_t device() const override { return 0; }
  uint64_t inode_number() const override { return 0; }
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override;

 private:
  template <typename T, typename... Args>
  friend RefPtr<T> MakeRef(Args&&... args);
  Result<void> MapOffsets(MemoryManager& memory, UserAddr addr, const TimeOffsets& offsets);
  Vdso(MemoryFile& memory_file, FileRange range) : memory_file_(memory_file), range_(range) {}
  ~Vdso() override;
  MemoryFile& memory_file_;
  const FileRange range_;
};

}  // namespace runsc

#endif  // SENTRY_LOADER_VDSO_H_
