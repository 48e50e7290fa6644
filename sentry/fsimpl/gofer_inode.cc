#include "sentry/fsimpl/gofer_inode.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "sentry/fsimpl/gofer_file.h"
#include "sentry/vfs/special_file.h"

namespace runsc {
namespace {

timespec ToTimespec(const gofer::Timestamp& time) {
  return {time.seconds, static_cast<long>(time.nanoseconds)};
}
gofer::Timestamp ToTimestamp(const timespec& time) {
  return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)};
}

}  // namespace

GoferInode::GoferInode(GoferFilesystem& filesystem, Key key, const gofer::NodeReply& found,
                       std::string link_target)
    : Inode(filesystem, found.attributes.mode & S_IFMT),
      gofer_(filesystem),
      key_(key),
      node_(found.node),
      attributes_(found.attributes),
      link_target_(std::move(link_target)) {}

void GoferInode::OnLastRelease() {
  {
    MutexLock lock(data_mu_);
    if (idle_) gofer_.ReleaseIdleFile();
  }
  gofer_.Forget(*this);
  delete this;
}

InodeAttributes GoferInode::ToInodeAttributes(const gofer::Attributes& attributes) {
  InodeAttributes a;
  a.mode = attributes.mode;
  a.nlink = attributes.nlink;
  a.uid = attributes.uid;
  a.gid = attributes.gid;
  a.ino = gofer_.InodeNumber(attributes);
  a.device = gofer_.device();
  a.rdev = makedev(attributes.rdev_major, attributes.rdev_minor);
  a.size = attributes.size;
  a.blocks = attributes.blocks;
  a.block_size = attributes.block_size;
  a.atime = ToTimespec(attributes.atime);
  a.mtime = ToTimespec(attributes.mtime);
  a.ctime = ToTimespec(attributes.ctime);
  a.btime = ToTimespec(attributes.btime);
  a.has_btime = attributes.btime.seconds != 0;
  return a;
}

void GoferInode::StoreAttributes(const gofer::Attributes& attributes) {
  MutexLock lock(attributes_mu_);
  ++changes_;
  attributes_ = attributes;
  stale_ = false;
}

void GoferInode::MarkStale() {
  MutexLock lock(attributes_mu_);
  ++changes_;
  stale_ = true;
}

RefPtr<HostBackingFile> GoferInode::AnyData() {
  MutexLock lock(data_mu_);
  return read_write_ ? read_write_ : read_only_;
}

Result<InodeAttributes> GoferInode::Attributes() {
  uint64_t changes = 0;
  bool known = false;
  gofer::Attributes attributes;
  {
    MutexLock lock(attributes_mu_);
    attributes = attributes_;
    changes = changes_;
    known = !stale_ && gofer_.exclusive();
  }
  bool changed = data_changed_.load(std::memory_order_relaxed);
  if (known && !changed) return ToInodeAttributes(attributes);
  // The descriptor knows all but the time of birth, without a round trip.
  if (IsRegular()) {
    if (RefPtr<HostBackingFile> file = AnyData()) {
      ASSIGN_OR_RETURN(struct stat stat, file->Stat());
      InodeAttributes result = ToInodeAttributes(attributes);
      CopyHostAttributes(stat, &result);
      return result;
    }
  }
  ASSIGN_OR_RETURN(gofer::AttributesReply reply, gofer_.Call(gofer::GetAttr{.node = node_}));
  {
    MutexLock lock(attributes_mu_);
    if (changes == changes_) {
      attributes_ = reply.attributes;
      stale_ = false;
    }
  }
  return ToInodeAttributes(reply.attributes);
}

Result<void> GoferInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  gofer::SetAttr request{.node = node_};
  auto set_time = [&](const std::optional<TimeChange>& time, uint32_t set, uint32_t now,
                      gofer::Timestamp* to) {
    if (!time) return;
    request.valid |= time->now ? now : set;
    if (!time->now) *to = ToTimestamp(time->value);
  };
  if (change.mode) {
    request.valid |= gofer::kSetMode;
    request.mode = *change.mode & 07777;
  }
  if (change.uid) {
    request.valid |= gofer::kSetUid;
    request.uid = *change.uid;
  }
  if (change.gid) {
    request.valid |= gofer::kSetGid;
    request.gid = *change.gid;
  }
  if (change.size) {
    request.valid |= gofer::kSetSize;
    request.size = *change.size;
  }
  set_time(change.atime, gofer::kSetAtime, gofer::kSetAtimeNow, &request.atime);
  set_time(change.mtime, gofer::kSetMtime, gofer::kSetMtimeNow, &request.mtime);
  auto reply = gofer_.Call(request);
  if (!reply.ok()) {
    MarkStale();  // a part of it may have been done
    return reply.error();
  }
  StoreAttributes(reply->attributes);
  if (change.size) InvalidateBehind(*change.size);
  return Ok();
}

Result<std::string> GoferInode::ReadLink(const Credentials& creds) {
  if (!IsSymlink()) return Errno(EINVAL);
  {
    MutexLock lock(attributes_mu_);
    if (!link_target_.empty()) return link_target_;
  }
  ASSIGN_OR_RETURN(gofer::ReadLinkReply reply, gofer_.Call(gofer::ReadLink{.node = node_}));
  MutexLock lock(attributes_mu_);
  link_target_ = reply.target;
  return std::move(reply.target);
}

Result<RefPtr<FileDescription>> GoferInode::Open(const VfsPath& path, const OpenOptions& options) {
  if (IsDirectory()) return RefPtr<FileDescription>(MakeRef<GoferDirectoryFile>(path, options.flags));
  if (!IsRegular()) return OpenSpecialFile(path, options);
  bool writable = (options.flags & O_ACCMODE) != O_RDONLY;
  ASSIGN_OR_RETURN(RefPtr<HostBackingFile> file, OpenData(writable));
  return RefPtr<FileDescription>(MakeRef<GoferRegularFile>(path, options.flags, *this, std::move(file)));
}

Result<RefPtr<HostBackingFile>> GoferInode::OpenData(bool writable) {
  {
    MutexLock lock(data_mu_);
    RefPtr<HostBackingFile> file = read_write_ ? read_write_ : writable ? nullptr : read_only_;
    if (file) {
      ++open_files_;
      if (std::exchange(idle_, false)) gofer_.ReleaseIdleFile();
      return file;
    }
  }
  UniqueFd fd;
  ASSIGN_OR_RETURN(gofer::AttributesReply reply,
                   gofer_.Call(gofer::Open{node_, static_cast<uint32_t>(writable ? O_RDWR : O_RDONLY)}, &fd));
  if (!gofer_.exclusive()) StoreAttributes(reply.attributes);
  auto opened = MakeRef<HostBackingFile>(std::move(fd), writable);
  MutexLock lock(data_mu_);
  RefPtr<HostBackingFile>& slot = writable ? read_write_ : read_only_;
  if (!slot) slot = std::move(opened);
  ++open_files_;
  if (std::exchange(idle_, false)) gofer_.ReleaseIdleFile();
  return slot;
}

void GoferInode::CloseData() {
  RefPtr<HostBackingFile> dropped[2];  // released after the lock
  bool stale = false;
  {
    MutexLock lock(data_mu_);
    if (--open_files_ > 0) return;
    // A descriptor for writing keeps the host from executing the file, and one too
    // many keeps the Sentry from opening others.
    dropped[1] = std::move(read_write_);
    stale = data_changed_.exchange(false, std::memory_order_relaxed);
    if (read_only_) {
      idle_ = gofer_.ReserveIdleFile();
      if (!idle_) dropped[0] = std::move(read_only_);
    }
  }
  if (stale) MarkStale();
}

Result<Translation> GoferInode::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  RefPtr<HostBackingFile> file = AnyData();
  if (!file) return Errno(ENXIO);
  return file->Translate(offset, max_length, access);
}

void GoferInode::AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(data_mu_);
  mappings_.Add(owner, range, offset, writable);
}

void GoferInode::RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(data_mu_);
  mappings_.Remove(owner, range, offset, writable);
}

void GoferInode::InvalidateBehind(uint64_t size) {
  MappingSet::Targets targets;
  {
    MutexLock lock(data_mu_);
    std::optional<uint64_t> start = PageRoundUp(size);
    if (mappings_.empty() || !start) return;
    targets = mappings_.Find(*start, UINT64_MAX);
  }
  targets.Invalidate(/*also_private=*/true);
}

Result<void> GoferInode::PunchHole(uint64_t offset, uint64_t length) {
  RefPtr<HostBackingFile> file = AnyData();
  if (!file || !file->writable()) return Errno(EACCES);
  MarkDataChanged();
  return file->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

Result<void> GoferInode::Sync(uint64_t offset, uint64_t length) {
  RefPtr<HostBackingFile> file = AnyData();
  return file && file->writable() ? file->Sync(/*data_only=*/true) : Ok();
}

Result<std::string> GoferInode::GetXattr(std::string_view name) {
  ASSIGN_OR_RETURN(gofer::GetXattrReply reply, gofer_.Call(gofer::GetXattr{node_, std::string(name)}));
  return std::move(reply.value);
}

Result<void> GoferInode::SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) {
  RETURN_IF_ERROR(gofer_.Call(
      gofer::SetXattr{node_, std::string(name), std::string(value), static_cast<uint32_t>(flags)}));
  MarkStale();
  return Ok();
}

Result<std::vector<std::string>> GoferInode::ListXattrs() {
  auto reply = gofer_.Call(gofer::ListXattr{.node = node_});
  if (reply.is(EOPNOTSUPP)) return std::vector<std::string>();
  if (!reply.ok()) return reply.error();
  return std::move(reply->names);
}

Result<void> GoferInode::RemoveXattr(Dentry& dentry, std::string_view name) {
  RETURN_IF_ERROR(gofer_.Call(gofer::RemoveXattr{node_, std::string(name)}));
  MarkStale();
  return Ok();
}

}  // namespace runsc
