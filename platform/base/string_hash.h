// StringMap: a hash map from std::string that is looked up with a std::string_view
// without making a string (Debian's absl::string_view is a type of its own).
#ifndef PLATFORM_BASE_STRING_HASH_H_
#define PLATFORM_BASE_STRING_HASH_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace runsc {

struct StringViewHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const {
    return absl::Hash<absl::string_view>()(absl::string_view(text.data(), text.size()));
  }
};

template <typename T>
using StringMap = absl::flat_hash_map<std::string, T, StringViewHash, std::equal_to<>>;

}  // namespace runsc

#endif  // PLATFORM_BASE_STRING_HASH_H_
