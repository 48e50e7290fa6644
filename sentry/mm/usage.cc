// What /proc/pid shows of an address space, and futex keys.
#include <algorithm>

#include "sentry/mm/state.h"

namespace runsc {

uint64_t MemoryManager::State::ResidentBytes() {
  uint64_t bytes = 0;
  for (const auto& [start, pma] : pmas) {
    if (!pma.zero) bytes += pma.end - start;
  }
  return bytes;
}

void MemoryManager::State::ForResident(TouchedPages& touched, Span range,
                                       absl::FunctionRef<void(Span part, const Pma& pma)> f) {
  for (auto it = FirstPmaFrom(range.start); it != pmas.end() && it->first < range.end; ++it) {
    const Pma& pma = it->second;
    if (pma.zero) continue;
    const Span part{std::max(range.start, it->first), std::min(range.end, pma.end)};
    if (pma.file != &memory_file) {
      f(part, pma);
      continue;
    }
    const uint64_t offset = pma.offset + (part.start - it->first);
    touched.ForEach({offset, part.length()}, [&](FileRange pages) {
      const uint64_t start = part.start + (pages.offset - offset);
      f({start, start + pages.length}, pma);
    });
  }
}

std::vector<VmaInfo> MemoryManager::Vmas(bool with_usage) {
  State& s = *state_;
  TouchedPages touched(s.memory_file);
  std::vector<VmaInfo> infos;
  std::vector<RefPtr<MappedObject>> objects;
  {
    ReaderLock lock(s.mu);
    infos.reserve(s.vmas.size());
    objects.reserve(s.vmas.size());
    for (const auto& [start, vma] : s.vmas) {
      VmaInfo info{.range = {UserAddr(start), UserAddr(vma.end)},
                   .prot = vma.prot,
                   .shared = vma.shared,
                   .grows_down = vma.grows_down,
                   .offset = vma.offset,
                   .name = vma.name,
                   .locked = vma.locked};
      if (!vma.object && info.name.empty()) {
        if (start < s.brk && vma.end > s.brk_start)
          info.name = "[heap]";
        else if (info.range.Contains(s.layout.stack_start))
          info.name = "[stack]";
      }
      if (with_usage) {
        s.ForResident(touched, {start, vma.end}, [&](Span part, const Pma& pma) {
          info.resident_bytes += part.length();
          if (pma.anonymous) info.anonymous_bytes += part.length();
        });
      }
      infos.push_back(std::move(info));
      objects.push_back(vma.object);
    }
  }
  // Names come from the vfs, whose locks stand above ours.
  for (size_t i = 0; i < infos.size(); ++i) {
    if (!objects[i]) continue;
    infos[i].object = objects[i];
    infos[i].device = objects[i]->device();
    infos[i].inode_number = objects[i]->inode_number();
    if (infos[i].name.empty()) infos[i].name = objects[i]->Name();
  }
  return infos;
}

MemoryManager::Usage MemoryManager::GetUsage() {
  State& s = *state_;
  TouchedPages touched(s.memory_file);
  WriterLock lock(s.mu);
  Usage usage{.virtual_bytes = s.total_bytes,
              .data_bytes = s.data_bytes,
              .stack_bytes = s.stack_bytes,
              .locked_bytes = s.locked_bytes,
              .peak_virtual_bytes = s.peak_total_bytes};
  s.ForResident(touched, {0, s.max_address}, [&](Span part, const Pma& pma) {
    usage.resident_bytes += part.length();
    if (!pma.anonymous) usage.shared_bytes += part.length();
  });
  s.peak_resident_bytes = std::max(s.peak_resident_bytes, s.ResidentBytes());
  usage.peak_resident_bytes = s.peak_resident_bytes;
  return usage;
}

uint64_t MemoryManager::PeakResidentBytes() {
  State& s = *state_;
  WriterLock lock(s.mu);
  s.peak_resident_bytes = std::max(s.peak_resident_bytes, s.ResidentBytes());
  return s.peak_resident_bytes;
}

Result<bool> MemoryManager::IsResident(UserAddr page) {
  State& s = *state_;
  ReaderLock lock(s.mu);
  const uint64_t addr = page.PageRoundDown().value();
  if (addr >= s.max_address || s.FindVma(addr) == s.vmas.end()) return Errno(EFAULT);
  auto pma = s.FindPma(addr);
  if (pma == s.pmas.end() || pma->second.zero) return false;
  if (pma->second.file != &s.memory_file) return true;
  return TouchedPages::Contains(s.memory_file, pma->second.offset + (addr - pma->first));
}

Result<MemoryManager::FutexKey> MemoryManager::GetFutexKey(UserAddr addr, bool process_private) {
  State& s = *state_;
  if (addr.value() >= s.max_address) return Errno(EFAULT);
  const FutexKey private_key{this, addr.value()};
  if (process_private) return private_key;
  ReaderLock lock(s.mu);
  auto it = s.FindVma(addr.value());
  if (it == s.vmas.end() || it->second.prot == 0) return Errno(EFAULT);
  const Vma& vma = it->second;
  if (!vma.shared) return private_key;
  // The file's own identity: the pages behind it may be exchanged, it may not.
  return FutexKey{&vma.object->mappable(), vma.offset + (addr.value() - it->first)};
}

}  // namespace runsc
