// Result<T>: a T or an Errno. What std::expected will be for us, with the
// project's one error type and no exceptions.
#ifndef PLATFORM_BASE_RESULT_H_
#define PLATFORM_BASE_RESULT_H_

#include <new>
#include <type_traits>
#include <utility>

#include "platform/base/check.h"
#include "platform/base/errno.h"

namespace runsc {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Errno error) : error_(error.value()) { DCHECK(error_ != 0); }  // NOLINT(google-explicit-constructor)
  template <typename U = T>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
           !std::is_same_v<std::remove_cvref_t<U>, Errno>) Result(U&& value)
      : error_(0) {  // NOLINT(google-explicit-constructor)
    new (&value_) T(std::forward<U>(value));
  }
  Result(Result&& other) noexcept : error_(other.error_) {
    if (ok()) new (&value_) T(std::move(other.value_));
  }
  Result(const Result& other) : error_(other.error_) {
    if (ok()) new (&value_) T(other.value_);
  }
  Result& operator=(Result other) noexcept {
    if (ok()) value_.~T();
    error_ = other.error_;
    if (ok()) new (&value_) T(std::move(other.value_));
    return *this;
  }
  ~Result() {
    if (ok()) value_.~T();
  }

  bool ok() const { return error_ == 0; }
  explicit operator bool() const { return ok(); }
  Errno error() const {
    RUNSC_CHECK(!ok());
    return Errno(error_);
  }
  // Whether this is the given error: `if (result.is(EAGAIN))`.
  bool is(int error) const { return error_ == error; }

  T& value() & {
    RUNSC_CHECK(ok());
    return value_;
  }
  const T& value() const& {
    RUNSC_CHECK(ok());
    return value_;
  }
  T&& value() && {
    RUNSC_CHECK(ok());
    return std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  template <typename U>
  T value_or(U&& fallback) const& {
    return ok() ? value_ : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  int error_;
  union {
    T value_;
  };
};

template <>
class [[nodiscard]] Result<void> {
 public:
  constexpr Result() : error_(0) {}
  constexpr Result(Errno error) : error_(error.value()) {}  // NOLINT(google-explicit-constructor)
  constexpr bool ok() const { return error_ == 0; }
  constexpr explicit operator bool() const { return ok(); }
  Errno error() const {
    RUNSC_CHECK(!ok());
    return Errno(error_);
  }
  constexpr bool is(int error) const { return error_ == error; }

 private:
  int error_;
};

using Status = Result<void>;

inline constexpr Result<void> Ok() { return {}; }

}  // namespace runsc

#define RUNSC_CONCAT_INNER(a, b) a##b
#define RUNSC_CONCAT(a, b) RUNSC_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(Call()): returns the Errno of a failed Result from this function.
#define RETURN_IF_ERROR(expression)                                                                      \
  do {                                                                                                   \
    if (auto&& return_if_error_ = (expression); !return_if_error_.ok()) return return_if_error_.error(); \
  } while (0)

// ASSIGN_OR_RETURN(auto x, Call()): the value, or returns the Errno.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_IMPL(RUNSC_CONCAT(result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_IMPL(result, target, expression) \
  auto result = (expression);                             \
  if (!result.ok()) return result.error();                \
  target = std::move(result).value()

#endif  // PLATFORM_BASE_RESULT_H_
