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

std::vector<VmaInfo> MemoryManager::Vmas(bool with_usage) {
  State& s = *state_;
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
        for (auto it = s.FirstPmaFrom(start); it != s.pmas.end() && it->first < vma.end; ++it) {
          if (it->second.zero) continue;
          uint64_t bytes = std::min(vma.end, it->second.end) - std::max(start, it->first);
          info.resident_bytes += bytes;
          if (it->second.anonymous) info.anonymous_bytes += bytes;
        }
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
  WriterLock lock(s.mu);
  Usage usage{.virtual_bytes = s.total_bytes,
              .data_bytes = s.data_bytes,
              .stack_bytes = s.stack_bytes,
              .locked_bytes = s.locked_bytes,
              .peak_virtual_bytes = s.peak_total_bytes};
  for (const auto& [start, pma] : s.pmas) {
    if (pma.zero) continue;
    usage.resident_bytes += pma.end - start;
    if (!pma.anonymous) usage.shared_bytes += pma.end - start;
  }
  s.peak_resident_bytes = std::max(s.peak_resident_bytes, usage.resident_bytes);
  usage.peak_resident_bytes = s.peak_resident_bytes;
  return usage;
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
