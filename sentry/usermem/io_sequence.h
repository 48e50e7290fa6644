// IoSequence: where a read puts its bytes or a write takes them from: the iovecs of
// one system call in guest memory, or a buffer of the Sentry's own. It is a cursor:
// each operation advances it by what it moved.
//
// Owned by the caller for one operation; not shared between threads.
// Linux counterpart: struct iov_iter.
#ifndef SENTRY_USERMEM_IO_SEQUENCE_H_
#define SENTRY_USERMEM_IO_SEQUENCE_H_

#include <cstddef>
#include <span>

#include "absl/container/inlined_vector.h"
#include "sentry/usermem/user_memory.h"

namespace runsc {

struct UserIovec {
  UserAddr base;
  size_t length = 0;
};

class IoSequence {
 public:
  IoSequence(UserMemory& memory, UserAddr base, size_t length);
  IoSequence(UserMemory& memory, std::span<const UserIovec> iovecs);
  // A Sentry buffer; a const one may only be copied in from.
  explicit IoSequence(std::span<std::byte> buffer);
  explicit IoSequence(std::span<const std::byte> buffer);

  // Bytes left.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool is_user() const { return memory_ != nullptr; }

  // Moves min(size(), n) bytes. Returns the count, short if a fault came after the
  // first byte; EFAULT if it came at the first.
  Result<size_t> CopyOut(std::span<const std::byte> from);
  Result<size_t> CopyIn(std::span<std::byte> to);
  Result<size_t> ZeroOut(size_t length);
  // Like UserMemory::WithBlocks for the next min(size(), max) bytes; advances by what
  // `io` returns.
  Result<size_t> WithBlocks(size_t max, MemoryAccess access, UserMemory::BlockFunction io);

  void Skip(size_t length);
  // Keeps only the first `length` bytes of what is left.
  void Truncate(size_t length);

 private:
  UserMemory* memory_ = nullptr;  // null: `buffer_`
  absl::InlinedVector<UserIovec, 2> iovecs_;
  size_t next_ = 0;  // index into iovecs_; its base and length are what is left of it
  std::byte* buffer_ = nullptr;
  size_t size_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_USERMEM_IO_SEQUENCE_H_
