// ElfLoader: the kernel's ProgramLoader: "#!" scripts and ELF programs.
// Owned by the Kernel. Threading: any thread.
// Linux counterpart: fs/exec.c with binfmt_script and binfmt_elf; execve(2).
#ifndef SENTRY_LOADER_ELF_LOADER_H_
#define SENTRY_LOADER_ELF_LOADER_H_

#include <memory>

#include "platform/platform.h"
#include "sentry/kernel/program_loader.h"
#include "sentry/loader/vdso.h"
#include "sentry/time/guest_clock.h"

namespace runsc {

class ElfLoader final : public ProgramLoader {
 public:
  // `clock` is attached to the vvar page, which lives as long as this loader.
  static Result<std::unique_ptr<ElfLoader>> Create(Platform& platform, MemoryFile& memory_file,
                                                   GuestClock& clock, unsigned cpu_count);
  Result<LoadedProgram> Load(const LoadRequest& request) override;
  Result<void> SetTimeOffsets(MemoryManager& memory, const TimeOffsets& offsets) override {
    return vdso_->SetOffsets(memory, offsets);
  }

 private:
  ElfLoader(Platform& platform, MemoryFile& memory_file, RefPtr<Vdso> vdso)
      : platform_(platform), memory_file_(memory_file), vdso_(std::move(vdso)) {}

  Platform& platform_;
  MemoryFile& memory_file_;
  const RefPtr<Vdso> vdso_;
};

}  // namespace runsc

#endif  // SENTRY_LOADER_ELF_LOADER_H_
