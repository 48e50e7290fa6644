// GoferListing: the entries of a directory as the Gofer once gave them, as open directories
// go through them, and, where nobody else changes the files, as lookups are answered from
// them: the names that are missing, and the inodes of the ones whose attributes came along.
//
// Shared through RefPtr; does not change once made. Threading: any thread.
#ifndef SENTRY_FSIMPL_GOFER_LISTING_H_
#define SENTRY_FSIMPL_GOFER_LISTING_H_

#include <string_view>
#include <vector>

#include "gofer/protocol/messages.h"
#include "platform/base/ref.h"

namespace runsc {

class GoferListing final : public RefCounted {
 public:
  GoferListing(std::vector<gofer::DirectoryEntry> entries, uint8_t attributes);

  const std::vector<gofer::DirectoryEntry>& entries() const { return entries_; }
  // Which entries have attributes: gofer::kAllAttributes, …
  uint8_t attributes() const { return attributes_; }
  // Null: there is no such name.
  const gofer::DirectoryEntry* Find(std::string_view name) const;

 private:
  const std::vector<gofer::DirectoryEntry> entries_;
  const uint8_t attributes_;
  std::vector<uint32_t> by_name_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_GOFER_LISTING_H_
