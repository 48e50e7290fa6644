#include "sentry/usermem/user_memory.h"

#include <algorithm>
#include <cstring>

namespace runsc {

Result<std::string> UserMemory::ReadString(UserAddr from, size_t limit, int too_long) {
  std::string text;
  char chunk[256];
  while (text.size() < limit) {
    // Up to the end of the page, so that a string that ends right before a hole is read.
    size_t to_page_end = kPageSize - (from.value() & kPageMask);
    size_t want = std::min({sizeof(chunk), to_page_end, limit - text.size()});
    size_t got = CopyIn(from, std::as_writable_bytes(std::span(chunk, want)));
    if (const void* nul = std::memchr(chunk, '\0', got)) {
      text.append(chunk, static_cast<size_t>(static_cast<const char*>(nul) - chunk));
      return text;
    }
    if (got < want) return Errno(EFAULT);
    text.append(chunk, got);
    from = from + got;
  }
  return Errno(too_long);
}

}  // namespace runsc
