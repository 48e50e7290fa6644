#include "sentry/fsimpl/gofer_inode.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "sentry/fsimpl/gofer_file.h"
#include "sentry/vfs/operation.h"
#include "sentry/vfs/special_file.h"

namespace runsc {
namespace {

timespec ToTimespec(const gofer::Timestamp& time) {
  return {time.seconds, static_cast<long>(time.nanoseconds)};
}
gofer::Timestamp ToTimestamp(const timespec& time) {
  return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)};
}

// A descriptor that came with the lookup of the file which this thread is opening, beyond what may lie idle.
struct Offered {
  const GoferInode* inode = nullptr;  // only compared
  uint64_t operation = 0;
  RefPtr<HostBackingFile> file;
};
thread_local Offered offered;

RefPtr<HostBackingFile> TakeOffered(const GoferInode* inode) {
  if (!offered.file) return nullptr;
  Offered taken = std::move(offered);
  offered = {};
  return taken.inode == inode && taken.operation == current_operation ? std::move(taken.file) : nullptr;
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

GoferInode::GoferInode(GoferFilesystem& filesystem, Key key, RefPtr<GoferInode> parent, std::string name,
                       const gofer::Attributes& attributes)
    : Inode(filesystem, attributes.mode & S_IFMT),
      gofer_(filesystem),
      key_(key),
      origin_{parent->key(), name},
      node_(kNoNode),
      attributes_(attributes),
      place_{std::move(parent), std::move(name)} {}

void GoferInode::OnLastRelease() {
  DropListing();
  {
    MutexLock lock(data_mu_);
    if (idle_) gofer_.ReleaseIdleFile();
  }
  gofer_.Forget(*this);
  if (was_watched_.load(std::memory_order_relaxed)) gofer_.watches().Remove(*this);
  uint64_t node = node_.load(std::memory_order_relaxed);
  if (node != kNoNode) gofer_.client().CloseLater(static_cast<gofer::NodeId>(node));
  delete this;
}

GoferInode::Place GoferInode::PlaceWithoutNode() {
  if (node_.load(std::memory_order_acquire) != kNoNode) return {};
  MutexLock lock(attributes_mu_);
  return place_;
}

void GoferInode::TakeNode(const gofer::NodeReply& found, std::string link_target) {
  Place done;  // released after the lock
  {
    MutexLock lock(attributes_mu_);
    if (node_.load(std::memory_order_relaxed) == kNoNode) {
      node_.store(found.node, std::memory_order_release);
      attributes_ = found.attributes;
      if (!link_target.empty()) link_target_ = std::move(link_target);
      done = std::exchange(place_, {});
      return;
    }
  }
  gofer_.client().CloseLater(found.node);  // another thread was faster
}

Result<void> GoferInode::Find(Place place, UniqueFd* opened) {
  ASSIGN_OR_RETURN(gofer::NodeId parent, place.parent->Node());
  gofer::Walk walk{.parent = parent, .names = {std::move(place.name)}};
  walk.open = opened != nullptr ? 1 : 0;
  ASSIGN_OR_RETURN(gofer::WalkReply reply, gofer_.Call(walk, opened));
  if (reply.found.size() != 1) return Errno(reply.found.empty() && reply.stop == ENOENT ? ENOENT : EIO);
  // Another kind of file has taken its place: somebody does change these files.
  if ((reply.found[0].attributes.mode & S_IFMT) != file_type()) {
    gofer_.client().CloseLater(reply.found[0].node);
    return Errno(ESTALE);
  }
  TakeNode(reply.found[0], std::move(reply.link_target));
  return Ok();
}

Result<gofer::NodeId> GoferInode::Node() {
  if (Place place = PlaceWithoutNode(); place.parent) RETURN_IF_ERROR(Find(std::move(place), nullptr));
  return static_cast<gofer::NodeId>(node_.load(std::memory_order_acquire));
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

RefPtr<HostBackingFile> GoferInode::AnyData() {
  MutexLock lock(data_mu_);
  return read_write_ ? read_write_ : read_only_;
}

Result<InodeAttributes> GoferInode::Attributes() {
  std::optional<gofer::Attributes> known = KnownAttributes(asks_for_access_only);
  if (known) return ToInodeAttributes(*known);
  // The descriptor knows all but the time of birth and the owner (which the Sentry's user namespace hides),
  // without a round trip.
  if (IsRegular()) {
    if (RefPtr<HostBackingFile> file = AnyData()) {
      ASSIGN_OR_RETURN(struct stat stat, file->Stat());
      if (std::optional<gofer::Attributes> owned = KnownOwner(stat)) {
        InodeAttributes result = ToInodeAttributes(*owned);
        CopyHostAttributes(stat, &result);
        result.uid = owned->uid;
        result.gid = owned->gid;
        return result;
      }
    }
  }
  ASSIGN_OR_RETURN(gofer::Attributes attributes, AskAttributes());
  return ToInodeAttributes(attributes);
}

Result<void> GoferInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  gofer::SetAttr request{.node = node};
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
  uint64_t before = changes();
  auto reply = gofer_.Call(request);
  if (!reply.ok()) {
    MarkStale();  // a part of it may have been done
    return reply.error();
  }
  StoreAttributes(reply->attributes, before);
  if (change.size) InvalidateBehind(*change.size);
  return Ok();
}

Result<std::string> GoferInode::ReadLink(const Credentials& creds) {
  if (!IsSymlink()) return Errno(EINVAL);
  if (Place place = PlaceWithoutNode(); place.parent) RETURN_IF_ERROR(Find(std::move(place), nullptr));
  {
    MutexLock lock(attributes_mu_);
    if (!link_target_.empty()) return link_target_;
  }
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::ReadLinkReply reply, gofer_.Call(gofer::ReadLink{.node = node}));
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
  RefPtr<HostBackingFile> came = TakeOffered(this);
  {
    MutexLock lock(data_mu_);
    if (!read_only_ && came) read_only_ = std::move(came);
    RefPtr<HostBackingFile> file = read_write_ ? read_write_ : writable ? nullptr : read_only_;
    if (file) {
      ++open_files_;
      if (std::exchange(idle_, false)) gofer_.ReleaseIdleFile();
      ahead_of_use_ = false;
      return file;
    }
  }
  UniqueFd fd;
  if (!writable && !origin_.name.empty()) {
    if (RefPtr<GoferInode> directory = gofer_.FindInode(origin_.directory))
      RETURN_IF_ERROR(directory->OpenInTurn(*this, origin_.name, &fd));
  }
  if (!fd && !writable) {
    if (Place place = PlaceWithoutNode(); place.parent) RETURN_IF_ERROR(Find(std::move(place), &fd));
  }
  if (!fd) {
    ASSIGN_OR_RETURN(gofer::NodeId node, Node());
    uint32_t flags = writable ? O_RDWR : O_RDONLY;
    uint64_t before = changes();
    ASSIGN_OR_RETURN(gofer::AttributesReply reply, gofer_.Call(gofer::Open{node, flags}, &fd));
    if (!gofer_.exclusive()) StoreAttributes(reply.attributes, before);
  }
  auto opened = MakeRef<HostBackingFile>(std::move(fd), writable);
  MutexLock lock(data_mu_);
  RefPtr<HostBackingFile>& slot = writable ? read_write_ : read_only_;
  if (!slot) slot = std::move(opened);
  ++open_files_;
  if (std::exchange(idle_, false)) gofer_.ReleaseIdleFile();
  ahead_of_use_ = false;
  return slot;
}

void GoferInode::OfferData(UniqueFd fd) {
  auto opened = MakeRef<HostBackingFile>(std::move(fd), /*writable=*/false);  // released after the lock
  MutexLock lock(data_mu_);
  if (read_only_ || open_files_ > 0 || idle_) return;
  idle_ = gofer_.ReserveIdleFile();
  if (idle_) {
    read_only_ = std::move(opened);
  } else if (opens_for_reading) {
    offered = {this, current_operation, std::move(opened)};
  }
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
  if (stale) MarkDataStale();
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
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::GetXattrReply reply, gofer_.Call(gofer::GetXattr{node, std::string(name)}));
  return std::move(reply.value);
}

Result<void> GoferInode::SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  RETURN_IF_ERROR(gofer_.Call(
      gofer::SetXattr{node, std::string(name), std::string(value), static_cast<uint32_t>(flags)}));
  MarkStale();
  return Ok();
}

Result<std::vector<std::string>> GoferInode::ListXattrs() {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  auto reply = gofer_.Call(gofer::ListXattr{.node = node});
  if (reply.is(EOPNOTSUPP)) return std::vector<std::string>();
  if (!reply.ok()) return reply.error();
  return std::move(reply->names);
}

Result<void> GoferInode::RemoveXattr(Dentry& dentry, std::string_view name) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  RETURN_IF_ERROR(gofer_.Call(gofer::RemoveXattr{node, std::string(name)}));
  MarkStale();
  return Ok();
}

}  // namespace runsc
