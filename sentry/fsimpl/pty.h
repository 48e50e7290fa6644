// Pty: a pseudo-terminal: a line discipline between a master file (the emulator's) and any number
// of replica files (the programs'). Its job-control half is Terminal.
//
// Owned by its files, by the devpts instance while the master is open, and by the session that it controls.
// Threading: any thread. `mu_` (kPipe) guards the discipline; it is not held while signals are sent, but
// epoll may ask for readiness with its own lock held. Linux counterpart: drivers/tty/pty.c, tty_io.c; pty(7),
// ioctl_tty(2).
#ifndef SENTRY_FSIMPL_PTY_H_
#define SENTRY_FSIMPL_PTY_H_

#include <sys/ioctl.h>

#include <functional>

#include "sentry/fsimpl/tty_line_discipline.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/terminal.h"
#include "sentry/time/timer_queue.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class Pty final : public Terminal {
 public:
  // `on_master_close` is called once, without locks.
  Pty(TimerQueue& timers, int index, std::function<void()> on_master_close);
  int index() const { return index_; }
  TimerQueue& timers() { return timers_; }
  // How to reach the replica's node (TIOCGPTPEER, /dev/tty).
  void SetReplicaPath(VfsPath path);

  uint64_t device() const override;
  Result<RefPtr<FileDescription>> OpenFile(int flags) override;

  RefPtr<FileDescription> MakeMaster(const VfsPath& path, int flags);
  // EIO: locked (TIOCSPTLCK), or the master has gone; EBUSY: exclusive.
  Result<RefPtr<FileDescription>> MakeReplica(const VfsPath& path, int flags);

 private:
  friend class PtyMaster;
  friend class PtyReplica;
  enum class Side { kMaster, kReplica };

  Result<size_t> MasterRead(IoSequence& to);
  Result<size_t> MasterWrite(IoSequence& from);
  Result<size_t> ReplicaRead(IoSequence& to, size_t minimum, bool* was_empty);
  Result<size_t> ReplicaWrite(IoSequence& from);
  EventMask MasterReadiness();
  EventMask ReplicaReadiness();
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument, Side side);
  Result<int64_t> JobControlIoctl(UserMemory& memory, uint32_t request, uint64_t argument, Side side);
  Result<int64_t> MasterIoctl(UserMemory& memory, uint32_t request, uint64_t argument, int flags);
  Result<int64_t> TermiosIoctl(UserMemory& memory, uint32_t request, uint64_t argument);
  Result<int64_t> SetTermiosIoctl(UserMemory& memory, uint32_t request, uint64_t argument);
  void SetTermios(KernelTermios termios, bool flush_input);
  KernelTermios termios();
  Result<int64_t> SetWindowSize(const winsize& size);
  void CloseMaster();
  void CloseReplica();
  // Tells both sides after the discipline has changed; sends `signals`.
  void Settle(const std::vector<int>& signals = {});
  uint8_t minimum();    // VMIN
  uint8_t wait_time();  // VTIME, tenths of a second
  bool is_canonical();
  bool stops_output();  // TOSTOP

  TimerQueue& timers_;
  const int index_;
  WaitQueue master_queue_, replica_queue_;

  Mutex mu_{LockRank::kPipe};
  LineDiscipline discipline_ ABSL_GUARDED_BY(mu_);
  winsize window_ ABSL_GUARDED_BY(mu_){};
  std::function<void()> on_master_close_ ABSL_GUARDED_BY(mu_);  // empty once it was called
  VfsPath replica_path_ ABSL_GUARDED_BY(mu_);
  bool locked_ ABSL_GUARDED_BY(mu_) = true;
  bool exclusive_ ABSL_GUARDED_BY(mu_) = false;
  KernelTermios locked_termios_ ABSL_GUARDED_BY(mu_){};  // what is not zero cannot be changed
  bool master_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool replica_opened_ ABSL_GUARDED_BY(mu_) = false;  // ever
  int replicas_ ABSL_GUARDED_BY(mu_) = 0;
  bool packet_mode_ ABSL_GUARDED_BY(mu_) = false;
  uint8_t packet_status_ ABSL_GUARDED_BY(mu_) = 0;
};

// Opening a terminal without O_NOCTTY: it becomes the controlling one of a session leader that has none.
void MaybeBecomeControlling(Terminal& terminal, int flags);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PTY_H_
