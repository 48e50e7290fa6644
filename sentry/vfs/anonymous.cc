#include "sentry/vfs/anonymous.h"

#include "sentry/time/clock.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/special_file.h"

namespace runsc {

namespace {

class AnonymousFs final : public Filesystem {
 public:
  std::string_view type_name() const override { return "anon_inodefs"; }
  Result<FilesystemStats> Stats() override {
    FilesystemStats stats;
    stats.type = 0x09041934;  // ANON_INODE_FS_MAGIC
    return stats;
  }
};

class AnonymousInode final : public Inode {
 public:
  AnonymousInode(Filesystem& filesystem, uint32_t mode, Uid uid, Gid gid, uint64_t ino)
      : Inode(filesystem, mode & S_IFMT) {
    attributes_.mode = mode;
    attributes_.uid = uid;
    attributes_.gid = gid;
    attributes_.ino = ino != 0 ? ino : filesystem.NextInodeNumber();
    attributes_.device = filesystem.device();
    attributes_.atime = attributes_.mtime = attributes_.ctime = RealtimeNow();
  }
  uint64_t ino() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return attributes_.ino; }  // never changes
  Result<InodeAttributes> Attributes() override {
    MutexLock lock(mu_);
    return attributes_;
  }
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override {
    if (change.size) return Errno(EINVAL);
    // Linux 6.16: anon_inode_setattr().
    if (file_type() == 0) return Errno(EOPNOTSUPP);
    MutexLock lock(mu_);
    if (change.mode) attributes_.mode = (attributes_.mode & S_IFMT) | (*change.mode & 07777);
    if (change.uid) attributes_.uid = *change.uid;
    if (change.gid) attributes_.gid = *change.gid;
    attributes_.ctime = RealtimeNow();
    if (change.atime) attributes_.atime = change.atime->now ? attributes_.ctime : change.atime->value;
    if (change.mtime) attributes_.mtime = change.mtime->now ? attributes_.ctime : change.mtime->value;
    return Ok();
  }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    return OpenSpecialFile(path, options);  // a pipe, through /proc/pid/fd
  }

 private:
  Mutex mu_{LockRank::kInodeAttributes};
  InodeAttributes attributes_ ABSL_GUARDED_BY(mu_);
};

struct AnonymousMount {
  RefPtr<Filesystem> filesystem = MakeRef<AnonymousFs>();
  RefPtr<Mount> mount;
  AnonymousMount() {
    auto root =
        MakeRef<Dentry>(*filesystem, MakeRef<AnonymousInode>(*filesystem, S_IFDIR | 0555, 0, 0, 0), "");
    mount = MakeRef<Mount>(filesystem, root, MS_NOSUID | MS_NOEXEC, "none");
  }
};

// Never destroyed: open files may outlive every destructor of statics.
AnonymousMount& TheMount() {
  static AnonymousMount* mount = new AnonymousMount;
  return *mount;
}

std::string WithNumber(std::string_view name, uint64_t number) {
  size_t at = name.find('%');
  if (at == std::string_view::npos) return std::string(name);
  return std::string(name.substr(0, at)) + std::to_string(number) + std::string(name.substr(at + 1));
}

}  // namespace

Filesystem& AnonymousFilesystem() { return *TheMount().filesystem; }

VfsPath AnonymousPath(std::string_view name, uint32_t mode, Uid uid, Gid gid, uint64_t ino) {
  Filesystem& filesystem = AnonymousFilesystem();
  auto inode = MakeRef<AnonymousInode>(filesystem, mode, uid, gid, ino);
  std::string text = WithNumber(name, inode->ino());
  return VfsPath{TheMount().mount, MakeRef<Dentry>(filesystem, std::move(inode), std::move(text))};
}

VfsPath AnonymousPath(std::string_view name, RefPtr<Inode> inode) {
  std::string text(name);
  if (text.find('%') != std::string::npos) {
    Result<InodeAttributes> attributes = inode->Attributes();
    text = WithNumber(name, attributes.ok() ? attributes->ino : 0);
  }
  Filesystem& filesystem = inode->filesystem();
  return VfsPath{TheMount().mount, MakeRef<Dentry>(filesystem, std::move(inode), std::move(text))};
}

}  // namespace runsc
