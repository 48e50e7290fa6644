// OverlayFilesystem: a tree that starts as a copy of a lower one, which it never
// changes; what is written goes to an upper one, a tmpfs of its own. A file is copied
// up when it is first opened for writing or its attributes change; a removed name of
// the lower tree is hidden by a whiteout (a character device 0:0, as Linux has it) in the
// upper one.
//
// The layers' inodes are used without their dentry trees: only this filesystem reaches
// them. What it has to remember beside them (which upper directories hide what is below
// them, inode numbers that stay through a copy-up) is kept here.
// Threading: any thread. Linux counterpart: fs/overlayfs.
#ifndef SENTRY_FSIMPL_OVERLAY_FILESYSTEM_H_
#define SENTRY_FSIMPL_OVERLAY_FILESYSTEM_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

class OverlayInode;

class OverlayFilesystem final : public Filesystem {
 public:
  // Both roots are directories; `upper` is empty and nobody else's.
  static Result<NewFilesystem> Make(NewFilesystem lower, NewFilesystem upper);

  std::string_view type_name() const override { return "overlay"; }
  Result<FilesystemStats> Stats() override;
  std::string MountOptions() const override { return "lowerdir=/,upperdir=/,workdir=/"; }

  Filesystem& lower() const { return *lower_; }
  Filesystem& upper() const { return *upper_; }

  // The inode for what a name leads to in each layer (at least one is there).
  Result<RefPtr<OverlayInode>> InodeFor(RefPtr<Inode> upper, RefPtr<Inode> lower);
  void Forget(OverlayInode& inode);

  // The guest's inode number of an upper one.
  uint64_t NumberOfUpper(uint64_t upper_ino);
  // An upper file now stands for the lower one of this number. With `linked` other names
  // of that lower file lead to it as well.
  void RecordCopy(uint64_t upper_ino, uint64_t number, RefPtr<Inode> upper, bool linked);
  // An upper directory below which the lower tree does not show.
  void MarkOpaque(uint64_t upper_ino);
  bool IsOpaque(uint64_t upper_ino);

 private:
  OverlayFilesystem(RefPtr<Filesystem> lower, RefPtr<Filesystem> upper)
      : lower_(std::move(lower)), upper_(std::move(upper)) {
    lower_->AddUpper(*this);
  }
  ~OverlayFilesystem() override { lower_->RemoveUpper(*this); }

  const RefPtr<Filesystem> lower_, upper_;
  Mutex mu_{LockRank::kLeaf};
  absl::flat_hash_map<uint64_t, OverlayInode*> inodes_ ABSL_GUARDED_BY(mu_);  // by number; no references
  absl::flat_hash_map<uint64_t, uint64_t> origins_ ABSL_GUARDED_BY(mu_);      // upper to guest's number
  absl::flat_hash_map<uint64_t, RefPtr<Inode>> linked_copies_ ABSL_GUARDED_BY(mu_);  // by number
  absl::flat_hash_set<uint64_t> opaque_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_OVERLAY_FILESYSTEM_H_
