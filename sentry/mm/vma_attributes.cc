// What is set on mappings that are there already: prctl(PR_SET_VMA_ANON_NAME), and remap_file_pages(2), which
// Linux has been emulating with mmap(2) since 4.0.
#include "sentry/mm/shared_anonymous.h"
#include "sentry/mm/state.h"

namespace runsc {

// Linux: madvise_set_anon_name().
Result<void> MemoryManager::NameAnonymous(UserAddr addr, uint64_t length, const std::string& name) {
  State& s = *state_;
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr, length, EINVAL));
  WriterLock lock(s.mu);
  return s.ChangeVmas(range, [&](VmaMap::iterator it, Span part) -> Result<void> {
    s.mu.AssertHeld();
    // Not a file's, but that of a shared anonymous mapping.
    MappedObject* object = it->second.object.get();
    if (object != nullptr && dynamic_cast<SharedAnonymous*>(object) == nullptr) return Errno(EBADF);
    if (s.vmas.size() + 2 > kMaxVmas) return Errno(ENOMEM);
    s.SplitVmaAt(part.start);
    s.SplitVmaAt(part.end);
    Vma& vma = s.FindVma(part.start)->second;
    vma.name = name.empty() ? "" : (vma.shared ? "[anon_shmem:" : "[anon:") + name + "]";
    return Ok();
  });
}

Result<void> MemoryManager::RemapFilePages(UserAddr addr, uint64_t length, uint64_t page) {
  State& s = *state_;
  const uint64_t start = addr.PageRoundDown().value();
  length = PageRoundDown(length);
  uint64_t end, page_end, offset;
  if (__builtin_add_overflow(start, length, &end) || end == start) return Errno(EINVAL);
  if (__builtin_add_overflow(page, length / kPageSize, &page_end)) return Errno(EINVAL);
  if (__builtin_mul_overflow(page, kPageSize, &offset)) return Errno(EOVERFLOW);
  MMapOptions options{.addr = UserAddr(start),
                      .length = length,
                      .fixed = true,
                      .shared = true,
                      .populate = true,
                      .offset = offset};
  {
    ReaderLock lock(s.mu);
    auto it = s.FindVma(start);
    if (it == s.vmas.end() || !it->second.shared) return Errno(EINVAL);
    options.object = it->second.object;
    options.prot = it->second.prot;
    options.max_prot = it->second.max_prot;
    options.locked = it->second.locked;
    // All of it is one file's, without holes.
    for (uint64_t at = it->second.end; at < end; at = it->second.end) {
      ++it;
      if (it == s.vmas.end() || it->first != at || it->second.object != options.object ||
          it->second.prot != options.prot)
        return Errno(EINVAL);
    }
  }
  RETURN_IF_ERROR(MMap(options));
  return Ok();
}

uint32_t MemoryManager::refused_exec() const { return state_->refused_exec.load(std::memory_order_relaxed); }
void MemoryManager::SetRefusedExec(uint32_t value) {
  state_->refused_exec.store(value, std::memory_order_relaxed);
}

}  // namespace runsc
