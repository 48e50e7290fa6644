#include "sentry/fsimpl/gofer_listing.h"

#include <algorithm>
#include <numeric>

namespace runsc {

GoferListing::GoferListing(std::vector<gofer::DirectoryEntry> entries, uint8_t attributes)
    : entries_(std::move(entries)), attributes_(attributes), by_name_(entries_.size()) {
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](uint32_t a, uint32_t b) { return entries_[a].name < entries_[b].name; });
}

const gofer::DirectoryEntry* GoferListing::Find(std::string_view name) const {
  auto it = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](uint32_t index, std::string_view key) { return std::string_view(entries_[index].name) < key; });
  return it != by_name_.end() && entries_[*it].name == name ? &entries_[*it] : nullptr;
}

}  // namespace runsc
