// FsContext: root, working directory, umask and mount namespace, of one or several
// tasks (CLONE_FS). Threading: any thread. Linux counterpart: struct fs_struct.
#ifndef SENTRY_KERNEL_FS_CONTEXT_H_
#define SENTRY_KERNEL_FS_CONTEXT_H_

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/vfs/mount.h"

namespace runsc {

class FsContext final : public RefCounted {
 public:
  FsContext(RefPtr<MountNamespace> mounts, VfsPath root, VfsPath cwd, uint32_t umask)
      : mounts_(std::move(mounts)), root_(std::move(root)), cwd_(std::move(cwd)), umask_(umask) {}

  struct View {
    RefPtr<MountNamespace> mounts;
    VfsPath root, cwd;
    uint32_t umask = 0;
  };
  View Get() const {
    MutexLock lock(mu_);
    return View{mounts_, root_, cwd_, umask_};
  }
  void SetRoot(VfsPath root) {
    MutexLock lock(mu_);
    std::swap(root_, root);
  }
  void SetCwd(VfsPath cwd) {
    MutexLock lock(mu_);
    std::swap(cwd_, cwd);
  }
  void SetMounts(RefPtr<MountNamespace> mounts) {
    MutexLock lock(mu_);
    std::swap(mounts_, mounts);
  }
  uint32_t ExchangeUmask(uint32_t umask) {
    MutexLock lock(mu_);
    return std::exchange(umask_, umask);
  }
  RefPtr<FsContext> Fork() const {
    View view = Get();
    return MakeRef<FsContext>(view.mounts, view.root, view.cwd, view.umask);
  }

 private:
  mutable Mutex mu_{LockRank::kFsContext};
  RefPtr<MountNamespace> mounts_ ABSL_GUARDED_BY(mu_);
  VfsPath root_ ABSL_GUARDED_BY(mu_);
  VfsPath cwd_ ABSL_GUARDED_BY(mu_);
  uint32_t umask_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_FS_CONTEXT_H_
