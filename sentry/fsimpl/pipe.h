// Pipe: a bounded queue of bytes between file descriptions that read and ones that write: pipe(2)
// and FIFOs. The buffer is a ring that is made at the first write and grows to the capacity as it fills.
//
// A Pipe is shared by its ends; a FIFO's hangs on its inode as the attachment.
// Threading: any thread; `mu_` (kPipe) is held across copies from and to guest memory.
// Linux counterpart: struct pipe_inode_info; pipe(7), fifo(7).
#ifndef SENTRY_FSIMPL_PIPE_H_
#define SENTRY_FSIMPL_PIPE_H_

#include <deque>
#include <memory>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/auth/credentials.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class Pipe final : public RefCounted {
 public:
  static constexpr size_t kDefaultCapacity = 64 << 10;
  static constexpr size_t kMaxCapacity = 1 << 20;  // /proc/sys/fs/pipe-max-size
  static constexpr size_t kAtomicWrite = 4096;     // PIPE_BUF

  Pipe() = default;

  // EAGAIN: empty, and somebody may still write. 0: the end. `peek` leaves the bytes (tee(2)).
  Result<size_t> Read(IoSequence& to, bool peek = false);
  // EPIPE: nobody reads; EAGAIN: no room. `packet`: O_DIRECT.
  Result<size_t> Write(IoSequence& from, bool packet);
  // splice(2): copies from `skip` bytes behind the first, without taking them; EAGAIN and 0 as Read.
  Result<size_t> Peek(size_t skip, IoSequence& to);
  void Consume(size_t bytes);
  size_t Room() const;  // bytes that a Write would take now
  size_t size() const;
  size_t capacity() const;
  // A power of two, at least a page. EBUSY: more is in it than that; EPERM: above the limit.
  Result<size_t> SetCapacity(size_t capacity, bool privileged);

  bool HasNoReader() const {
    MutexLock lock(mu_);
    return readers_ == 0;
  }
  WaitQueue& wait_queue() { return wait_queue_; }

 private:
  friend class PipeFile;
  friend Result<RefPtr<FileDescription>> OpenFifo(const VfsPath& path, const OpenOptions& options);
  // Written with O_DIRECT, or the bytes between such writes.
  struct Segment {
    size_t length = 0;
    bool packet = false;
  };
  size_t FreeLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return capacity_ - size_; }
  bool IsWritableLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return FreeLocked() >= kAtomicWrite; }
  Result<void> ReserveLocked(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> ResizeLocked(size_t allocated) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ConsumeLocked(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<size_t> CopyOutLocked(IoSequence& to, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<size_t> CopyInLocked(IoSequence& from, size_t bytes, bool packet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteWrittenLocked(size_t bytes, bool packet) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  WaitQueue wait_queue_;
  mutable Mutex mu_{LockRank::kPipe};
  std::unique_ptr<std::byte[]> buffer_ ABSL_GUARDED_BY(mu_);
  size_t allocated_ ABSL_GUARDED_BY(mu_) = 0;  // power of two, at most capacity_
  size_t start_ ABSL_GUARDED_BY(mu_) = 0;
  size_t size_ ABSL_GUARDED_BY(mu_) = 0;
  size_t capacity_ ABSL_GUARDED_BY(mu_) = kDefaultCapacity;
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mu_);  // empty: all of it is a stream
  int readers_ ABSL_GUARDED_BY(mu_) = 0;
  int writers_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t reader_opens_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t writer_opens_ ABSL_GUARDED_BY(mu_) = 0;
};

// One end, or with O_RDWR both ends, of a pipe.
class PipeFile final : public FileDescription {
 public:
  PipeFile(RefPtr<Pipe> pipe, VfsPath path, int flags);
  ~PipeFile() override;
  Pipe& pipe() { return *pipe_; }

  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &pipe_->wait_queue(); }
  bool may_be_direct() const override { return true; }
  Result<void> FinishOpen() override;

 private:
  friend Result<RefPtr<FileDescription>> OpenFifo(const VfsPath& path, const OpenOptions& options);
  const RefPtr<Pipe> pipe_;
  bool waits_for_peer_ = false;  // a FIFO that is being opened
  uint64_t peer_opens_ = 0;      // at the time of opening
};

struct PipeEnds {
  RefPtr<FileDescription> reader, writer;
};
// pipe2(2): O_NONBLOCK, O_DIRECT.
PipeEnds MakePipe(const Credentials& creds, int flags);

// Opens a FIFO or, through /proc/pid/fd, a pipe; register it with DeviceRegistry::SetFifoOpener.
// ENXIO: O_WRONLY | O_NONBLOCK without a reader.
Result<RefPtr<FileDescription>> OpenFifo(const VfsPath& path, const OpenOptions& options);

// For fcntl(F_SETPIPE_SZ) and splice(2); null if the file is no pipe.
Pipe* AsPipe(FileDescription& file);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PIPE_H_
