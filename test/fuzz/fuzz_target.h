// What every fuzzer of a parser has: inputs to start from, and a reader that makes numbers and names of an
// input's bytes. A fuzzer is one LLVMFuzzerTestOneInput and one Seeds; a failed CHECK or a sanitizer's
// report is a find. Linked with fuzz_target.cc. tools/fuzz.sh builds and runs them.
#ifndef TEST_FUZZ_FUZZ_TARGET_H_
#define TEST_FUZZ_FUZZ_TARGET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/check.h"

namespace runsc::fuzz {

// Well-formed inputs; written into the corpus folder that the program is started with.
std::vector<std::string> Seeds();

// The bytes of `values`, one after the other.
template <typename... Ts>
std::string Raw(const Ts&... values) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&values), sizeof(values)), ...);
  return bytes;
}

// A literal with NULs in it.
template <size_t N>
std::string Text(const char (&literal)[N]) {
  return std::string(literal, N - 1);
}

// Takes values off the front of an input. At its end everything is zero and empty.
class InputReader {
 public:
  InputReader(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  template <typename T>
  T Value() {
    T value{};
    std::string_view bytes = Take(sizeof(value));
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  // In [0, limit).
  size_t Below(size_t limit) { return limit <= 256 ? Value<uint8_t>() % limit : Value<uint32_t>() % limit; }
  std::string_view Take(size_t size) {
    std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace runsc::fuzz

#endif  // TEST_FUZZ_FUZZ_TARGET_H_
