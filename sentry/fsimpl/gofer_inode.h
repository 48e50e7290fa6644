// GoferInode: a file of a GoferFilesystem. It holds the Gofer's node, what is known of
// its attributes, and the donated descriptors of a regular file (one read-only, one
// read-write, as open files need them). One that was found in its directory's listing
// has no node before something has to be asked of it.
//
// Threading: any thread. No lock is held across a call to the Gofer but the directory
// lock of the vfs. Linux counterpart: struct fuse_inode.
#ifndef SENTRY_FSIMPL_GOFER_INODE_H_
#define SENTRY_FSIMPL_GOFER_INODE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "sentry/fsimpl/gofer_filesystem.h"
#include "sentry/fsimpl/gofer_listing.h"
#include "sentry/fsimpl/host_backing_file.h"
#include "sentry/memory/mapping_set.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class GoferInode final : public Inode {
 public:
  using Key = std::pair<uint64_t, uint64_t>;
  GoferInode(GoferFilesystem& filesystem, Key key, const gofer::NodeReply& found, std::string link_target);
  // Of a listing of `parent`, which has a node.
  GoferInode(GoferFilesystem& filesystem, Key key, RefPtr<GoferInode> parent, std::string name,
             const gofer::Attributes& attributes);

  // ENOENT if the file went before it was ever asked for.
  Result<gofer::NodeId> Node();
  const Key& key() const { return key_; }
  GoferFilesystem& gofer() const { return gofer_; }

  Result<InodeAttributes> Attributes() override;
  Result<void> CheckAccess(const Credentials& creds, int mask) override;
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
  Result<void> Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                      Dentry* replaced, uint32_t flags) override;
  Result<std::string> ReadLink(const Credentials& creds) override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

  Result<std::string> GetXattr(std::string_view name) override;
  Result<void> SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) override;
  Result<std::vector<std::string>> ListXattrs() override;
  Result<void> RemoveXattr(Dentry& dentry, std::string_view name) override;

  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override;
  void AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  Result<void> Sync(uint64_t offset, uint64_t length) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;

  // --- for the filesystem and its open files ---
  // What the Gofer says of the file, asked for when changes() was `changes`: nothing is kept if
  // something has happened to the file since.
  uint64_t changes();
  void StoreAttributes(const gofer::Attributes& attributes, uint64_t changes);
  // The same where that is not known; a watched file will be told of.
  void StoreUnlessWatched(const gofer::Attributes& attributes);
  // The Gofer has just said that `child` has this name here, and what its attributes are: until
  // this thread's operation ends it need not be asked again.
  void MarkFound(GoferInode& child, std::string_view name);
  bool WasFound(const GoferInode& child, std::string_view name) const;
  // Something else changed them: ask next time.
  void MarkStale();
  void MarkDataStale();  // all but owner and mode
  // A name in it was made or removed: its attributes but owner and mode are others.
  void MarkEntryChanged(std::string_view name);
  // The size, if it need not be asked for.
  std::optional<uint64_t> KnownSize();
  // Bytes were or may be written on the donated descriptor: ask that one.
  void MarkDataChanged() { data_changed_.store(true, std::memory_order_relaxed); }
  // An open file begins and ends; in between it holds what this returned.
  Result<RefPtr<HostBackingFile>> OpenData(bool writable);
  void CloseData();
  // The directory's entries; asks for them unless they are known for good.
  Result<RefPtr<const GoferListing>> List();
  void DropListing();

  // --- shared roots: what is known of a directory's names (gofer_watches.h) ---
  struct KnownName {
    std::optional<GoferNames::Entry> entry;  // if it is known
    uint64_t version = 0;                    // what RememberName wants to know of an answer; 0: not watched
  };
  KnownName NameForLookup(std::string_view name);
  void RememberName(std::string_view name, const GoferNames::Entry& entry, uint64_t version);
  // Called by GoferWatches.
  int watch() const { return watch_.load(std::memory_order_acquire); }
  uint64_t BeginWatch(int watch);  // changes() from then on
  void EndWatch();
  void ApplyChange(uint32_t events, std::string_view name);
  void ForgetAllTold();  // changes were lost
  void ForgetNames();

 protected:
  void OnLastRelease() override;

 private:
  InodeAttributes ToInodeAttributes(const gofer::Attributes& attributes);
  RefPtr<HostBackingFile> AnyData();
  // Whether what it remembers and has not marked stale is how the file is.
  bool IsCurrent();
  // Owner and mode only need not be the rest.
  std::optional<gofer::Attributes> KnownAttributes(bool access_only);
  // With the owner that a file has whose descriptor says `stat`.
  std::optional<gofer::Attributes> KnownOwner(const struct stat& stat);
  Result<gofer::Attributes> AskAttributes();
  bool WantsWatch();
  // Asks for a watch, whose answer has the attributes too.
  std::optional<gofer::Attributes> AskWatch(gofer::NodeId node);
  void CountUse() { uses_.fetch_add(1, std::memory_order_relaxed); }
  void MarkStaleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(attributes_mu_);
  // Nothing of the file behind `size` may stay mapped.
  void InvalidateBehind(uint64_t size);
  // What a lookup of its name says of a file without a node, with a descriptor for
  // reading if asked for. Null: it has a node by now.
  struct Place {
    RefPtr<GoferInode> parent;
    std::string name;
  };
  Place PlaceWithoutNode();
  Result<void> Find(Place place, UniqueFd* opened);
  void TakeNode(const gofer::NodeReply& found, std::string link_target);
  // Keeps a descriptor for the next open, if there is room.
  void OfferData(UniqueFd fd);

  // Opens `child`, which this directory's listing calls `name`, for reading, and with it the files that will
  // be opened next, if its files are opened in turn (gofer_inode_open_ahead.cc). No descriptor: they are not.
  Result<void> OpenInTurn(GoferInode& child, const std::string& name, UniqueFd* opened);
  // The entries to open, `name` first.
  std::vector<const gofer::DirectoryEntry*> EntriesInTurn(const std::string& name,
                                                          const GoferListing& listing);
  // Keeps a descriptor that nobody has asked for yet; false: no room, or it has one.
  bool OfferAhead(UniqueFd fd);
  bool IsUnusedAhead();

  // The directory's listing as far as it can answer lookups, after the lookup of `name`
  // has been counted: with attributes once they pay.
  RefPtr<const GoferListing> ListingForLookup(std::string_view name);
  Result<RefPtr<const GoferListing>> FetchListing(uint8_t attributes, size_t most_replies);
  // Null: there is none, or it may not be true any more.
  RefPtr<const GoferListing> CurrentListing();
  RefPtr<const GoferListing> AnyListing();

  void ForgetListing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(attributes_mu_);

  // Looking ahead of lookups one by one, in a watched directory (gofer_inode_ahead.cc).
  RefPtr<GoferInode> TakeAhead(std::string_view name, const GoferNames::Entry& entry);
  // `name` and what will be asked for next, if it looks so.
  std::vector<std::string> NamesAhead(Dentry& dir, std::string_view name, const GoferListing& listing);
  // Finds the first name, and keeps the others for later.
  Result<RefPtr<GoferInode>> WalkAhead(std::vector<std::string> names, uint64_t version);
  void KeepAhead(const std::string& name, RefPtr<GoferInode> inode);
  bool HasNode(gofer::NodeId node) const { return node_.load(std::memory_order_acquire) == node; }
  // Its node is watched since before it had these attributes.
  void TakeWatch(int watch, const gofer::Attributes& attributes, uint64_t strays);

  // After a create: the directory has changed, and the new file is known.
  RefPtr<Inode> Adopt(std::string_view name, const gofer::NodeReply& made, std::string link_target = {});

  GoferFilesystem& gofer_;
  const Key key_;
  struct Origin {
    Key directory;
    std::string name;
  };
  const Origin origin_;  // of what came from a listing
  static constexpr uint64_t kNoNode = UINT64_MAX;
  std::atomic<uint64_t> node_;
  std::atomic<bool> data_changed_{false};
  std::atomic<int> watch_{-1};
  std::atomic<bool> was_watched_{false};  // the filesystem's watches may know it
  std::atomic<bool> unwatchable_{false};
  std::atomic<uint32_t> uses_{0};  // questions that a watch would have answered, while there is none

  Mutex data_mu_{LockRank::kInodeData};
  RefPtr<HostBackingFile> read_only_ ABSL_GUARDED_BY(data_mu_);
  RefPtr<HostBackingFile> read_write_ ABSL_GUARDED_BY(data_mu_);
  int open_files_ ABSL_GUARDED_BY(data_mu_) = 0;
  bool idle_ ABSL_GUARDED_BY(data_mu_) = false;          // counted as an idle file
  bool ahead_of_use_ ABSL_GUARDED_BY(data_mu_) = false;  // idle since it was opened ahead
  MappingSet mappings_ ABSL_GUARDED_BY(data_mu_);

  Mutex attributes_mu_{LockRank::kInodeAttributes};
  gofer::Attributes attributes_ ABSL_GUARDED_BY(attributes_mu_);
  bool stale_ ABSL_GUARDED_BY(attributes_mu_) = false;
  bool access_stale_ ABSL_GUARDED_BY(attributes_mu_) = false;          // owner and mode too
  std::unique_ptr<GoferNames> names_ ABSL_GUARDED_BY(attributes_mu_);  // of a watched directory
  // Counts changes, so that an answer that was asked for before one is not kept after it.
  uint64_t changes_ ABSL_GUARDED_BY(attributes_mu_) = 0;
  std::string link_target_ ABSL_GUARDED_BY(attributes_mu_);
  Place place_ ABSL_GUARDED_BY(attributes_mu_);  // until there is a node
  RefPtr<const GoferListing> listing_ ABSL_GUARDED_BY(attributes_mu_);
  bool listing_is_past_ ABSL_GUARDED_BY(attributes_mu_) = false;  // only a hint any more
  uint32_t lookups_ ABSL_GUARDED_BY(attributes_mu_) = 0;          // that the listing did not answer
  StringMap<RefPtr<GoferInode>> ahead_ ABSL_GUARDED_BY(attributes_mu_);
  struct OpensInTurn {
    size_t next = SIZE_MAX;  // the entry whose opening would go on with it
    size_t window = 1;       // how many are opened at once
    std::vector<RefPtr<GoferInode>> ahead;
  };
  std::unique_ptr<OpensInTurn> opens_ ABSL_GUARDED_BY(attributes_mu_);  // of a directory with a listing
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_GOFER_INODE_H_
