// AddressSpace: the host side of one guest address space. It knows host files
// and offsets only; the Sentry's mm decides what is mapped where.
//
// Threading: every method may be called from any thread, also while guest
// threads run in the address space.
#ifndef PLATFORM_ADDRESS_SPACE_H_
#define PLATFORM_ADDRESS_SPACE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "platform/code_patch.h"

namespace runsc {

class AddressSpace : public RefCounted {
 public:
  struct MapOptions {
    int prot = 0;            // PROT_READ | PROT_WRITE | PROT_EXEC
    bool precommit = false;  // populate host page tables now (MAP_POPULATE)
  };

  // Maps [addr, addr+length) to the host file from `offset`, shared, in place of
  // whatever was there. All three are page-aligned. The mapping is in force before
  // any guest thread that calls Switch() after this returns runs; a thread that is
  // in guest code now may still fault on it (mm then finds nothing to do and retries).
  virtual Result<void> MapFile(uint64_t addr, int host_fd, uint64_t offset, uint64_t length,
                               MapOptions options) = 0;

  // Removes every mapping in the range. When it returns no guest thread, running
  // or not, can reach the memory that was mapped there: the caller may free it.
  virtual Result<void> Unmap(uint64_t addr, uint64_t length) = 0;

  // Changes the protection of what MapFile has mapped in the range; holes are left
  // alone. The same guarantee as Unmap's.
  virtual Result<void> Protect(uint64_t addr, uint64_t length, int prot) = 0;

  // A hint that several changes follow in a row from this thread; they must be in
  // force when the outermost EndBatch returns. Nestable.
  virtual void BeginBatch() {}
  virtual Result<void> EndBatch() { return Ok(); }

  // --- Rewritten guest code, for platforms that ask for it (SwitchResult::hot_call) ---
  // Whether and how to rewrite the system call instruction at `call`, made with number `number`. `code`,
  // which begins at `code_address`, is what surrounds it.
  virtual std::optional<CodePatch> PlanPatch(uint64_t /*call*/, uint64_t /*number*/,
                                             std::span<const std::byte> /*code*/, uint64_t /*code_address*/) {
    return std::nullopt;
  }
  // Calls `write` (which puts the replacement in place) while no thread is in guest code, and from then on
  // knows of the patch; false: that was not to be had, and nothing was written.
  virtual bool ApplyPatch(const CodePatch&, absl::FunctionRef<void()> /*write*/) { return false; }
  // The same for the original, which is always written. The place is not planned again.
  virtual void UndoPatch(const CodePatch&, absl::FunctionRef<void()> /*write*/) {}
  // What was patched in [addr, addr + length) is not there any more.
  virtual void ForgetPatches(uint64_t /*addr*/, uint64_t /*length*/) {}
  // Before this space's first use: its memory will have these patches of the other one.
  virtual Result<void> InheritPatches(AddressSpace& /*from*/, std::span<const CodePatch>) { return Ok(); }
};

}  // namespace runsc

#endif  // PLATFORM_ADDRESS_SPACE_H_
