// Filesystem: one instance of a filesystem type (a superblock). Mounts and
// dentries refer to it; it goes when the last of them does. Linux counterpart:
// struct super_block.
#ifndef SENTRY_VFS_FILESYSTEM_H_
#define SENTRY_VFS_FILESYSTEM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/user_namespace.h"
#include "sentry/vfs/dentry.h"

namespace runsc {

// statfs(2).
struct FilesystemStats {
  uint64_t type = 0;  // f_type magic
  uint64_t block_size = kPageSize;
  uint64_t blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0;
  uint64_t name_max = 255;
};

class Filesystem : public RefCounted {
 public:
  Filesystem();
  ~Filesystem() override;

  virtual std::string_view type_name() const = 0;  // "tmpfs", as in /proc/mounts
  virtual Result<FilesystemStats> Stats() = 0;
  // Flushes everything (sync(2)).
  virtual Result<void> Sync() { return Ok(); }
  // Whether its files can belong to them (Linux: fsuidgid_has_mapping()).
  virtual bool HasOwners(uint32_t uid, uint32_t gid) const { return true; }
  // Options for /proc/mounts, without ro/rw ("size=1024k,mode=755").
  virtual std::string MountOptions() const { return {}; }
  // Whether a parent dentry keeps its positive children alive.
  virtual bool pins_dentries() const { return false; }
  // Whether misses may be cached as negative dentries.
  virtual bool caches_negative() const { return true; }
  // A cached child that is about to be used: false if it is stale (shared Gofer
  // mounts, /proc/<pid>). Called without the directory lock.
  virtual bool needs_revalidation() const { return false; }
  virtual bool Revalidate(Dentry& dir, Dentry& child) { return true; }

  // Whether no mount of it can be written to (Linux: SB_RDONLY); mounts may be read-only by themselves.
  bool is_read_only() const { return is_read_only_.load(std::memory_order_relaxed); }
  void set_read_only(bool read_only) { is_read_only_.store(read_only, std::memory_order_relaxed); }
  // Whose filesystem it is: what capabilities change it as a whole, which ids its files can have, and whether
  // devices and set-user-ID programs in it count (Linux: s_user_ns). Set before anybody else knows it.
  UserNamespace& user_ns() const { return *user_ns_; }
  virtual bool allows_devices() const { return user_ns_->IsInitial(); }
  void set_user_ns(RefPtr<UserNamespace> user_ns) { user_ns_ = std::move(user_ns); }
  // mount(MS_REMOUNT), fsconfig(FSCONFIG_CMD_RECONFIGURE): other options, which its type has found in order.
  virtual Result<void> Reconfigure(std::string_view options) { return Ok(); }

  uint64_t device() const { return device_; }  // st_dev: major 0 and an own minor
  uint64_t NextInodeNumber() { return next_inode_.fetch_add(1, std::memory_order_relaxed); }
  Mutex& rename_lock() ABSL_LOCK_RETURNED(rename_mu_) { return rename_mu_; }

  // Drops unused cached dentries (unmount, memory pressure), also those of filesystems that stand on this
  // one.
  void ShrinkDentryCache();
  // `upper` shows files of this filesystem, and so keeps them; until RemoveUpper, before it is destroyed.
  void AddUpper(Filesystem& upper);
  void RemoveUpper(Filesystem& upper);

 protected:
  // Drops cached and pinned dentries while the derived class is still whole.
  void OnLastRelease() override;

 private:
  friend class Dentry;
  void HoldPinnedRoot(Dentry& root);
  const uint64_t device_;
  RefPtr<UserNamespace> user_ns_{&UserNamespace::Initial()};
  std::atomic<uint64_t> next_inode_{2};
  std::atomic<bool> is_read_only_{false};
  Mutex rename_mu_{LockRank::kRename};
  Mutex roots_mu_{LockRank::kLeaf};
  std::vector<RefPtr<Dentry>> pinned_roots_ ABSL_GUARDED_BY(roots_mu_);
  std::vector<Filesystem*> uppers_ ABSL_GUARDED_BY(roots_mu_);
  std::unique_ptr<class DentryCache> cache_;
};

// "tmpfs", "proc", … as mount(2) names them; registered at boot.
struct FilesystemSource {
  std::string source;   // mount(2)'s first argument
  std::string options;  // its `data`
  RefPtr<const Credentials> creds;
};
struct NewFilesystem {
  RefPtr<Filesystem> filesystem;
  RefPtr<Dentry> root;
  bool is_new = true;  // else one that is mounted elsewhere too, whose state is not to be set
};
class FilesystemType {
 public:
  virtual ~FilesystemType() = default;
  virtual std::string_view name() const = 0;
  virtual bool needs_device() const { return false; }  // else "nodev" in /proc/filesystems
  virtual Result<NewFilesystem> Make(const FilesystemSource& source) = 0;
  // Whether root of a user namespace may mount it (Linux: FS_USERNS_MOUNT), and over which namespace
  // CAP_SYS_ADMIN is needed then, whose filesystem it becomes. Null: that of whoever mounts.
  virtual bool may_be_mounted_by_all() const { return false; }
  virtual RefPtr<UserNamespace> Owner() const { return nullptr; }
  // A further mount of it might show what others in the mount namespace hide (Linux: SB_I_USERNS_VISIBLE).
  virtual bool may_reveal() const { return false; }
  // Whether the caller may do that, on behalf of whoever described the filesystem. EPERM. Linux:
  // mount_capable().
  Result<void> CheckMayMake(const Credentials& caller, const FilesystemSource& source) const;
  // Make(), and whose it is. CheckMayMake has been asked.
  Result<NewFilesystem> MakeFor(const FilesystemSource& source);
  // The names of its options, and whether text like "size=1m,mode=755" is in order (EINVAL); what fsconfig(2)
  // asks, option by option.
  virtual std::vector<std::string_view> option_names() const { return {}; }
  virtual Result<void> CheckOptions(std::string_view options) const { return Ok(); }
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILESYSTEM_H_
