#include "sentry/fsimpl/pipe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace runsc {
namespace {

constexpr EventMask kReadable = EPOLLIN | EPOLLRDNORM;
constexpr EventMask kWritable = EPOLLOUT | EPOLLWRNORM;

}  // namespace

size_t Pipe::size() const {
  MutexLock lock(mu_);
  return size_;
}

size_t Pipe::capacity() const {
  MutexLock lock(mu_);
  return capacity_;
}

Result<void> Pipe::ResizeLocked(size_t allocated) {
  std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[allocated]);
  if (!buffer) return Errno(ENOMEM);
  size_t first = std::min(size_, allocated_ - start_);
  if (size_ > 0) {
    std::memcpy(buffer.get(), buffer_.get() + start_, first);
    std::memcpy(buffer.get() + first, buffer_.get(), size_ - first);
  }
  buffer_ = std::move(buffer);
  allocated_ = allocated;
  start_ = 0;
  return Ok();
}

Result<void> Pipe::ReserveLocked(size_t bytes) {
  if (size_ + bytes <= allocated_) return Ok();
  return ResizeLocked(std::min(std::max(std::bit_ceil(size_ + bytes), size_t{kPageSize}), capacity_));
}

Result<size_t> Pipe::SetCapacity(size_t capacity, bool privileged) {
  if (capacity > size_t{1} << 31) return Errno(EINVAL);
  capacity = std::max(std::bit_ceil(capacity), size_t{kPageSize});
  // However privileged: it is the Sentry's memory.
  if (capacity > kMaxCapacity * (privileged ? 16 : 1)) return Errno(EPERM);
  bool woken = false;
  {
    MutexLock lock(mu_);
    if (capacity < size_) return Errno(EBUSY);
    if (allocated_ > capacity) RETURN_IF_ERROR(ResizeLocked(capacity));
    woken = capacity > capacity_;
    capacity_ = capacity;
  }
  if (woken) wait_queue_.Notify(kWritable);
  return capacity;
}

Result<size_t> Pipe::CopyOutLocked(IoSequence& to, size_t bytes) {
  size_t first = std::min(bytes, allocated_ - start_);
  ASSIGN_OR_RETURN(size_t done, to.CopyOut(std::span(buffer_.get() + start_, first)));
  if (done < first || first == bytes) return done;
  Result<size_t> more = to.CopyOut(std::span(buffer_.get(), bytes - first));
  return done + more.value_or(0);
}

void Pipe::ConsumeLocked(size_t bytes) {
  size_ -= bytes;
  start_ = size_ == 0 ? 0 : (start_ + bytes) & (allocated_ - 1);
  while (bytes > 0 && !segments_.empty()) {
    Segment& segment = segments_.front();
    size_t step = std::min(bytes, segment.length);
    segment.length -= step;
    bytes -= step;
    if (segment.length == 0) segments_.pop_front();
  }
}

Result<size_t> Pipe::Read(IoSequence& to, bool peek) {
  if (to.empty()) return size_t{0};
  size_t done = 0;
  bool woken = false;
  {
    MutexLock lock(mu_);
    if (size_ == 0) {
      if (writers_ == 0) return size_t{0};
      return Errno(EAGAIN);
    }
    bool was_full = !IsWritableLocked();
    bool packet = !segments_.empty() && segments_.front().packet;
    size_t available = segments_.empty() ? size_ : segments_.front().length;
    ASSIGN_OR_RETURN(done, CopyOutLocked(to, std::min(available, to.size())));
    if (peek) return done;
    // What does not fit of a packet is lost (pipe(2), O_DIRECT).
    ConsumeLocked(packet ? available : done);
    woken = was_full && IsWritableLocked();
  }
  if (woken) wait_queue_.Notify(kWritable);
  return done;
}

Result<size_t> Pipe::Peek(size_t skip, IoSequence& to) {
  MutexLock lock(mu_);
  if (skip >= size_) {
    if (writers_ == 0) return size_t{0};
    return Errno(EAGAIN);
  }
  size_t at = (start_ + skip) & (allocated_ - 1);
  // Up to the ring's end: the caller asks again.
  return to.CopyOut(std::span(buffer_.get() + at, std::min(size_ - skip, allocated_ - at)));
}

void Pipe::Consume(size_t bytes) {
  bool woken = false;
  {
    MutexLock lock(mu_);
    bool was_full = !IsWritableLocked();
    ConsumeLocked(std::min(bytes, size_));
    woken = was_full && IsWritableLocked();
  }
  if (woken) wait_queue_.Notify(kWritable);
}

size_t Pipe::Room() const {
  MutexLock lock(mu_);
  return FreeLocked();
}

void Pipe::NoteWrittenLocked(size_t bytes, bool packet) {
  if (packet && segments_.empty() && size_ > 0) segments_.push_back(Segment{size_, false});
  if (packet || !segments_.empty()) {
    if (!packet && !segments_.back().packet) {
      segments_.back().length += bytes;
    } else {
      segments_.push_back(Segment{bytes, packet});
    }
  }
  size_ += bytes;
}

Result<size_t> Pipe::CopyInLocked(IoSequence& from, size_t bytes, bool packet) {
  RETURN_IF_ERROR(ReserveLocked(bytes));
  size_t end = (start_ + size_) & (allocated_ - 1);
  size_t first = std::min(bytes, allocated_ - end);
  ASSIGN_OR_RETURN(size_t done, from.CopyIn(std::span(buffer_.get() + end, first)));
  if (done == first && first < bytes) {
    Result<size_t> more = from.CopyIn(std::span(buffer_.get(), bytes - first));
    done += more.value_or(0);
  }
  if (done > 0) NoteWrittenLocked(done, packet);
  return done;
}

Result<size_t> Pipe::Write(IoSequence& from, bool packet) {
  size_t done = 0;
  {
    MutexLock lock(mu_);
    if (from.empty()) return size_t{0};
    if (readers_ == 0) return Errno(EPIPE);
    // Up to PIPE_BUF bytes go in whole or not at all; longer writes wait for as much room, so that
    // readiness and this agree.
    if (FreeLocked() < std::min(from.size(), kAtomicWrite)) return Errno(EAGAIN);
    while (!from.empty() && FreeLocked() > 0) {
      size_t want = std::min(from.size(), FreeLocked());
      if (packet) {
        want = std::min(from.size(), kAtomicWrite);
        if (want > FreeLocked()) break;
      }
      Result<size_t> got = CopyInLocked(from, want, packet);
      if (!got.ok() && done == 0) return got;
      if (!got.ok()) break;
      done += *got;
      if (*got < want) break;
    }
  }
  wait_queue_.Notify(kReadable);
  return done;
}

PipeFile::PipeFile(RefPtr<Pipe> pipe, VfsPath path, int flags)
    : FileDescription(std::move(path), flags), pipe_(std::move(pipe)) {
  MutexLock lock(pipe_->mu_);
  if (readable()) ++pipe_->readers_, ++pipe_->reader_opens_;
  if (writable()) ++pipe_->writers_, ++pipe_->writer_opens_;
}

PipeFile::~PipeFile() {
  {
    MutexLock lock(pipe_->mu_);
    if (readable()) --pipe_->readers_;
    if (writable()) --pipe_->writers_;
    if (pipe_->readers_ == 0 && pipe_->writers_ == 0) {
      // What nobody has read is gone with the last end; a FIFO starts afresh.
      pipe_->buffer_.reset();
      pipe_->segments_.clear();
      pipe_->allocated_ = pipe_->start_ = pipe_->size_ = 0;
    }
  }
  pipe_->wait_queue().Notify(kReadable | kWritable | EPOLLHUP | EPOLLERR);
}

Result<size_t> PipeFile::Read(IoSequence& to) { return pipe_->Read(to); }

Result<size_t> PipeFile::Write(IoSequence& from) { return pipe_->Write(from, (flags() & O_DIRECT) != 0); }

Result<int64_t> PipeFile::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  if (request != 0x541b /* FIONREAD */) return Errno(ENOTTY);
  RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), static_cast<int32_t>(pipe_->size())));
  return 0;
}

EventMask PipeFile::Readiness(EventMask mask) {
  MutexLock lock(pipe_->mu_);
  EventMask ready = 0;
  if (readable()) {
    if (pipe_->size_ > 0) ready |= kReadable;
    // Not before the first writer came (fifo(7)).
    if (pipe_->writers_ == 0 && pipe_->writer_opens_ != peer_opens_) ready |= EPOLLHUP;
  }
  if (writable()) {
    if (pipe_->IsWritableLocked()) ready |= kWritable;
    if (pipe_->readers_ == 0) ready |= EPOLLERR;
  }
  return ready & (mask | EPOLLHUP | EPOLLERR);
}

Result<void> PipeFile::FinishOpen() {
  if (!waits_for_peer_) return Ok();
  MutexLock lock(pipe_->mu_);
  // A peer that came and went counts, too.
  bool came = readable() ? pipe_->writers_ > 0 || pipe_->writer_opens_ != peer_opens_
                         : pipe_->readers_ > 0 || pipe_->reader_opens_ != peer_opens_;
  if (!came) return Errno(EAGAIN);
  waits_for_peer_ = false;
  peer_opens_ = 0;
  return Ok();
}

PipeEnds MakePipe(const Credentials& creds, int flags) {
  VfsPath path = AnonymousPath("pipe:[%]", S_IFIFO | 0600, creds.fsuid, creds.fsgid);
  auto pipe = MakeRef<Pipe>();
  path.inode()->SetAttachment(pipe);
  flags &= O_NONBLOCK | O_DIRECT;
  PipeEnds ends;
  ends.reader = MakeRef<PipeFile>(pipe, path, O_RDONLY | (flags & O_NONBLOCK));
  ends.writer = MakeRef<PipeFile>(pipe, path, O_WRONLY | flags);
  return ends;
}

Result<RefPtr<FileDescription>> OpenFifo(const VfsPath& path, const OpenOptions& options) {
  RefPtr<RefCounted> attached =
      path.inode()->GetOrAttach([]() -> RefPtr<RefCounted> { return MakeRef<Pipe>(); });
  RefPtr<Pipe> pipe(dynamic_cast<Pipe*>(attached.get()));
  if (!pipe) return Errno(ENXIO);
  const bool non_blocking = (options.flags & O_NONBLOCK) != 0;
  const int mode = options.flags & O_ACCMODE;
  // (F_SETFL may set O_DIRECT, but no open: do_dentry_open() and setfl() of Linux.)
  if (mode == O_ACCMODE || (options.flags & O_DIRECT) != 0) return Errno(EINVAL);
  auto file = MakeRef<PipeFile>(pipe, path, options.flags);
  // A pipe(2) that is opened again, through /proc/self/fd, waits for nobody.
  const bool is_fifo = &path.dentry->filesystem() != &AnonymousFilesystem();
  {
    MutexLock lock(pipe->mu_);
    if (is_fifo && mode == O_RDONLY && pipe->writers_ == 0) {
      file->waits_for_peer_ = !non_blocking;
      file->peer_opens_ = pipe->writer_opens_;
    }
    if (is_fifo && mode == O_WRONLY && pipe->readers_ == 0) {
      file->waits_for_peer_ = !non_blocking;
      file->peer_opens_ = pipe->reader_opens_;
    }
  }
  if (mode == O_WRONLY && non_blocking && pipe->HasNoReader()) return Errno(ENXIO);
  // Somebody may be waiting for this end in open(2).
  pipe->wait_queue().Notify(kReadable | kWritable);
  return RefPtr<FileDescription>(std::move(file));
}

Pipe* AsPipe(FileDescription& file) {
  auto* pipe_file = dynamic_cast<PipeFile*>(&file);
  return pipe_file != nullptr ? &pipe_file->pipe() : nullptr;
}

}  // namespace runsc
