#include "sentry/syscalls/io_vectors.h"

#include <limits.h>

#include <algorithm>

namespace runsc {

IoSequence MakeIoSequence(Task& task, UserAddr buffer, size_t length) {
  return IoSequence(task.memory(), buffer, std::min(length, kMaxTransfer));
}

Result<IoSequence> ReadIoVectors(Task& task, UserPtr<const iovec> vectors, uint64_t count) {
  if (count > IOV_MAX) return Errno(EINVAL);
  absl::InlinedVector<iovec, 8> raw(count);
  RETURN_IF_ERROR(task.memory().ReadArray(vectors, std::span(raw.data(), raw.size())));
  absl::InlinedVector<UserIovec, 8> blocks;
  size_t left = kMaxTransfer;
  for (const iovec& vector : raw) {
    if (vector.iov_len > SSIZE_MAX) return Errno(EINVAL);
    size_t length = std::min(vector.iov_len, left);
    left -= length;
    if (length > 0)
      blocks.push_back(UserIovec{UserAddr(reinterpret_cast<uint64_t>(vector.iov_base)), length});
  }
  return IoSequence(task.memory(), std::span<const UserIovec>(blocks.data(), blocks.size()));
}

}  // namespace runsc
