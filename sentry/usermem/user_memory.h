// UserMemory: how the rest of the Sentry reaches guest memory. MemoryManager
// implements it. Every access is checked against the guest's own permissions and
// faults pages in as the guest's own access would; an address that the guest could
// not use gives EFAULT, never a Sentry fault.
//
// Threading: any thread. The guest may change the memory at any time, also during
// a call: read a struct once into a local and use only that.
// Linux counterpart: copy_{to,from}_user, get_user_pages.
#ifndef SENTRY_USERMEM_USER_MEMORY_H_
#define SENTRY_USERMEM_USER_MEMORY_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/functional/function_ref.h"
#include "platform/base/result.h"
#include "sentry/usermem/user_addr.h"

namespace runsc {

enum class MemoryAccess : uint8_t { kRead, kWrite };

class UserMemory {
 public:
  virtual ~UserMemory() = default;

  // Copy as many bytes as can be: the count is less than asked for when a fault
  // stopped the copy (0: at the first byte).
  virtual size_t CopyOut(UserAddr to, std::span<const std::byte> from) = 0;
  virtual size_t CopyIn(UserAddr from, std::span<std::byte> to) = 0;
  virtual size_t ZeroOut(UserAddr to, size_t length) = 0;

  // Calls `io` once with the host memory behind a prefix of [addr, addr+length), as
  // long as can be reached (at most IOV_MAX blocks), and returns what it returned.
  // The blocks stay valid during the call only. EFAULT if not even one byte can be
  // reached. `io` must not touch guest memory otherwise, nor block.
  using BlockFunction = absl::FunctionRef<Result<size_t>(std::span<const iovec>)>;
  virtual Result<size_t> WithBlocks(UserAddr addr, size_t length, MemoryAccess access, BlockFunction io) = 0;

  // Calls `op` with the Sentry's pointer to an aligned 32-bit word of guest memory
  // (writable pages are made private first). EFAULT; EINVAL if unaligned. `op` uses
  // atomics only.
  virtual Result<void> WithWord(UserAddr addr, MemoryAccess access,
                                absl::FunctionRef<Result<void>(uint32_t*)> op) = 0;

  // Whole objects: EFAULT unless every byte was copied.
  template <typename T>
  Result<std::remove_const_t<T>> Read(UserPtr<T> from) {
    std::remove_const_t<T> value;
    if (CopyIn(from.addr(), std::as_writable_bytes(std::span(&value, 1))) != sizeof(value))
      return Errno(EFAULT);
    return value;
  }
  template <typename T>
  Result<void> Write(UserPtr<T> to, const T& value) {
    if (CopyOut(to.addr(), std::as_bytes(std::span(&value, 1))) != sizeof(value)) return Errno(EFAULT);
    return Ok();
  }
  template <typename T>
  Result<void> ReadArray(UserPtr<T> from, std::span<std::remove_const_t<T>> to) {
    auto bytes = std::as_writable_bytes(to);
    return CopyIn(from.addr(), bytes) == bytes.size() ? Ok() : Result<void>(Errno(EFAULT));
  }
  template <typename T>
  Result<void> WriteArray(UserPtr<T> to, std::span<const T> from) {
    auto bytes = std::as_bytes(from);
    return CopyOut(to.addr(), bytes) == bytes.size() ? Ok() : Result<void>(Errno(EFAULT));
  }
  // A NUL-terminated string of fewer than `limit` bytes, without the NUL.
  // EFAULT; `too_long` (an errno) if no NUL comes within `limit` bytes.
  Result<std::string> ReadString(UserAddr from, size_t limit, int too_long);
};

}  // namespace runsc

#endif  // SENTRY_USERMEM_USER_MEMORY_H_
