// Encoder and Decoder: the bytes of a message's fields, in the order in which the
// message's Fields() lists them. Integers are little endian and unpadded; a string or
// a list is a 32-bit count and its elements. Both ends list each message's fields
// once, so a reader cannot drift from its writer.
//
// The decoder never reads outside its span, never allocates more than the span could
// fill, and reports one verdict at the end: ok() and nothing left over.
#ifndef GOFER_PROTOCOL_CODEC_H_
#define GOFER_PROTOCOL_CODEC_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace runsc::gofer {

static_assert(std::endian::native == std::endian::little);

class Encoder {
 public:
  explicit Encoder(std::vector<std::byte>& out) : out_(out) {}

  template <typename... Ts>
  void operator()(const Ts&... values) {
    (Put(values), ...);
  }

 private:
  template <std::integral T>
  void Put(const T& value) {
    Append(&value, sizeof(value));
  }
  void Put(const std::string& value) {
    Put(static_cast<uint32_t>(value.size()));
    Append(value.data(), value.size());
  }
  template <typename T>
  void Put(const std::vector<T>& list) {
    Put(static_cast<uint32_t>(list.size()));
    for (const T& element : list) Put(element);
  }
  template <typename T>
  requires std::is_class_v<T>
  void Put(const T& message) { const_cast<T&>(message).Fields(*this); }
  void Append(const void* data, size_t size) {
    if (size == 0) return;
    size_t at = out_.size();
    out_.resize(at + size);
    std::memcpy(out_.data() + at, data, size);
  }

  std::vector<std::byte>& out_;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> in) : in_(in) {}

  template <typename... Ts>
  void operator()(Ts&... values) {
    (Get(values), ...);
  }
  bool ok() const { return ok_; }
  // Every byte was taken and nothing was missing.
  bool Finished() const { return ok_ && in_.empty(); }

 private:
  template <std::integral T>
  void Get(T& value) {
    if (in_.size() < sizeof(T)) return Fail();
    if constexpr (std::same_as<T, bool>) {
      // Any other byte is no bool, also to the compiler.
      if (in_[0] > std::byte{1}) return Fail();
    }
    std::memcpy(&value, in_.data(), sizeof(T));
    in_ = in_.subspan(sizeof(T));
  }
  void Get(std::string& value) {
    uint32_t size = 0;
    Get(size);
    if (!ok_ || size > in_.size()) return Fail();
    value.assign(reinterpret_cast<const char*>(in_.data()), size);
    in_ = in_.subspan(size);
  }
  template <typename T>
  void Get(std::vector<T>& list) {
    uint32_t count = 0;
    Get(count);
    // Every element takes four bytes at least.
    if (!ok_ || count > in_.size() / 4) return Fail();
    list.clear();
    for (uint32_t i = 0; i < count && ok_; ++i) Get(list.emplace_back());
  }
  template <typename T>
  requires std::is_class_v<T>
  void Get(T& message) { message.Fields(*this); }
  void Fail() {
    ok_ = false;
    in_ = {};
  }

  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_CODEC_H_
