#include "sentry/usermem/io_sequence.h"

#include <algorithm>
#include <cstring>

namespace runsc {

IoSequence::IoSequence(UserMemory& memory, UserAddr base, size_t length)
    : memory_(&memory), iovecs_{{base, length}}, size_(length) {}

IoSequence::IoSequence(UserMemory& memory, std::span<const UserIovec> iovecs)
    : memory_(&memory), iovecs_(iovecs.begin(), iovecs.end()) {
  for (const UserIovec& iovec : iovecs) size_ += iovec.length;
}

IoSequence::IoSequence(std::span<std::byte> buffer) : buffer_(buffer.data()), size_(buffer.size()) {}

IoSequence::IoSequence(std::span<const std::byte> buffer)
    : buffer_(const_cast<std::byte*>(buffer.data())), size_(buffer.size()) {}

void IoSequence::Skip(size_t length) {
  length = std::min(length, size_);
  size_ -= length;
  if (memory_ == nullptr) {
    buffer_ += length;
    return;
  }
  while (length > 0) {
    UserIovec& iovec = iovecs_[next_];
    size_t step = std::min(length, iovec.length);
    iovec.base = iovec.base + step;
    iovec.length -= step;
    length -= step;
    if (iovec.length == 0) ++next_;
  }
}

void IoSequence::Truncate(size_t length) { size_ = std::min(size_, length); }

namespace {

// The count, or EFAULT when a fault came before the first byte.
Result<size_t> Moved(size_t done, bool faulted) {
  if (done == 0 && faulted) return Errno(EFAULT);
  return done;
}

}  // namespace

Result<size_t> IoSequence::CopyOut(std::span<const std::byte> from) {
  size_t total = std::min(from.size(), size_);
  if (memory_ == nullptr) {
    if (total > 0) std::memcpy(buffer_, from.data(), total);
    Skip(total);
    return total;
  }
  size_t done = 0;
  while (done < total) {
    const UserIovec iovec = iovecs_[next_];
    size_t want = std::min(iovec.length, total - done);
    if (want == 0) {
      ++next_;
      continue;
    }
    size_t got = memory_->CopyOut(iovec.base, from.subspan(done, want));
    Skip(got);
    done += got;
    if (got < want) return Moved(done, true);
  }
  return done;
}

Result<size_t> IoSequence::CopyIn(std::span<std::byte> to) {
  size_t total = std::min(to.size(), size_);
  if (memory_ == nullptr) {
    if (total > 0) std::memcpy(to.data(), buffer_, total);
    Skip(total);
    return total;
  }
  size_t done = 0;
  while (done < total) {
    const UserIovec iovec = iovecs_[next_];
    size_t want = std::min(iovec.length, total - done);
    if (want == 0) {
      ++next_;
      continue;
    }
    size_t got = memory_->CopyIn(iovec.base, to.subspan(done, want));
    Skip(got);
    done += got;
    if (got < want) return Moved(done, true);
  }
  return done;
}

Result<size_t> IoSequence::ZeroOut(size_t length) {
  size_t total = std::min(length, size_);
  if (memory_ == nullptr) {
    if (total > 0) std::memset(buffer_, 0, total);
    Skip(total);
    return total;
  }
  size_t done = 0;
  while (done < total) {
    const UserIovec iovec = iovecs_[next_];
    size_t want = std::min(iovec.length, total - done);
    if (want == 0) {
      ++next_;
      continue;
    }
    size_t got = memory_->ZeroOut(iovec.base, want);
    Skip(got);
    done += got;
    if (got < want) return Moved(done, true);
  }
  return done;
}

Result<size_t> IoSequence::WithBlocks(size_t max, MemoryAccess access, UserMemory::BlockFunction io) {
  size_t total = std::min(max, size_);
  if (memory_ == nullptr) {
    iovec block{buffer_, total};
    ASSIGN_OR_RETURN(size_t done, io(std::span(&block, 1)));
    Skip(done);
    return done;
  }
  size_t done = 0;
  while (done < total) {
    const UserIovec iovec = iovecs_[next_];
    size_t want = std::min(iovec.length, total - done);
    if (want == 0) {
      ++next_;
      continue;
    }
    Result<size_t> got = memory_->WithBlocks(iovec.base, want, access, io);
    if (!got.ok()) return done > 0 ? Result<size_t>(done) : got;
    Skip(*got);
    done += *got;
    // A short transfer is either the file's end or a fault: the next call tells.
    if (*got < want) return done;
  }
  return done;
}

}  // namespace runsc
