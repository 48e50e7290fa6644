// OverlayInode: a file of an OverlayFilesystem: its lower inode, its upper one, or both (a
// copied-up file, or a directory in which both trees show).
//
// Locks, outer first: the directory lock of the vfs; `copy_up_mu_` of one inode; the
// directory lock of one upper directory (two by address, in a rename), which nobody
// but this filesystem takes. Threading: any thread. Linux counterpart: struct ovl_inode.
#ifndef SENTRY_FSIMPL_OVERLAY_INODE_H_
#define SENTRY_FSIMPL_OVERLAY_INODE_H_

#include <atomic>
#include <string>
#include <vector>

#include "sentry/fsimpl/overlay_filesystem.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class OverlayInode final : public Inode {
 public:
  OverlayInode(OverlayFilesystem& filesystem, uint64_t number, RefPtr<Inode> upper, RefPtr<Inode> lower);

  uint64_t number() const { return number_; }
  OverlayFilesystem& overlay() const { return overlay_; }
  // Null before the copy-up; then it stays.
  Inode* upper() const { return upper_.load(std::memory_order_acquire); }
  // Null if it was made here. For a directory: null, too, if it hides the lower one.
  Inode* lower() const { return lower_.get(); }
  Inode& top() const { return upper() != nullptr ? *upper() : *lower_; }

  Result<InodeAttributes> Attributes() override;
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override;

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override;
  Result<std::vector<LookupEntry>> LookupMany(Dentry& dir, std::span<const std::string_view> names) override;
  Result<RefPtr<Inode>> Create(Dentry& dir, std::string_view name,
                               const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Mkdir(Dentry& dir, std::string_view name,
                              const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Mknod(Dentry& dir, std::string_view name,
                              const CreateAttributes& attributes) override;
  Result<void> Link(Dentry& dir, std::string_view name, Dentry& target) override;
  Result<void> Unlink(Dentry& dir, Dentry& child) override;
  Result<void> Rmdir(Dentry& dir, Dentry& child) override;
  // EXDEV for a directory that is also in the lower tree, as Linux answers by default.
  Result<void> Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                      Dentry* replaced, uint32_t flags) override;
  Result<RefPtr<Inode>> CreateUnnamed(Dentry& dir, const CreateAttributes& attributes) override;

  Result<std::string> ReadLink(const Credentials& creds) override { return top().ReadLink(creds); }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

  Result<std::string> GetXattr(std::string_view name) override { return top().GetXattr(name); }
  Result<void> SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) override;
  Result<std::vector<std::string>> ListXattrs() override { return top().ListXattrs(); }
  Result<void> RemoveXattr(Dentry& dentry, std::string_view name) override;
  // Only the upper layer has any.
  Result<PosixAcl::Ref> GetAcl(AclType type) override {
    Inode* inode = upper();
    return inode != nullptr ? inode->GetAcl(type) : PosixAcl::Ref();
  }
  Result<void> SetAcl(Dentry& dentry, AclType type, PosixAcl::Ref acl, std::optional<uint32_t> mode) override;

  // Makes sure that the file at `dentry`, an OverlayInode, is in the upper layer, and the
  // directories above it. ENOSPC; what its lower file says.
  static Result<void> CopyUp(Dentry& dentry);

  // The names that show here, of both layers, without "." and "..".
  struct Entry {
    std::string name;
    uint64_t number = 0;
    uint8_t type = 0;  // DT_*
  };
  Result<std::vector<Entry>> List();

  // An open file of one layer's inode.
  static Result<RefPtr<FileDescription>> OpenLayer(Inode& inode, int flags);

 protected:
  void OnLastRelease() override;

 private:
  using UpperOperation = absl::FunctionRef<Result<RefPtr<Inode>>(Inode& upper, Dentry& upper_dentry)>;
  // Makes a new entry in the upper directory in place of a whiteout that may be there.
  Result<RefPtr<Inode>> MakeEntry(Dentry& dir, std::string_view name, UpperOperation make);
  // Removes the name: from the upper directory, and hides a lower one.
  Result<void> RemoveEntry(Dentry& dir, Dentry& child, bool is_directory);
  // Whether the lower directory has the name.
  Result<bool> LowerHas(Dentry& dir, std::string_view name);
  Result<void> CheckEmpty();
  // Takes the whiteouts out of this directory before it goes.
  Result<void> ClearWhiteouts();

  Result<void> CopyUpInto(OverlayInode& parent, Dentry& dentry);
  Result<RefPtr<Inode>> MakeCopy(Inode& upper_dir, Dentry& upper_dir_dentry, const std::string& name,
                                 const InodeAttributes& attributes, bool unnamed);
  Result<void> FillCopy(Inode& copy, const InodeAttributes& attributes);
  // Called with copy_up_mu_ held.
  void SetUpper(RefPtr<Inode> upper) { upper_.store(upper.release(), std::memory_order_release); }

  OverlayFilesystem& overlay_;
  const uint64_t number_;
  std::atomic<Inode*> upper_;  // a reference is held; set once
  const RefPtr<Inode> lower_;
  std::atomic<uint32_t> hidden_links_{0};  // names of the lower file that were removed here
  Mutex copy_up_mu_{LockRank::kCopyUp};
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_OVERLAY_INODE_H_
