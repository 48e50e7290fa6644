#include "sentry/fsimpl/pidfd.h"

#include "sentry/vfs/anonymous.h"

namespace runsc {

PidfdFile::PidfdFile(RefPtr<ThreadGroup> process, int flags)
    : FileDescription(AnonymousPath("anon_inode:[pidfd]"), O_RDWR | flags), process_(std::move(process)) {}

PidfdFile::~PidfdFile() = default;

EventMask PidfdFile::Readiness(EventMask mask) {
  return process_->IsZombie() ? mask & (EPOLLIN | EPOLLRDNORM) : 0;
}

RefPtr<FileDescription> MakePidfd(RefPtr<ThreadGroup> process, int flags) {
  return MakeRef<PidfdFile>(std::move(process), flags);
}

Result<RefPtr<ThreadGroup>> ProcessOfPidfd(FileDescription& file) {
  auto* pidfd = dynamic_cast<PidfdFile*>(&file);
  if (pidfd == nullptr) return Errno(EBADF);
  return pidfd->process();
}

}  // namespace runsc
