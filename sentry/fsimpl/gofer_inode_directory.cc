// GoferInode's operations on directory entries.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/operation.h"

namespace runsc {
namespace {

// A listing is held in memory; a directory beyond this is cut off with EOVERFLOW.
constexpr size_t kMaxEntries = 4 << 20;
// As many lookups one by one cost about as much as the attributes of a listing's entries.
constexpr uint32_t kLookupsBeforeListing = 3;
constexpr size_t kEntriesALookup = 128;

GoferInode& InodeOf(Dentry& dentry) { return static_cast<GoferInode&>(*dentry.borrow_inode()); }

}  // namespace

Result<RefPtr<Inode>> GoferInode::Lookup(Dentry& dir, std::string_view name) {
  ASSIGN_OR_RETURN(std::vector<LookupEntry> entries, LookupMany(dir, std::span(&name, 1)));
  if (!entries[0].inode) return Errno(ENOENT);
  return std::move(entries[0].inode);
}

Result<std::vector<LookupEntry>> GoferInode::LookupMany(Dentry& dir,
                                                        std::span<const std::string_view> names) {
  if (RefPtr<const GoferListing> listing = gofer_.keeps_listings() ? ListingForLookup(names[0]) : nullptr) {
    const gofer::DirectoryEntry* entry = listing->Find(names[0]);
    if (entry == nullptr) return std::vector<LookupEntry>(1);
    // More names are better asked for at once than found one by one.
    bool deeper = names.size() > 1 && (entry->type == DT_DIR || entry->type == DT_UNKNOWN);
    if (!entry->attributes.empty() && !deeper)
      return std::vector<LookupEntry>{{gofer_.InodeFor(*this, *entry)}};
  }
  if (!gofer_.exclusive() && creates_new_in == this) return std::vector<LookupEntry>(1);
  KnownName known;
  if (!gofer_.exclusive()) known = NameForLookup(names[0]);
  if (known.entry && !known.entry->there) return std::vector<LookupEntry>(1);
  if (known.entry) {
    if (RefPtr<GoferInode> ahead = TakeAhead(names[0], *known.entry))
      return std::vector<LookupEntry>{{std::move(ahead)}};
  }
  RefPtr<const GoferListing> listing = known.version != 0 ? CurrentListing() : nullptr;
  if (listing && listing->Find(names[0]) == nullptr) {
    RememberName(names[0], {}, known.version);
    return std::vector<LookupEntry>(1);
  }
  // What else to ask for an old listing tells as well.
  if (!listing && known.version != 0) listing = AnyListing();
  if (listing) {
    std::vector<std::string> ahead = NamesAhead(dir, names[0], *listing);
    if (ahead.size() > 1) {
      auto found = WalkAhead(std::move(ahead), known.version);
      if (found.ok()) return std::vector<LookupEntry>{{*std::move(found)}};
      if (found.is(ENOENT)) return std::vector<LookupEntry>(1);
    }
  }
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  gofer::Walk walk{.parent = node};
  for (std::string_view name : names.first(std::min(names.size(), gofer::kMaxWalk)))
    walk.names.emplace_back(name);
  // What is opened next comes with its descriptor. Where nobody changes anything a file that is looked up
  // alone mostly is.
  walk.open = opens_for_reading || (gofer_.keeps_listings() && gofer_.HasRoomForIdleFile()) ? 1 : 0;
  UniqueFd opened;
  ASSIGN_OR_RETURN(gofer::WalkReply reply, gofer_.Call(walk, &opened));
  // A broken Gofer may not make us think of more names than we asked for.
  if (reply.found.size() > walk.names.size()) return Errno(EIO);
  std::vector<LookupEntry> entries;
  GoferInode* parent = this;
  for (size_t i = 0; i < reply.found.size(); ++i) {
    bool last = i + 1 == reply.found.size();
    RefPtr<GoferInode> inode =
        gofer_.InodeFor(reply.found[i], last ? std::move(reply.link_target) : std::string());
    if (last && opened && inode->IsRegular()) inode->OfferData(std::move(opened));
    // What is watched keeps what it has, which is asked about as any.
    if (!gofer_.exclusive() && inode->watch() < 0) parent->MarkFound(*inode, names[i]);
    if (i == 0) RememberName(names[0], {.there = true, .file = inode->key()}, known.version);
    parent = inode.get();
    entries.push_back({std::move(inode)});
  }
  if (reply.stop == ENOENT) {
    if (entries.empty()) RememberName(names[0], {}, known.version);
    entries.push_back({});
  }
  if (entries.empty())
    return Errno(reply.stop != 0 && reply.stop < 4096 ? static_cast<int>(reply.stop) : EIO);
  return entries;
}

RefPtr<const GoferListing> GoferInode::ListingForLookup(std::string_view name) {
  RefPtr<const GoferListing> known;
  uint32_t lookups = 0;
  {
    MutexLock lock(attributes_mu_);
    known = listing_;
    if (known && known->attributes() == gofer::kAllAttributes) return known;
    lookups = lookups_ + 1;
  }
  if (known) {
    const gofer::DirectoryEntry* entry = known->Find(name);
    if (entry == nullptr || !entry->attributes.empty()) return known;
  }
  {
    MutexLock lock(attributes_mu_);
    lookups = ++lookups_;
  }
  // A listing that turned out to be too long is tried again when it would pay anyway.
  if (lookups < kLookupsBeforeListing) return known;
  if (known ? known->entries().size() > lookups * kEntriesALookup
            : lookups != kLookupsBeforeListing && lookups % 64 != 0)
    return known;
  auto listed = FetchListing(gofer::kAllAttributes, known ? SIZE_MAX : std::max<size_t>(lookups / 4, 1));
  return listed.ok() && *listed ? *std::move(listed) : known;
}

// Null: it takes more replies than that.
Result<RefPtr<const GoferListing>> GoferInode::FetchListing(uint8_t attributes, size_t most_replies) {
  std::vector<gofer::DirectoryEntry> entries;
  gofer::ReadDir request{.attributes = attributes};
  Place place = PlaceWithoutNode();
  if (place.parent) {
    ASSIGN_OR_RETURN(request.node, place.parent->Node());
    request.name = std::move(place.name);
  } else {
    ASSIGN_OR_RETURN(request.node, Node());
  }
  uint64_t version = gofer_.exclusive() ? 0 : NameForLookup({}).version;
  size_t seen = 0;  // also those that are left out
  for (size_t replies = 1;; ++replies) {
    ASSIGN_OR_RETURN(gofer::ReadDirReply reply, gofer_.Call(request));
    if (!request.name.empty()) {
      if (reply.directory.size() != 1 || (reply.directory[0].attributes.mode & S_IFMT) != S_IFDIR)
        return Errno(EIO);
      request.node = reply.directory[0].node;
      request.name.clear();
      TakeNode(reply.directory[0], {});
      // Another thread's may have been first.
      ASSIGN_OR_RETURN(request.node, Node());
    }
    // A reply that brings neither an entry nor the end is a broken Gofer's; it would be asked for ever.
    if (reply.entries.empty() && reply.end == 0) return Errno(EIO);
    seen += reply.entries.size();
    for (gofer::DirectoryEntry& entry : reply.entries) {
      request.cookie = entry.next;
      // What no Linux filesystem would say must not reach the guest either.
      if (entry.name.empty() || entry.name.size() > 255 ||
          entry.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos || entry.name == "." ||
          entry.name == ".." || entry.attributes.size() > 1)
        continue;
      entries.push_back(std::move(entry));
    }
    if (reply.end != 0) break;
    if (replies == most_replies) return RefPtr<const GoferListing>();
    if (seen > kMaxEntries) return Errno(EOVERFLOW);
  }
  entries.shrink_to_fit();
  auto listing = MakeRef<GoferListing>(std::move(entries), attributes);
  if ((gofer_.keeps_listings() || version != 0) && gofer_.ReserveListing(*this, listing->entries().size())) {
    MutexLock lock(attributes_mu_);
    // Of a watched directory only what nothing has happened to since it was asked for.
    if (gofer_.keeps_listings() || (names_ && version == changes_)) {
      listing_ = listing;
      listing_is_past_ = false;
    }
    if (version != 0) lookups_ = 0;
  }
  return RefPtr<const GoferListing>(std::move(listing));
}

Result<RefPtr<const GoferListing>> GoferInode::List() {
  if (RefPtr<const GoferListing> known = CurrentListing()) return known;
  // Who lists a directory mostly looks at its entries next.
  CountUse();
  if (WantsWatch()) {
    ASSIGN_OR_RETURN(gofer::NodeId node, Node());
    (void)AskWatch(node);
  }
  return FetchListing(gofer_.keeps_listings() ? gofer::kDirectoryAttributes : gofer::kNoAttributes, SIZE_MAX);
}

RefPtr<Inode> GoferInode::Adopt(std::string_view name, const gofer::NodeReply& made,
                                std::string link_target) {
  MarkEntryChanged(name);
  return gofer_.InodeFor(made, std::move(link_target));
}

Result<RefPtr<Inode>> GoferInode::Create(Dentry& dir, std::string_view name,
                                         const CreateAttributes& attributes) {
  UniqueFd fd;
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Create{node, std::string(name), O_RDWR, attributes.mode & 07777,
                                             attributes.uid, attributes.gid},
                               &fd));
  RefPtr<Inode> inode = Adopt(name, made);
  auto& file = static_cast<GoferInode&>(*inode);
  MutexLock lock(file.data_mu_);
  // The open that follows a create finds its descriptor here.
  if (!file.read_write_) file.read_write_ = MakeRef<HostBackingFile>(std::move(fd), /*writable=*/true);
  return inode;
}

Result<RefPtr<Inode>> GoferInode::Mkdir(Dentry& dir, std::string_view name,
                                        const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Mkdir{node, std::string(name), attributes.mode & 07777, attributes.uid,
                                            attributes.gid}));
  return Adopt(name, made);
}

Result<RefPtr<Inode>> GoferInode::Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                          const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Symlink{node, std::string(name), std::string(target), attributes.uid,
                                              attributes.gid}));
  return Adopt(name, made, std::string(target));
}

Result<RefPtr<Inode>> GoferInode::Mknod(Dentry& dir, std::string_view name,
                                        const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeReply made, gofer_.Call(gofer::Mknod{node, std::string(name), attributes.mode,
                                                                   attributes.uid, attributes.gid}));
  return Adopt(name, made);
}

Result<void> GoferInode::Link(Dentry& dir, std::string_view name, Dentry& target) {
  GoferInode& file = InodeOf(target);
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeId file_node, file.Node());
  uint64_t before = file.changes();
  ASSIGN_OR_RETURN(gofer::AttributesReply reply,
                   gofer_.Call(gofer::Link{file_node, node, std::string(name)}));
  file.StoreAttributes(reply.attributes, before);
  MarkEntryChanged(name);
  return Ok();
}

Result<void> GoferInode::Unlink(Dentry& dir, Dentry& child) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  RETURN_IF_ERROR(gofer_.Call(gofer::Unlink{node, child.name(), 0}));
  InodeOf(child).MarkStale();
  MarkEntryChanged(child.name());
  return Ok();
}

Result<void> GoferInode::Rmdir(Dentry& dir, Dentry& child) {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  RETURN_IF_ERROR(gofer_.Call(gofer::Unlink{node, child.name(), AT_REMOVEDIR}));
  InodeOf(child).MarkStale();
  MarkEntryChanged(child.name());
  return Ok();
}

Result<void> GoferInode::Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                                Dentry* replaced, uint32_t flags) {
  GoferInode& target = InodeOf(new_dir);
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  ASSIGN_OR_RETURN(gofer::NodeId target_node, target.Node());
  RETURN_IF_ERROR(gofer_.Call(gofer::Rename{node, child.name(), target_node, std::string(new_name),
                                            flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)}));
  MarkEntryChanged(child.name());
  target.MarkEntryChanged(new_name);
  InodeOf(child).MarkStale();
  if (replaced != nullptr && !replaced->IsNegative()) InodeOf(*replaced).MarkStale();
  return Ok();
}

}  // namespace runsc
