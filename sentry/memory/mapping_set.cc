#include "sentry/memory/mapping_set.h"

#include <algorithm>

#include "platform/base/check.h"

namespace runsc {

void MappingSet::Add(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  auto [it, inserted] = mappings_.try_emplace({&owner, range.start}, Mapping{range.end, offset, writable});
  CHECK(inserted);
}

void MappingSet::Remove(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  auto it = mappings_.upper_bound({&owner, range.start});
  if (it != mappings_.begin()) --it;
  while (it != mappings_.end() && it->first.first <= &owner && it->first.second < range.end) {
    auto [key, mapping] = *it;
    if (key.first != &owner || mapping.end <= range.start) {
      ++it;
      continue;
    }
    it = mappings_.erase(it);
    if (key.second < range.start)
      mappings_.insert({key, Mapping{range.start, mapping.offset, mapping.writable}});
    if (mapping.end > range.end)
      mappings_.insert({{&owner, range.end},
                        Mapping{mapping.end, mapping.offset + (range.end - key.second), mapping.writable}});
    it = mappings_.lower_bound({&owner, std::min(mapping.end, range.end)});
  }
}

bool MappingSet::has_writable() const {
  return std::any_of(mappings_.begin(), mappings_.end(),
                     [](const auto& entry) { return entry.second.writable; });
}

MappingSet::Targets MappingSet::Find(uint64_t offset, uint64_t length) const {
  Targets found;
  uint64_t end;
  if (__builtin_add_overflow(offset, length, &end)) end = UINT64_MAX;
  for (const auto& [key, mapping] : mappings_) {
    uint64_t mapping_end = mapping.offset + (mapping.end - key.second);
    uint64_t from = std::max(offset, mapping.offset);
    uint64_t to = std::min(end, mapping_end);
    if (from >= to) continue;
    // An owner on its way out removes its mappings itself.
    if (!key.first->TryHold()) continue;
    found.targets_.push_back(
        {key.first, UserRange{key.second + (from - mapping.offset), key.second + (to - mapping.offset)}});
  }
  return found;
}

void MappingSet::Targets::Invalidate(bool also_private) {
  for (auto& [owner, range] : targets_) owner->Invalidate(range, also_private);
}

MappingSet::Targets::~Targets() {
  for (auto& [owner, range] : targets_) owner->Drop();
}

}  // namespace runsc
