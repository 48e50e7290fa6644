// A pidfd: a descriptor that stands for a process (pidfd_open(2), CLONE_PIDFD). It becomes
// readable when the process has ended.
// Threading: any thread. Linux counterpart: pidfd_fops.
#ifndef SENTRY_FSIMPL_PIDFD_H_
#define SENTRY_FSIMPL_PIDFD_H_

#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class PidfdFile final : public FileDescription {
 public:
  // `flags`: O_NONBLOCK or 0.
  PidfdFile(RefPtr<ThreadGroup> process, int flags);
  ~PidfdFile() override;
  const RefPtr<ThreadGroup>& process() const { return process_; }
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &process_->exit_queue(); }

 private:
  const RefPtr<ThreadGroup> process_;
};

RefPtr<FileDescription> MakePidfd(RefPtr<ThreadGroup> process, int flags);
// EBADF if it is another kind of file.
Result<RefPtr<ThreadGroup>> ProcessOfPidfd(FileDescription& file);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PIDFD_H_
