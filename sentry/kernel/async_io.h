// AsyncIo: signal-driven I/O of one open file: who is told (F_SETOWN), by which signal (F_SETSIG) and of
// what: its readiness (O_ASYNC) or changes in a directory (F_NOTIFY).
//
// Made at the first of these calls and kept until the file is released. Ready files notify it under their
// locks; it sends the signal from where the notifying thread holds none (Deferred).
// Threading: any thread.
// Linux counterpart: struct fown_struct, struct fasync_struct and dnotify; fcntl(2).
#ifndef SENTRY_KERNEL_ASYNC_IO_H_
#define SENTRY_KERNEL_ASYNC_IO_H_

#include <signal.h>

#include <atomic>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "sentry/auth/credentials.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/inotify.h"
#include "sentry/wait/deferred.h"

namespace runsc {

class ProcessGroup;
class Task;
class ThreadGroup;

class AsyncIo final : public Deferred {
 public:
  // Null: the file never had any of it.
  static RefPtr<AsyncIo> Find(const FileDescription& file);
  static RefPtr<AsyncIo> FindOrMake(FileDescription& file);

  // At most one is set.
  struct Owner {
    RefPtr<Task> thread;
    RefPtr<ThreadGroup> process;
    RefPtr<ProcessGroup> group;
  };
  // `by` is who says so: signals are sent with its rights.
  void SetOwner(Owner owner, const Credentials& by);
  void SetOwnerIfNone(Owner owner, const Credentials& by);
  Owner owner() const;
  // 0: SIGIO, without a word on what has happened.
  void SetSignal(int signal);
  int signal() const;

  // O_ASYNC: tells of `events` of the file, as descriptor `fd`.
  void Start(FileDescription& file, int fd, EventMask events);
  void Stop(FileDescription& file);
  // F_NOTIFY: adds to what is watched in the directory, inotify(7)'s bits, on the account of `user`. ENOSPC,
  // EMFILE.
  Result<void> Watch(FileDescription& directory, int fd, uint32_t mask, bool once, Uid user);
  void Unwatch();
  // F_SETLEASE: a lease of the file, placed through descriptor `fd`, has to go.
  void SendLeaseBreak(int fd);
  // Urgent data has come: SIGURG, whatever signal was chosen.
  void SendUrgent();
  // The lease is gone, and with it owner and signal (Linux: lease_modify()).
  void ForgetOwner();

  void Run(EventMask events) override;

 private:
  class ReleaseListener;

  // A registration with a queue, which tells this object.
  class ReadyWaiter final : public Waiter {
   public:
    explicit ReadyWaiter(AsyncIo& io) : io_(io) {}
    void Listen(WaitQueue& queue, EventMask events) {
      events_.store(events, std::memory_order_relaxed);
      queue.Add(*this, events);
    }
    bool Notify(EventMask events) override;

   private:
    AsyncIo& io_;
    std::atomic<EventMask> events_{0};
  };
  struct Target {
    Owner owner;
    Uid ruid = 0, euid = 0;  // of who set it
    int signal = 0;
    int fd = -1;
  };

  explicit AsyncIo(bool is_socket) : is_socket_(is_socket) {}
  ~AsyncIo() override;
  void Detach(FileDescription& file);
  void SendTo(const Target& target, int code, int64_t band) const;
  static void SendSignalTo(const Target& target, const siginfo_t& info, bool or_sigio);

  const bool is_socket_;
  // A file's lock in the tree: under it waiters are registered.
  mutable Mutex mu_{LockRank::kFileLocks};
  Target target_ ABSL_GUARDED_BY(mu_);
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  bool watches_once_ ABSL_GUARDED_BY(mu_) = false;
  RefPtr<InotifyFile> watch_ ABSL_GUARDED_BY(mu_);
  ReadyWaiter ready_{*this};
  ReadyWaiter changed_{*this};
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_ASYNC_IO_H_
