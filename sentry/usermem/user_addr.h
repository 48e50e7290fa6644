// Guest addresses as types: a UserAddr cannot be dereferenced, added to without a
// check, or mixed up with a length. UserPtr<T> is one that points to a T;
// UserPtr<const T> can only be read from.
#ifndef SENTRY_USERMEM_USER_ADDR_H_
#define SENTRY_USERMEM_USER_ADDR_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace runsc {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kPageMask = kPageSize - 1;

constexpr uint64_t PageRoundDown(uint64_t value) { return value & ~kPageMask; }
// nullopt if rounding up overflows.
constexpr std::optional<uint64_t> PageRoundUp(uint64_t value) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(value, kPageMask, &sum)) return std::nullopt;
  return sum & ~kPageMask;
}

class UserAddr {
 public:
  constexpr UserAddr() = default;
  explicit constexpr UserAddr(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  constexpr bool is_null() const { return value_ == 0; }
  constexpr bool IsPageAligned() const { return (value_ & kPageMask) == 0; }
  constexpr UserAddr PageRoundDown() const { return UserAddr(runsc::PageRoundDown(value_)); }
  // nullopt on overflow.
  constexpr std::optional<UserAddr> Add(uint64_t length) const {
    uint64_t sum = 0;
    if (__builtin_add_overflow(value_, length, &sum)) return std::nullopt;
    return UserAddr(sum);
  }
  // For sums that cannot overflow because the range was checked before.
  constexpr UserAddr operator+(uint64_t length) const { return UserAddr(value_ + length); }
  constexpr UserAddr operator-(uint64_t length) const { return UserAddr(value_ - length); }
  constexpr uint64_t operator-(UserAddr other) const { return value_ - other.value_; }
  friend constexpr auto operator<=>(UserAddr, UserAddr) = default;

 private:
  uint64_t value_ = 0;
};

// [start, end), end >= start.
struct UserRange {
  UserAddr start;
  UserAddr end;
  constexpr uint64_t length() const { return end - start; }
  constexpr bool empty() const { return start == end; }
  constexpr bool Contains(UserAddr addr) const { return addr >= start && addr < end; }
  constexpr bool Overlaps(UserRange other) const { return start < other.end && other.start < end; }
  friend constexpr bool operator==(UserRange, UserRange) = default;
};

template <typename T>
class UserPtr {
 public:
  static_assert(std::is_trivially_copyable_v<std::remove_const_t<T>>);
  constexpr UserPtr() = default;
  explicit constexpr UserPtr(UserAddr addr) : addr_(addr) {}
  explicit constexpr UserPtr(uint64_t value) : addr_(value) {}
  // From a writable pointer to a read-only one.
  template <typename U>
  requires(std::is_const_v<T>&& std::is_same_v<U, std::remove_const_t<T>>) constexpr UserPtr(
      UserPtr<U> other)  // NOLINT(google-explicit-constructor)
      : addr_(other.addr()) {}
  constexpr UserAddr addr() const { return addr_; }
  constexpr bool is_null() const { return addr_.is_null(); }
  explicit constexpr operator bool() const { return !is_null(); }
  // Wraps on overflow, like the pointer in the guest would; the copy then fails.
  constexpr UserPtr At(uint64_t index) const { return UserPtr(addr_ + index * sizeof(T)); }

 private:
  UserAddr addr_;
};

// A NUL-terminated string in guest memory.
struct UserCString {
  UserAddr addr;
  bool is_null() const { return addr.is_null(); }
};
// The same, when it is a path (strace quotes both; PATH_MAX applies here).
struct UserPath {
  UserAddr addr;
  bool is_null() const { return addr.is_null(); }
};

}  // namespace runsc

#endif  // SENTRY_USERMEM_USER_ADDR_H_
