// The inside of MemoryManager: its VMAs and pmas, and the steps that the public methods
// are made of. One lock guards everything; all functions here want it held exclusively
// unless they say otherwise.
//
// Page references and mapped objects that a step lets go of are gathered in a Garbage
// that outlives the lock: letting go of the last reference on a file takes locks that
// stand above mm's, and pages may only be freed once the host has unmapped them.
#ifndef SENTRY_MM_STATE_H_
#define SENTRY_MM_STATE_H_

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "platform/base/mutex.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {

// What the guest asked for. Keyed by its start.
struct Vma {
  uint64_t end = 0;
  int prot = 0;
  int max_prot = 7;
  bool shared = false;
  bool grows_down = false;
  bool locked = false;
  bool no_reserve = false;
  bool dont_fork = false;
  bool wipe_on_fork = false;
  RefPtr<MappedObject> object;  // null: anonymous
  uint64_t offset = 0;          // of `object` at the start; 0 if anonymous
  std::string name;

  bool writable_mapping() const { return shared && (max_prot & PROT_WRITE) != 0; }
  // What RLIMIT_DATA counts (Linux: is_data_mapping).
  bool is_data() const { return !shared && !grows_down && (prot & PROT_WRITE) != 0; }
};
using VmaMap = absl::btree_map<uint64_t, Vma>;

// What is there: a range of a backing file. Keyed by its start; always inside VMAs that
// agree on everything that matters here. Holds a reference on each page unless `zero`.
struct Pma {
  uint64_t end = 0;
  BackingFile* file = nullptr;
  uint64_t offset = 0;     // in `file`, at the start
  uint8_t prot = 0;        // the VMA's
  uint8_t host_prot = 0;   // what the host has mapped of just this range; 0: nothing
  bool anonymous = false;  // private memory of the memory file
  bool cow = false;        // somebody else may hold the pages: copy before writing
  bool zero = false;       // the memory file's zero range; never written
  bool writable = false;   // `file` may be mapped writable

  // What the host may allow the guest without asking us.
  uint8_t EffectiveProt() const {
    if (prot == 0) return 0;
    uint8_t effective = prot | PROT_READ;  // x86 has no write-only or execute-only pages
    if (cow || zero || !writable) effective &= static_cast<uint8_t>(~PROT_WRITE);
    return effective;
  }
  bool Mergeable(const Pma& o) const {
    return file == o.file && prot == o.prot && host_prot == o.host_prot && anonymous == o.anonymous &&
           cow == o.cow && zero == o.zero && writable == o.writable;
  }
};
using PmaMap = absl::btree_map<uint64_t, Pma>;
using CodePatchMap = absl::btree_map<uint64_t, CodePatch>;

// [start, end) as plain numbers.
struct Span {
  uint64_t start = 0;
  uint64_t end = 0;
  bool empty() const { return start >= end; }
  uint64_t length() const { return end - start; }
  void Extend(Span other) {
    if (other.empty()) return;
    if (empty()) {
      *this = other;
      return;
    }
    if (other.start < start) start = other.start;
    if (other.end > end) end = other.end;
  }
};

// Declared before the lock is taken, so that it is emptied after it was dropped.
struct Garbage {
  absl::InlinedVector<std::pair<BackingFile*, FileRange>, 8> pages;
  absl::InlinedVector<RefPtr<MappedObject>, 2> objects;
  bool leak = false;  // the host did not unmap: better lose memory than share it
  Garbage() = default;
  Garbage(const Garbage&) = delete;
  Garbage& operator=(const Garbage&) = delete;
  ~Garbage() {
    for (auto& [file, range] : pages)
      if (!leak) file->ReleasePageRefs(range);
  }
};

// A data segment of a program up to this size is copied whole.
inline constexpr uint64_t kMaxEagerSegment = 64 << 10;
// Linux: stack_guard_gap, sysctl_max_map_count, vm.mmap_min_addr.
inline constexpr uint64_t kStackGuardGap = 256 * kPageSize;
inline constexpr size_t kMaxVmas = 65530;
inline constexpr uint64_t kMinMapAddress = 64 << 10;

struct MemoryManager::State {
  State(Platform& platform, MemoryFile& memory_file) : platform(platform), memory_file(memory_file) {}

  Platform& platform;
  MemoryFile& memory_file;
  MemoryManager* owner = nullptr;
  RefPtr<AddressSpace> space;
  uint64_t min_address = 0;
  uint64_t max_address = 0;
  uint64_t id = 0;      // never used twice
  uint64_t random = 0;  // for the placement of mappings

  // Copies into guest memory that go on without the lock; fork waits for them.
  std::atomic<uint32_t> write_pins{0};

  SharedMutex mu{LockRank::kMm};
  VmaMap vmas ABSL_GUARDED_BY(mu);
  PmaMap pmas ABSL_GUARDED_BY(mu);
  CodePatchMap patches ABSL_GUARDED_BY(mu);  // in force; their pages are anonymous
  MemoryLimits limits ABSL_GUARDED_BY(mu);
  uint64_t mmap_base ABSL_GUARDED_BY(mu) = 0;  // mappings are placed top-down from here
  // For lengths from 2^n: no gap as long as 2^n ends between this and mmap_base.
  std::array<uint64_t, 64> gap_hints ABSL_GUARDED_BY(mu);
  uint64_t brk_start ABSL_GUARDED_BY(mu) = 0;
  uint64_t brk ABSL_GUARDED_BY(mu) = 0;
  uint64_t total_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t data_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t stack_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t locked_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t peak_total_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t peak_resident_bytes ABSL_GUARDED_BY(mu) = 0;
  uint64_t generation ABSL_GUARDED_BY(mu) = 0;         // counts changes of host mappings
  bool started ABSL_GUARDED_BY(mu) = false;            // the guest has faulted once
  std::vector<uint64_t> prefault ABSL_GUARDED_BY(mu);  // where a fork's parent had files mapped
  bool lock_future ABSL_GUARDED_BY(mu) = false;        // mlockall(MCL_FUTURE)
  MemoryLayout layout ABSL_GUARDED_BY(mu);
  RefPtr<RefCounted> executable ABSL_GUARDED_BY(mu);
  RefPtr<RefCounted> attachment ABSL_GUARDED_BY(mu);
  std::atomic<int> dumpable{1};
  std::atomic<uint32_t> refused_exec{0};  // PR_MDWE_*

  // --- vma_set.cc ---
  // The VMA that contains `addr`, or end().
  VmaMap::iterator FindVma(uint64_t addr) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // The first VMA that ends behind `addr`, or end().
  VmaMap::iterator FirstVmaFrom(uint64_t addr) ABSL_SHARED_LOCKS_REQUIRED(mu);
  bool IsFree(Span range) ABSL_SHARED_LOCKS_REQUIRED(mu);
  bool HasHole(Span range) ABSL_SHARED_LOCKS_REQUIRED(mu);
  uint64_t MappedBytes(Span range) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Changes each VMA's part of the range, which `change` may split but not join or remove, from left to
  // right, and then joins what can be. Holes are skipped, and said at the end: ENOMEM. An error of `change`
  // ends it. Linux: madvise_walk_vmas().
  Result<void> ChangeVmas(Span range, absl::FunctionRef<Result<void>(VmaMap::iterator it, Span part)> change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void SplitVmaAt(uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Joins what can be at every boundary in [start, end].
  void MergeVmas(Span range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The range is free. Tells the object, counts, does not merge.
  void InsertVma(uint64_t start, Vma vma) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Removes VMAs and pmas of the range.
  void UnmapRange(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Adds (or with `sign` -1 takes) bytes of such a VMA to the counters.
  void Account(const Vma& vma, uint64_t bytes, int sign) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // ENOMEM if `bytes` more of such a VMA break a limit.
  Result<void> CheckLimits(const Vma& vma, uint64_t bytes) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Where `length` bytes fit, or nullopt.
  std::optional<uint64_t> FindGap(uint64_t length, bool below_4g) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  std::optional<uint64_t> FindGapBelow(uint64_t top, uint64_t floor, uint64_t length,
                                       uint64_t wide_length = 0, uint64_t* wide = nullptr)
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  void PlaceMMapBase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Page-aligned [addr, addr+length) below max_address; error otherwise.
  Result<Span> CheckRange(UserAddr addr, uint64_t length, int overflow_error) const;

  // --- fault_pages.cc ---
  uint64_t AnonymousBeside(Span range, uint64_t enough) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Whether new memory at `addr` follows memory of which every page is in use: then what
  // comes next will be too, and faults one by one would cost more than filling it.
  bool WillBeFilled(Span range) ABSL_SHARED_LOCKS_REQUIRED(mu);

  // --- pma_set.cc ---
  PmaMap::iterator FindPma(uint64_t addr) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // The first pma that ends behind `addr`, or end().
  PmaMap::iterator FirstPmaFrom(uint64_t addr) ABSL_SHARED_LOCKS_REQUIRED(mu);
  void SplitPmaAt(uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void MergePmas(Span range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Forgets the pmas of the range. What the host still maps of them is returned: the
  // caller unmaps it or maps something else there.
  Span DetachPmas(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // DetachPmas and unmap.
  void RemovePmas(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void HostUnmap(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Brings the host's mapping of a pma to its effective protection.
  Result<void> MapPma(uint64_t addr, bool precommit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Brings what the host maps of the range down to (or up to) effective protection,
  // neighbours in one call.
  void ProtectRange(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- fault.cc ---
  struct FaultOptions {
    MemoryAccess access = MemoryAccess::kRead;
    uint64_t want_end = 0;   // more will be wanted, up to here
    bool map = false;        // into the host address space
    bool precommit = false;  // and into its page tables
    bool forced = false;     // whatever the guest's protection is
  };
  Result<void> Fault(uint64_t addr, SwitchResult::Access access, int* si_code, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void MapWhatIsThere(Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void MapSiblings(uint64_t vma_start, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // After a batch failed: nobody knows what the host has mapped, so it is to have nothing.
  void ForgetHostMappings(Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  VmaMap::iterator GrowStack(uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Makes the page at `addr` accessible for the Sentry, with what surrounds it as far as
  // that pays. EFAULT; ENXIO: beyond the end of the file; ENOMEM.
  Result<void> FaultIn(uint64_t addr, const FaultOptions& options, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The same without the check of protections, in this VMA.
  Result<void> EnsurePma(VmaMap::iterator vma, uint64_t addr, const FaultOptions& options, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Brings in every page of the range, as far as it can (mlock, MAP_POPULATE).
  Result<void> Populate(Span range, MemoryAccess access, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void PopulateQuietly(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- fault_pages.cc: each makes a pma at `addr` ---
  // The part of `range` around `addr` that no pma (other than zero ones, if `over_zero`) is in.
  Span ClipToHole(uint64_t addr, Span range, bool over_zero) ABSL_SHARED_LOCKS_REQUIRED(mu);
  void MakeZeroPma(Span vma_range, const Vma& vma, uint64_t addr) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Returns what of older mappings the host still has in the new pma's place.
  Result<Span> MakeAnonymousPma(Span vma_range, const Vma& vma, uint64_t addr, uint64_t want_end,
                                Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Result<Span> MakeFilePma(Span vma_range, const Vma& vma, uint64_t addr, MemoryAccess access,
                           uint64_t want_end, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  Result<Span> BreakCow(Span vma_range, const Vma& vma, uint64_t addr, uint64_t want_end, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- mremap.cc ---
  Result<void> CheckResize(VmaMap::iterator it, Span old_range, uint64_t new_length, int flags)
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Moves (or, if the old range is empty, duplicates) to a free range.
  Result<UserAddr> MoveVma(Span old_range, Span new_range, bool keep_old, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- madvise.cc ---
  Result<void> AdviseVma(VmaMap::iterator it, Span part, int advice, Garbage& garbage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- user_access.cc ---
  static bool Accessible(const Pma& pma, MemoryAccess access, bool forced);
  template <typename Copy>
  size_t CopyPages(uint64_t addr, uint64_t length, MemoryAccess access, bool forced, Copy copy)
      ABSL_LOCKS_EXCLUDED(mu);

  // --- code_patches.cc ---
  void PatchCode(uint64_t call, uint64_t number, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Its pages are this address space's own, and in it.
  bool MakePatchable(const CodePatch& patch, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void WriteCode(uint64_t addr, std::span<const std::byte> bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  CodePatchMap::iterator FirstPatchFrom(uint64_t addr) ABSL_SHARED_LOCKS_REQUIRED(mu);
  bool IsPatched(Span range) ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Puts the original bytes back. ENOMEM: some could not be.
  Result<void> UndoPatches(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The memory of the range goes away.
  void ForgetPatches(Span range, Garbage& garbage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // In a forked child that nobody else knows yet: what its memory has of the parent's patches.
  Result<void> InheritPatches(State& parent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu, parent.mu);

  // --- usage.cc ---
  // Calls `f` for the parts of `range` in which what is there has been touched: memory is given to a mapping
  // in larger pieces than the guest has asked for, and counts only then. (Of a host file all counts.)
  void ForResident(TouchedPages& touched, Span range, absl::FunctionRef<void(Span part, const Pma& pma)> f)
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  uint64_t ResidentBytes() ABSL_SHARED_LOCKS_REQUIRED(mu);
};

}  // namespace runsc

#endif  // SENTRY_MM_STATE_H_
