#include "sentry/fsimpl/gofer_filesystem.h"

#include <sys/sysmacros.h>

#include <algorithm>

#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/operation.h"

namespace runsc {
namespace {
constexpr int kMaxIdleFiles = 256;
constexpr int kMaxFilesAhead = 256;  // beyond those
constexpr size_t kMaxListedEntries = 64 * 1024;
constexpr size_t kMaxAhead = 4096;
}  // namespace

Result<NewFilesystem> GoferFilesystem::Make(RefPtr<GoferConnection> connection,
                                            const GoferMountOptions& options) {
  auto filesystem = RefPtr<GoferFilesystem>::Adopt(new GoferFilesystem(std::move(connection), options));
  ASSIGN_OR_RETURN(gofer::AttachReply root, filesystem->Call(gofer::Attach{.root = options.root}));
  filesystem->root_node_ = root.node;
  filesystem->owners_ = std::move(root.owners);
  NewFilesystem made;
  made.root = MakeRef<Dentry>(*filesystem, filesystem->InodeFor({root.node, root.attributes}), "");
  made.filesystem = std::move(filesystem);
  return made;
}

Result<FilesystemStats> GoferFilesystem::Stats() {
  ASSIGN_OR_RETURN(gofer::StatFsReply reply, Call(gofer::StatFs{.node = root_node_}));
  FilesystemStats stats;
  stats.type = reply.type;
  stats.block_size = reply.block_size;
  stats.blocks = reply.blocks;
  stats.blocks_free = reply.blocks_free;
  stats.blocks_available = reply.blocks_available;
  stats.files = reply.files;
  stats.files_free = reply.files_free;
  stats.name_max = reply.name_length;
  return stats;
}

std::string GoferFilesystem::MountOptions() const {
  return options_.exclusive ? "cache=loose" : "cache=none";
}

bool GoferFilesystem::Revalidate(Dentry& dir, Dentry& child) {
  RefPtr<Inode> parent = dir.inode();
  RefPtr<Inode> inode = child.inode();
  if (!parent) return false;
  auto& directory = static_cast<GoferInode&>(*parent);
  auto* cached = static_cast<GoferInode*>(inode.get());
  if (cached == nullptr && creates_new_in == parent.get()) return true;
  std::string name = child.name();
  if (cached != nullptr && directory.WasFound(*cached, name)) return true;
  GoferInode::KnownName known = directory.NameForLookup(name);
  if (known.entry) {
    if (!known.entry->there || cached == nullptr) return known.entry->there == (cached != nullptr);
    return known.entry->file == cached->key();
  }
  auto node = directory.Node();
  if (!node.ok()) return false;
  uint64_t changes = cached != nullptr ? cached->changes() : 0;
  auto reply = Call(gofer::StatAt{*node, name});
  if (cached == nullptr) {
    if (!reply.is(ENOENT)) return false;
    directory.RememberName(name, {}, known.version);
    return true;
  }
  if (!reply.ok()) return false;
  Key key = KeyOf(reply->attributes);
  if (key != cached->key() || (reply->attributes.mode & S_IFMT) != cached->file_type()) return false;
  directory.RememberName(name, {.there = true, .file = key}, known.version);
  cached->StoreAttributes(reply->attributes, changes);
  directory.MarkFound(*cached, name);
  return true;
}

bool GoferFilesystem::MayWatch() {
  if (watch_from_ > 0 && MonotonicNow() < watch_from_) return false;
  int pause = watch_pause_.load(std::memory_order_relaxed);
  if (pause > 0) watch_pause_.compare_exchange_weak(pause, pause - 1, std::memory_order_relaxed);
  return pause <= 0;
}

GoferFilesystem::Key GoferFilesystem::KeyOf(const gofer::Attributes& attributes) {
  return {uint64_t{attributes.dev_major} << 32 | attributes.dev_minor, attributes.ino};
}

RefPtr<GoferInode> GoferFilesystem::InodeFor(const gofer::NodeReply& found, std::string link_target) {
  Key key = KeyOf(found.attributes);
  RefPtr<GoferInode> inode;
  bool made = false;
  {
    MutexLock lock(mu_);
    GoferInode*& slot = inodes_[key];
    inode = RefPtr<GoferInode>::TryFrom(slot);
    if (!inode) {
      inode = MakeRef<GoferInode>(*this, key, found, std::move(link_target));
      slot = inode.get();
      made = true;
    }
  }
  if (!made) {
    client().CloseLater(found.node);
    if (!exclusive()) inode->StoreUnlessWatched(found.attributes);
  }
  return inode;
}

RefPtr<GoferInode> GoferFilesystem::FindInode(const Key& key) {
  MutexLock lock(mu_);
  auto it = inodes_.find(key);
  return it != inodes_.end() ? RefPtr<GoferInode>::TryFrom(it->second) : nullptr;
}

void GoferFilesystem::Forget(GoferInode& inode) {
  {
    MutexLock lock(mu_);
    auto it = inodes_.find(inode.key());
    // A new inode of the same file may have taken the place already.
    if (it != inodes_.end() && it->second == &inode) inodes_.erase(it);
  }
}

RefPtr<GoferInode> GoferFilesystem::InodeFor(GoferInode& parent, const gofer::DirectoryEntry& entry) {
  const gofer::Attributes& attributes = entry.attributes.front();
  Key key = KeyOf(attributes);
  MutexLock lock(mu_);
  GoferInode*& slot = inodes_[key];
  RefPtr<GoferInode> inode = RefPtr<GoferInode>::TryFrom(slot);
  if (inode) return inode;
  inode = MakeRef<GoferInode>(*this, key, RefPtr<GoferInode>(&parent), entry.name, attributes);
  slot = inode.get();
  return inode;
}

bool GoferFilesystem::ReserveListing(GoferInode& directory, size_t entries) {
  ++entries;  // an empty one takes room too
  if (entries > kMaxListedEntries) return false;
  {
    MutexLock lock(mu_);
    listed_entries_ += entries;
    listings_.push_back({directory.key(), entries});
  }
  DropListings(kMaxListedEntries, &directory);
  return true;
}

void GoferFilesystem::DropListings(size_t entries, const GoferInode* but) {
  std::vector<RefPtr<GoferInode>> losers;
  {
    MutexLock lock(mu_);
    while (listed_entries_ > entries) {
      listed_entries_ -= listings_.front().entries;
      auto it = inodes_.find(listings_.front().directory);
      if (it != inodes_.end()) {
        if (auto inode = RefPtr<GoferInode>::TryFrom(it->second); inode && inode != but)
          losers.push_back(std::move(inode));
      }
      listings_.pop_front();
    }
  }
  for (const RefPtr<GoferInode>& loser : losers) loser->DropListing();
}

bool GoferFilesystem::ReserveAhead() {
  if (ahead_.fetch_add(1, std::memory_order_relaxed) < kMaxAhead) return true;
  ReleaseAhead(1);
  return false;
}

uint64_t GoferFilesystem::InodeNumber(const gofer::Attributes& attributes) {
  uint64_t device = makedev(attributes.dev_major, attributes.dev_minor);
  MutexLock lock(mu_);
  auto it = std::find(devices_.begin(), devices_.end(), device);
  auto index = static_cast<uint64_t>(it - devices_.begin());
  if (it == devices_.end()) devices_.push_back(device);
  return attributes.ino ^ index << 48;
}

void GoferFilesystem::MakeRoom() {
  ShrinkDentryCache();
  if (!exclusive()) DropListings(0, nullptr);
  client().FlushCloses();
}

bool GoferFilesystem::HasRoomForIdleFile() const {
  return idle_files_.load(std::memory_order_relaxed) < kMaxIdleFiles;
}

bool GoferFilesystem::ReserveIdleFile() {
  if (idle_files_.fetch_add(1, std::memory_order_relaxed) < kMaxIdleFiles) return true;
  ReleaseIdleFile();
  return false;
}

bool GoferFilesystem::ReserveFileAhead() {
  if (idle_files_.fetch_add(1, std::memory_order_relaxed) < kMaxIdleFiles + kMaxFilesAhead) return true;
  ReleaseIdleFile();
  return false;
}

}  // namespace runsc
