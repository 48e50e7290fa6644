// SeccompFile: the supervisor's descriptor of a seccomp filter: what it reads and answers by ioctl(2).
// Threading: any task thread. Linux counterpart: seccomp_notify_ops; seccomp_unotify(2).
#ifndef SENTRY_FSIMPL_SECCOMP_FILE_H_
#define SENTRY_FSIMPL_SECCOMP_FILE_H_

#include "sentry/kernel/seccomp_listener.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class SeccompFile final : public FileDescription {
 public:
  explicit SeccompFile(RefPtr<SeccompListener> listener);
  ~SeccompFile() override;

  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;
  EventMask Readiness(EventMask mask) override { return listener_->Readiness(mask); }
  WaitQueue* wait_queue() override { return &listener_->queue(); }

 private:
  Result<int64_t> Receive(UserMemory& memory, UserAddr to);
  Result<int64_t> Send(UserMemory& memory, UserPtr<const seccomp_notif_resp> from);
  Result<int64_t> IsValid(UserMemory& memory, UserPtr<const uint64_t> id);
  Result<int64_t> AddDescriptor(UserMemory& memory, UserAddr from, size_t size);

  const RefPtr<SeccompListener> listener_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_SECCOMP_FILE_H_
