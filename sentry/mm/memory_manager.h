// MemoryManager: the address space of one or several tasks. It keeps VMAs (what the
// guest asked for) and pmas (what is there: a range of a backing file, and whether it
// is shared copy-on-write), and tells the platform's AddressSpace what to map.
//
// Shared by the tasks that share memory (CLONE_VM) through RefPtr.
// Threading: every method from any thread; one lock (kMm) guards VMAs and pmas.
// Linux counterpart: struct mm_struct.
#ifndef SENTRY_MM_MEMORY_MANAGER_H_
#define SENTRY_MM_MEMORY_MANAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "platform/platform.h"
#include "sentry/auth/user_namespace.h"
#include "sentry/memory/mappable.h"
#include "sentry/memory/memory_file.h"
#include "sentry/usermem/user_memory.h"

namespace runsc {

struct MMapOptions {
  UserAddr addr;  // hint, or the address itself with `fixed`
  uint64_t length = 0;
  int prot = 0;             // PROT_*
  bool fixed = false;       // MAP_FIXED
  bool no_replace = false;  // MAP_FIXED_NOREPLACE
  bool shared = false;      // MAP_SHARED, else private
  bool grows_down = false;  // MAP_GROWSDOWN
  bool locked = false;
  bool populate = false;
  bool no_reserve = false;
  bool below_4g = false;        // MAP_32BIT
  RefPtr<MappedObject> object;  // null: anonymous
  uint64_t offset = 0;
  int max_prot = 7;  // what mprotect may ask for (a shared mapping of a read-only file: no write)
  std::string name;  // "[stack]", "[heap]", "[vdso]"; else empty
};

// One line of /proc/pid/maps or smaps.
struct VmaInfo {
  UserRange range;
  int prot = 0;
  bool shared = false;
  bool grows_down = false;
  uint64_t offset = 0;
  uint64_t device = 0;
  uint64_t inode_number = 0;
  std::string name;
  uint64_t resident_bytes = 0;  // filled only when asked for
  uint64_t anonymous_bytes = 0;
  bool locked = false;
  RefPtr<MappedObject> object;  // null: anonymous memory
};

// The limits that the caller (a task) runs under; bytes.
struct MemoryLimits {
  uint64_t address_space = UINT64_MAX;  // RLIMIT_AS
  uint64_t data = UINT64_MAX;           // RLIMIT_DATA
  uint64_t stack = 8 << 20;             // RLIMIT_STACK
  uint64_t locked = UINT64_MAX;         // RLIMIT_MEMLOCK
};

// What exec(2) lays out and /proc/pid shows.
struct MemoryLayout {
  UserAddr code_start, code_end, data_start, data_end, brk_start, stack_start;
  UserAddr args_start, args_end, env_start, env_end;
  std::vector<uint64_t> auxv;
};

class MemoryManager final : public RefCounted, public UserMemory, public MappingOwner {
 public:
  static Result<RefPtr<MemoryManager>> Create(Platform& platform, MemoryFile& memory_file);

  // fork(2): private memory is shared copy-on-write.
  Result<RefPtr<MemoryManager>> Fork();

  AddressSpace& address_space();
  void SetLimits(const MemoryLimits& limits);

  // --- system calls (arguments already decoded; errors as in the man pages) ---
  // What MMap() says of length and address alone. EINVAL, ENOMEM, EPERM.
  Result<void> CheckPlacement(const MMapOptions& options) const;
  Result<UserAddr> MMap(const MMapOptions& options);
  Result<void> MUnmap(UserAddr addr, uint64_t length);
  // shmdt(2): unmaps what is left there of an object that was mapped as a whole at `addr`. `size_of` gives
  // the object's size in bytes, 0: not such an object. EINVAL: there is none.
  Result<void> Detach(UserAddr addr, absl::FunctionRef<uint64_t(MappedObject&)> size_of);
  Result<void> MProtect(UserAddr addr, uint64_t length, int prot, bool grows_down);
  Result<UserAddr> MRemap(UserAddr old_addr, uint64_t old_length, uint64_t new_length, int flags,
                          UserAddr new_addr);
  Result<void> MAdvise(UserAddr addr, uint64_t length, int advice);
  // prctl(PR_SET_VMA_ANON_NAME); an empty name takes it away.
  Result<void> NameAnonymous(UserAddr addr, uint64_t length, const std::string& name);
  // remap_file_pages(2): the pages from `page` of the file that a shared mapping shows at `addr`.
  Result<void> RemapFilePages(UserAddr addr, uint64_t length, uint64_t page);
  Result<void> MSync(UserAddr addr, uint64_t length, int flags);
  Result<void> MinCore(UserAddr addr, uint64_t length, UserAddr vec);
  // `on_fault`: pages are locked as they come (MLOCK_ONFAULT).
  Result<void> MLock(UserAddr addr, uint64_t length, bool lock, bool on_fault = false);
  // mlockall(2) with MCL_* flags; 0: munlockall(2).
  Result<void> MLockAll(int flags);
  Result<UserAddr> Brk(UserAddr addr);  // the new or unchanged break; never an error
  void SetBrk(UserAddr start);

  // A guest access at `addr` faulted: makes the page accessible, or says which signal
  // the guest gets: EFAULT with *code = SEGV_MAPERR or SEGV_ACCERR, ENXIO for SIGBUS
  // (BUS_ADRERR), anything else (ENOMEM) as Linux's out-of-memory killer: SIGKILL.
  // Call it for SIGSEGV only, on the task's own thread: a SIGBUS of the host is the
  // guest's (a mapped host file has shrunk).
  // kUnknown access is taken for a write where the VMA is writable and a read would
  // not have faulted.
  Result<void> HandleFault(UserAddr addr, SwitchResult::Access access, int* si_code);

  // The platform would like to rewrite the system call instruction at `call`, which is made often
  // with this number. Done if it can be done unseen.
  void PatchCode(UserAddr call, uint64_t number);

  // --- UserMemory ---
  size_t CopyOut(UserAddr to, std::span<const std::byte> from) override;
  size_t CopyIn(UserAddr from, std::span<std::byte> to) override;
  size_t ZeroOut(UserAddr to, size_t length) override;
  Result<size_t> WithBlocks(UserAddr addr, size_t length, MemoryAccess access, BlockFunction io) override;
  Result<void> WithWord(UserAddr addr, MemoryAccess access,
                        absl::FunctionRef<Result<void>(uint32_t*)> op) override;
  // ptrace and /proc/pid/mem: ignores the guest's protections (writes break COW).
  size_t CopyOutForced(UserAddr to, std::span<const std::byte> from);
  size_t CopyInForced(UserAddr from, std::span<std::byte> to);

  // The identity of a futex word: private ones are (this, address); shared ones the
  // backing file and offset, the same from every address space. EFAULT.
  struct FutexKey {
    const void* object = nullptr;
    uint64_t offset = 0;
    friend bool operator==(const FutexKey&, const FutexKey&) = default;
  };
  Result<FutexKey> GetFutexKey(UserAddr addr, bool process_private);

  // --- MappingOwner ---
  void Invalidate(UserRange range, bool also_private) override;
  bool TryHold() override { return TryAddRef(); }
  void Drop() override { Release(); }

  // --- /proc ---
  std::vector<VmaInfo> Vmas(bool with_usage);
  struct Usage {
    uint64_t virtual_bytes = 0, resident_bytes = 0, data_bytes = 0, stack_bytes = 0, shared_bytes = 0,
             locked_bytes = 0;
    uint64_t peak_virtual_bytes = 0, peak_resident_bytes = 0;
  };
  Usage GetUsage();
  uint64_t PeakResidentBytes();  // cheaper; what was given counts, also if it was not touched
  // Whether the page is there. EFAULT: nothing is mapped.
  Result<bool> IsResident(UserAddr page);
  MemoryLayout GetLayout();
  void SetLayout(const MemoryLayout& layout);

  // /proc/pid/exe: held here as in Linux; an opaque object for mm.
  RefPtr<RefCounted> executable();
  void SetExecutable(RefPtr<RefCounted> file);
  // What an upper layer keeps for this address space alone, until its end (io_setup(2)'s contexts); null:
  // nothing. `make` is called, with a lock held, if there is none.
  RefPtr<RefCounted> attachment();
  RefPtr<RefCounted> GetOrAttach(absl::FunctionRef<RefPtr<RefCounted>()> make);
  // prctl(PR_SET_DUMPABLE).
  int dumpable() const;
  // Whose capability looks into a memory that may not be dumped: that of the program (Linux: mm->user_ns).
  // Set before others know it; fork inherits it.
  const UserNamespace& user_ns() const { return *user_ns_; }
  void SetUserNs(RefPtr<UserNamespace> user_ns) { user_ns_ = std::move(user_ns); }
  void SetDumpable(int value);
  // prctl(PR_SET_MDWE): PR_MDWE_REFUSE_EXEC_GAIN and PR_MDWE_NO_INHERIT.
  uint32_t refused_exec() const;
  void SetRefusedExec(uint32_t value);

 private:
  struct State;
  Result<void> RemovePages(UserAddr addr, uint64_t length);  // MADV_REMOVE
  explicit MemoryManager(std::unique_ptr<State> state);
  ~MemoryManager() override;
  const std::unique_ptr<State> state_;
  RefPtr<UserNamespace> user_ns_{&UserNamespace::Initial()};
};

}  // namespace runsc

#endif  // SENTRY_MM_MEMORY_MANAGER_H_
