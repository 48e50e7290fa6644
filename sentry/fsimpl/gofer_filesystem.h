// GoferFilesystem: one root of a Gofer as a filesystem. Its inodes are nodes of the
// Gofer; regular files come as donated descriptors, so that reading, writing and
// mapping them costs no round trip.
//
// Exclusive: only this sandbox changes the files, so names and attributes are cached
// for good. Shared: others do as well; names and attributes of what is used often are
// watched (gofer_watches.h) and known until a change is told of, all others are asked for
// at each walk.
// Threading: any thread. Linux counterpart: fs/fuse, virtiofs.
#ifndef SENTRY_FSIMPL_GOFER_FILESYSTEM_H_
#define SENTRY_FSIMPL_GOFER_FILESYSTEM_H_

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gofer/protocol/client.h"
#include "sentry/fsimpl/gofer_watches.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

// The connection to one Gofer, shared by the mounts of its roots.
class GoferConnection final : public RefCounted {
 public:
  // `on_death`: the sandbox has lost its files; called once, from any thread.
  GoferConnection(UniqueFd socket, std::function<void()> on_death)
      : client_(std::move(socket), std::move(on_death)) {}
  gofer::GoferClient& client() { return client_; }

 private:
  gofer::GoferClient client_;
};

// To end an inotify instance takes the host 12 ms once it has had a watch, which is longer than many a
// container lives: so the filesystems of a sandbox ask for none at first.
inline constexpr int64_t kWatchDelay = 100'000'000;

struct GoferMountOptions {
  uint32_t root = 0;        // index, as in the Gofer's options
  bool exclusive = false;   // nobody else changes the files
  bool read_only = false;   // the root is read-only in the Gofer too
  int64_t watch_after = 0;  // nanoseconds without watches
};

class GoferInode;

class GoferFilesystem final : public Filesystem {
 public:
  // EIO: the Gofer is gone. The root dentry may be a regular file.
  static Result<NewFilesystem> Make(RefPtr<GoferConnection> connection, const GoferMountOptions& options);

  std::string_view type_name() const override { return "9p"; }
  Result<FilesystemStats> Stats() override;
  std::string MountOptions() const override;
  bool HasOwners(uint32_t uid, uint32_t gid) const override {
    return owners_.HasUser(uid) && owners_.HasGroup(gid);
  }
  bool caches_negative() const override { return options_.exclusive; }
  bool needs_revalidation() const override { return !options_.exclusive; }
  bool Revalidate(Dentry& dir, Dentry& child) override;

  gofer::GoferClient& client() { return connection_->client(); }
  bool exclusive() const { return options_.exclusive; }
  bool read_only() const { return options_.read_only; }
  GoferWatches& watches() { return watches_; }
  // Whether a watch may be asked for: not at first (kWatchDelay), nor for a while after a limit was met.
  bool MayWatch();
  void WatchLimitMet() { watch_pause_.store(kWatchPause, std::memory_order_relaxed); }
  // Whether what was said of a directory's entries goes on to be true.
  bool keeps_listings() const { return options_.exclusive && options_.read_only; }

  // As GoferClient::Call; makes room and tries once more when the Gofer is out of nodes.
  template <typename Request, typename Donated = UniqueFd*>
  Result<typename Request::Reply> Call(const Request& request, Donated&& donated = nullptr) {
    auto reply = client().Call(request, donated);
    if (!reply.is(ENFILE)) return reply;
    MakeRoom();
    return client().Call(request, donated);
  }

  using Key = std::pair<uint64_t, uint64_t>;  // host device and inode number
  static Key KeyOf(const gofer::Attributes& attributes);
  // The inode of a node that a call has returned: names of one file share one inode.
  // Takes the node over.
  RefPtr<GoferInode> InodeFor(const gofer::NodeReply& found, std::string link_target = {});
  // The same for an entry, with attributes, of a listing of `parent`.
  RefPtr<GoferInode> InodeFor(GoferInode& parent, const gofer::DirectoryEntry& entry);
  void Forget(GoferInode& inode);                // its last reference went
  RefPtr<GoferInode> FindInode(const Key& key);  // null: there is none now

  // Inode numbers are the host's, kept apart where a root spans several host devices.
  uint64_t InodeNumber(const gofer::Attributes& attributes);

  // Whether an inode without open files may keep its descriptor for the next open.
  bool ReserveIdleFile();
  // The same for one that is opened ahead of its first use.
  bool ReserveFileAhead();
  bool HasRoomForIdleFile() const;
  // Room for a directory's listing: takes older ones away. False: it is too long to keep.
  bool ReserveListing(GoferInode& directory, size_t entries);
  // Room for an inode that nobody has asked for yet.
  bool ReserveAhead();
  void ReleaseAhead(size_t inodes) { ahead_.fetch_sub(inodes, std::memory_order_relaxed); }
  void ReleaseIdleFile() { idle_files_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  GoferFilesystem(RefPtr<GoferConnection> connection, const GoferMountOptions& options)
      : connection_(std::move(connection)),
        options_(options),
        watch_from_(options.watch_after > 0 ? MonotonicNow() + options.watch_after : 0) {}
  void MakeRoom();
  // Takes listings away, oldest first, until `entries` fit in.
  void DropListings(size_t entries, const GoferInode* but);
  static constexpr int kWatchPause = 4096;  // in what would have been watched

  const RefPtr<GoferConnection> connection_;
  const GoferMountOptions options_;
  gofer::NodeId root_node_ = 0;  // fixed once made, and so is:
  gofer::OwnerIds owners_;
  std::atomic<int> idle_files_{0};
  const int64_t watch_from_;  // on CLOCK_MONOTONIC
  std::atomic<int> watch_pause_{0};
  std::atomic<size_t> ahead_{0};
  GoferWatches watches_;
  Mutex mu_{LockRank::kLeaf};
  absl::flat_hash_map<Key, GoferInode*> inodes_ ABSL_GUARDED_BY(mu_);  // without references
  std::vector<uint64_t> devices_ ABSL_GUARDED_BY(mu_);
  struct KeptListing {
    Key directory;
    size_t entries;
  };
  std::deque<KeptListing> listings_ ABSL_GUARDED_BY(mu_);  // oldest first
  size_t listed_entries_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_GOFER_FILESYSTEM_H_
