// GoferWatches: how a shared root's filesystem hears of what others do to its files. The
// Gofer puts watches on files and directories into an inotify(7) instance of the host and
// donates that queue of events; the host queues an event before the call that changed
// something returns. So whoever looks at the queue and finds it empty may trust what the
// watched inodes remember (CatchUp).
//
// GoferNames is what a watched directory remembers of its entries.
//
// Owned by the GoferFilesystem. Threading: any thread; `mu_` is taken before the
// attributes' lock of an inode. Linux counterpart: fs/fuse's NOTIFY_INVAL_ENTRY, NFS delegations.
#ifndef SENTRY_FSIMPL_GOFER_WATCHES_H_
#define SENTRY_FSIMPL_GOFER_WATCHES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "platform/base/mutex.h"
#include "platform/base/string_hash.h"
#include "platform/base/unique_fd.h"

namespace runsc {

class GoferInode;

class GoferWatches {
 public:
  // Applies the changes that were told of so far; once an operation (sentry/vfs/operation.h).
  // False: watched inodes cannot be trusted now.
  bool CatchUp();

  // Takes the queue; later ones are closed.
  void Begin(UniqueFd queue);
  bool begun() const { return begun_.load(std::memory_order_acquire); }
  // What happened to a watch that nobody had yet: told apart so that an answer which came
  // with a new watch is kept only if nothing did.
  uint64_t strays() const { return strays_.load(std::memory_order_acquire); }
  // The inode's node is watched. True: nothing happened to it since strays() gave `strays`.
  // `changes`, which is then the inode's count of them, says so later.
  bool Add(int watch, GoferInode& inode, uint64_t strays, uint64_t* changes);
  // Before the inode goes.
  void Remove(GoferInode& inode);
  // How many names all watched directories remember.
  std::atomic<size_t>& names() { return names_; }

 private:
  bool ReadAll();
  void Apply(std::span<const std::byte> events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Erase(int watch, const GoferInode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetNames();

  UniqueFd queue_;  // set once, before begun_
  std::atomic<bool> begun_{false};
  std::atomic<bool> broken_{false};
  std::atomic<bool> reading_{false};  // the queue may be empty, but not all is applied
  std::atomic<uint64_t> strays_{0};
  std::atomic<size_t> names_{0};
  Mutex mu_{LockRank::kInodeData};
  absl::flat_hash_set<int> ended_ ABSL_GUARDED_BY(mu_);  // whose inode has gone; the host will say so
  absl::flat_hash_map<int, GoferInode*> inodes_ ABSL_GUARDED_BY(mu_);  // without references
};

// Names that are there, with the file that they mean, and names that are not, each since it was
// last asked for. Guarded by its owner.
class GoferNames {
 public:
  using Key = std::pair<uint64_t, uint64_t>;  // of a GoferInode
  struct Entry {
    bool there = false;
    Key file{};
  };
  // Beyond this all are forgotten: what a guest can make the Sentry remember is bounded, in one
  // directory and in all of a root.
  static constexpr size_t kMost = 8 * 1024;
  static constexpr size_t kMostInAll = 128 * 1024;

  explicit GoferNames(std::atomic<size_t>& in_all) : in_all_(in_all) {}
  ~GoferNames() { in_all_.fetch_sub(names_.size(), std::memory_order_relaxed); }

  // Null: not known.
  const Entry* Find(std::string_view name) const;
  void Put(std::string_view name, const Entry& entry);
  void Forget(std::string_view name);
  void ForgetAll();

 private:
  std::atomic<size_t>& in_all_;
  StringMap<Entry> names_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_GOFER_WATCHES_H_
