#include "sentry/syscalls/sys_splice.h"

#include <algorithm>
#include <memory>

#include "sentry/fsimpl/pipe.h"
#include "sentry/syscalls/blocking_io.h"
#include "sentry/syscalls/file_io.h"
#include "sentry/syscalls/io_vectors.h"

namespace runsc {

namespace {

constexpr size_t kBufferSize = 64 << 10;
constexpr uint32_t kSpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

// An offset argument: at the file's own offset if it is null.
struct OffsetArgument {
  UserPtr<int64_t> address;
  std::optional<uint64_t> value;
  Result<void> Read(Task& task) {
    if (address.is_null()) return Ok();
    ASSIGN_OR_RETURN(int64_t raw, task.memory().Read(address));
    if (raw < 0) return Errno(EINVAL);
    value = static_cast<uint64_t>(raw);
    return Ok();
  }
  void Advance(size_t count) {
    if (value) *value += count;
  }
  Result<void> Write(Task& task) const {
    if (!value) return Ok();
    return task.memory().Write(address, static_cast<int64_t>(*value));
  }
};

// Copies up to `count` bytes through a buffer. What was read but could not be written is
// given back to a file with an offset, by moving it back.
class Copier {
 public:
  Copier(Task& task, FileDescription& in, OffsetArgument& in_offset, FileDescription& out,
         OffsetArgument& out_offset)
      : task_(task), in_(in), out_(out), in_offset_(in_offset), out_offset_(out_offset) {}

  Result<size_t> Copy(size_t count, bool until_end) {
    auto buffer = std::make_unique<std::byte[]>(std::min(count, kBufferSize));
    size_t total = 0;
    while (total < count) {
      size_t want = std::min(count - total, kBufferSize);
      IoSequence to(std::span(buffer.get(), want));
      Result<size_t> got = ReadFile(task_, in_, to, in_offset_.value);
      if (!got.ok()) return total > 0 ? Result<size_t>(total) : got;
      if (*got == 0) break;
      IoSequence from(std::span<const std::byte>(buffer.get(), *got));
      Result<size_t> put = WriteFile(task_, out_, from, out_offset_.value);
      size_t written = put.ok() ? *put : 0;
      if (written < *got && !in_offset_.value)
        (void)in_.Seek(-static_cast<int64_t>(*got - written), SEEK_CUR);
      in_offset_.Advance(written);
      out_offset_.Advance(written);
      total += written;
      if (!put.ok()) return total > 0 ? Result<size_t>(total) : put;
      if (written < *got || (!until_end && *got < want)) break;
      if (task_.HasPendingWork()) break;
    }
    return total;
  }

 private:
  Task& task_;
  FileDescription& in_;
  FileDescription& out_;
  OffsetArgument& in_offset_;
  OffsetArgument& out_offset_;
};

// Waits until `ready`, unless one may not.
template <typename Ready>
Result<void> WaitPipe(Task& task, FileDescription& file, EventMask events, bool no_wait, Ready ready) {
  auto attempt = [&]() -> Result<void> { return ready() ? Ok() : Result<void>(Errno(EAGAIN)); };
  if (no_wait) return attempt();
  return BlockOnFile(task, file, events, Deadline::Never(), attempt);
}

bool HasEvents(FileDescription& file, EventMask events) { return (file.Readiness(events) & events) != 0; }

// Moves what the pipe has to `out` (or leaves it there: tee).
Result<size_t> FromPipe(Task& task, FileDescription& in, FileDescription& out,
                        std::optional<uint64_t> out_offset, size_t count, bool no_wait, bool keep) {
  Pipe& pipe = *AsPipe(in);
  RETURN_IF_ERROR(
      WaitPipe(task, in, kEventsRead, no_wait, [&] { return pipe.size() != 0 || HasEvents(in, EPOLLHUP); }));
  Pipe* target = AsPipe(out);
  if (target != nullptr) {
    RETURN_IF_ERROR(WaitPipe(task, out, kEventsWrite, no_wait,
                             [&] { return target->Room() != 0 || HasEvents(out, EPOLLERR); }));
    count = std::min(count, std::max<size_t>(target->Room(), 1));
  }
  size_t total = 0;
  auto buffer = std::make_unique<std::byte[]>(std::min(count, kBufferSize));
  while (total < count) {
    IoSequence to(std::span(buffer.get(), std::min(count - total, kBufferSize)));
    Result<size_t> got = pipe.Peek(keep ? total : 0, to);
    if (got.is(EAGAIN) || (got.ok() && *got == 0)) break;
    if (!got.ok()) return total > 0 ? Result<size_t>(total) : got;
    IoSequence from(std::span<const std::byte>(buffer.get(), *got));
    std::optional<uint64_t> at;
    if (out_offset) at = *out_offset + total;
    Result<size_t> put = WriteFile(task, out, from, at, no_wait || target != nullptr);
    if (!put.ok()) return total > 0 ? Result<size_t>(total) : put;
    if (!keep) pipe.Consume(*put);
    total += *put;
    if (*put < *got) break;
  }
  return total;
}

Result<size_t> IntoPipe(Task& task, FileDescription& in, std::optional<uint64_t> in_offset,
                        FileDescription& out, size_t count, bool no_wait) {
  Pipe& pipe = *AsPipe(out);
  RETURN_IF_ERROR(WaitPipe(task, out, kEventsWrite, no_wait,
                           [&] { return pipe.Room() != 0 || HasEvents(out, EPOLLERR); }));
  size_t want = std::min({count, std::max<size_t>(pipe.Room(), 1), kBufferSize});
  auto buffer = std::make_unique<std::byte[]>(want);
  IoSequence to(std::span(buffer.get(), want));
  ASSIGN_OR_RETURN(size_t got, ReadFile(task, in, to, in_offset, no_wait));
  if (got == 0) return 0;
  IoSequence from(std::span<const std::byte>(buffer.get(), got));
  return WriteFile(task, out, from);
}

}  // namespace

Result<int64_t> SysSendfile(Task& task, Fd out_fd, Fd in_fd, UserPtr<int64_t> offset, size_t count) {
  OffsetArgument in_offset{offset, {}}, out_offset{};
  Result<void> position = in_offset.Read(task);
  if (position.is(EFAULT)) return Errno(EFAULT);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> in, task.GetFile(in_fd));
  if (!in->readable()) return Errno(EBADF);
  if (!offset.is_null() && !in->has_offset()) return Errno(ESPIPE);
  RETURN_IF_ERROR(position);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> out, task.GetFile(out_fd));
  if (!out->writable()) return Errno(EBADF);
  if ((out->flags() & O_APPEND) != 0) return Errno(EINVAL);
  if (!in->inode()->IsRegular() && in->inode()->file_type() != S_IFBLK && in->inode()->file_type() != S_IFCHR)
    return Errno(EINVAL);
  Copier copier(task, *in, in_offset, *out, out_offset);
  ASSIGN_OR_RETURN(size_t done, copier.Copy(std::min(count, kMaxTransfer), true));
  RETURN_IF_ERROR(in_offset.Write(task));
  return static_cast<int64_t>(done);
}

Result<int64_t> SysCopyFileRange(Task& task, Fd in_fd, UserPtr<int64_t> in_address, Fd out_fd,
                                 UserPtr<int64_t> out_address, size_t count, uint32_t flags) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> in, task.GetFile(in_fd));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> out, task.GetFile(out_fd));
  OffsetArgument in_offset{in_address, {}}, out_offset{out_address, {}};
  Result<void> in_position = in_offset.Read(task), out_position = out_offset.Read(task);
  if (in_position.is(EFAULT) || out_position.is(EFAULT)) return Errno(EFAULT);
  if (flags != 0) return Errno(EINVAL);
  if (in->inode()->IsDirectory() || out->inode()->IsDirectory()) return Errno(EISDIR);
  if (!in->inode()->IsRegular() || !out->inode()->IsRegular()) return Errno(EINVAL);
  if (!in->readable() || !out->writable() || (out->flags() & O_APPEND) != 0) return Errno(EBADF);
  // Linux: generic_copy_file_checks(); a negative offset and a length wrap around.
  for (const Result<void>& position : {in_position, out_position}) {
    if (!position.ok()) return Errno(count != 0 ? EOVERFLOW : EINVAL);
  }
  count = std::min(count, kMaxTransfer);
  if (in->inode() == out->inode()) {
    auto position = [](FileDescription& file, const OffsetArgument& offset) -> Result<uint64_t> {
      if (offset.value) return *offset.value;
      ASSIGN_OR_RETURN(int64_t at, file.Seek(0, SEEK_CUR));
      return static_cast<uint64_t>(at);
    };
    ASSIGN_OR_RETURN(uint64_t from, position(*in, in_offset));
    ASSIGN_OR_RETURN(uint64_t to, position(*out, out_offset));
    ASSIGN_OR_RETURN(InodeAttributes attributes, in->Attributes());
    uint64_t length = from >= attributes.size ? 0 : std::min<uint64_t>(count, attributes.size - from);
    if (from < to + length && to < from + length) return Errno(EINVAL);
  }
  Copier copier(task, *in, in_offset, *out, out_offset);
  ASSIGN_OR_RETURN(size_t done, copier.Copy(count, true));
  RETURN_IF_ERROR(in_offset.Write(task));
  RETURN_IF_ERROR(out_offset.Write(task));
  return static_cast<int64_t>(done);
}

Result<int64_t> SysSplice(Task& task, Fd in_fd, UserPtr<int64_t> in_address, Fd out_fd,
                          UserPtr<int64_t> out_address, size_t count, uint32_t flags) {
  if (count == 0) return 0;
  if ((flags & ~kSpliceFlags) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> in, task.GetFile(in_fd));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> out, task.GetFile(out_fd));
  Pipe* from = AsPipe(*in);
  Pipe* to = AsPipe(*out);
  if ((from != nullptr && !in_address.is_null()) || (to != nullptr && !out_address.is_null()))
    return Errno(ESPIPE);
  if (!in->readable() || !out->writable()) return Errno(EBADF);
  if (from == nullptr && to == nullptr) return Errno(EINVAL);
  if ((!in_address.is_null() && !in->has_offset()) || (!out_address.is_null() && !out->has_offset()))
    return Errno(EINVAL);
  if (from != nullptr && to != nullptr && from == to) return Errno(EINVAL);
  if (to == nullptr && (out->flags() & O_APPEND) != 0) return Errno(EINVAL);
  OffsetArgument in_offset{in_address, {}}, out_offset{out_address, {}};
  RETURN_IF_ERROR(in_offset.Read(task));
  RETURN_IF_ERROR(out_offset.Read(task));
  count = std::min(count, kMaxTransfer);
  bool no_wait = (flags & SPLICE_F_NONBLOCK) != 0;
  ASSIGN_OR_RETURN(size_t done, from != nullptr
                                    ? FromPipe(task, *in, *out, out_offset.value, count, no_wait, false)
                                    : IntoPipe(task, *in, in_offset.value, *out, count, no_wait));
  in_offset.Advance(done);
  out_offset.Advance(done);
  RETURN_IF_ERROR(in_offset.Write(task));
  RETURN_IF_ERROR(out_offset.Write(task));
  return static_cast<int64_t>(done);
}

Result<int64_t> SysTee(Task& task, Fd in_fd, Fd out_fd, size_t count, uint32_t flags) {
  if ((flags & ~kSpliceFlags) != 0) return Errno(EINVAL);
  if (count == 0) return 0;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> in, task.GetFile(in_fd));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> out, task.GetFile(out_fd));
  if (!in->readable() || !out->writable()) return Errno(EBADF);
  if (AsPipe(*in) == nullptr || AsPipe(*out) == nullptr) return Errno(EINVAL);
  if (AsPipe(*in) == AsPipe(*out)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(size_t done, FromPipe(task, *in, *out, std::nullopt, std::min(count, kMaxTransfer),
                                         (flags & SPLICE_F_NONBLOCK) != 0, true));
  return static_cast<int64_t>(done);
}

Result<int64_t> SysVmsplice(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, uint32_t flags) {
  if ((flags & ~kSpliceFlags) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (AsPipe(*file) == nullptr) return Errno(EBADF);
  ASSIGN_OR_RETURN(IoSequence memory, ReadIoVectors(task, vectors, count));
  if (memory.empty()) return 0;
  bool no_wait = (flags & SPLICE_F_NONBLOCK) != 0;
  // Copies: the pages of the guest are not lent to the pipe.
  ASSIGN_OR_RETURN(size_t done, file->writable() ? WriteFile(task, *file, memory, std::nullopt, no_wait)
                                                 : ReadFile(task, *file, memory, std::nullopt, no_wait));
  return static_cast<int64_t>(done);
}

}  // namespace runsc
