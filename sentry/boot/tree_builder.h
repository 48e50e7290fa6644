// TreeBuilder: mounts filesystems into the tree of a sandbox before its first task runs. Every path is walked
// as the guest would walk it, with the sandbox's root as "/": a symlink leads nowhere else.
#ifndef SENTRY_BOOT_TREE_BUILDER_H_
#define SENTRY_BOOT_TREE_BUILDER_H_

#include <string>
#include <string_view>

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/path_walk.h"

namespace runsc {

class TreeBuilder {
 public:
  // `pid_namespace` is what /proc shows; null: the first one.
  TreeBuilder(Kernel& kernel, RefPtr<MountNamespace> mounts, RefPtr<PidNamespace> pid_namespace = nullptr)
      : kernel_(kernel), mounts_(std::move(mounts)), pid_namespace_(std::move(pid_namespace)) {}

  // Mounts a registered filesystem type; missing directories are made.
  Result<void> MountType(std::string_view type_name, std::string_view where, uint64_t flags,
                         std::string_view data = {}, std::string source = {});
  Result<void> Attach(NewFilesystem made, std::string_view where, uint64_t flags, std::string source);
  // The place to mount on, made if it is not there: a directory, or a file for a file.
  Result<VfsPath> MountPoint(std::string_view where, bool directory);

  Kernel& kernel() const { return kernel_; }
  MountNamespace& mounts() const { return *mounts_; }
  // Root's, with no umask.
  PathContext Context() const;

 private:
  Kernel& kernel_;
  const RefPtr<MountNamespace> mounts_;
  const RefPtr<PidNamespace> pid_namespace_;
};

}  // namespace runsc

#endif  // SENTRY_BOOT_TREE_BUILDER_H_
