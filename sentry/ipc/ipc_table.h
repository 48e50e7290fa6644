// IpcTable: the objects of one kind in one IPC namespace, by key, identifier and index.
//
// An identifier is an index, taken in turn, and above it a number that grows when a new round
// begins, so that an old identifier does not name a new object. No lock of its own.
// Linux counterpart: struct ipc_ids.
#ifndef SENTRY_IPC_IPC_TABLE_H_
#define SENTRY_IPC_IPC_TABLE_H_

#include <sys/stat.h>

#include <algorithm>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "sentry/ipc/ipc_object.h"

namespace runsc {

inline constexpr int kIpcIndexBits = 15;
inline constexpr int kIpcMaxObjects = 1 << kIpcIndexBits;  // IPCMNI

template <typename T>
class IpcTable {
 public:
  using Objects = absl::btree_map<int, RefPtr<T>>;
  const Objects& objects() const { return objects_; }  // by index
  int size() const { return static_cast<int>(objects_.size()); }
  // What *_INFO returns: the highest index in use, 0 without any.
  int highest_index() const { return objects_.empty() ? 0 : objects_.rbegin()->first; }

  // EINVAL.
  Result<RefPtr<T>> Find(int id) const {
    if (id < 0) return Errno(EINVAL);
    auto found = objects_.find(id & (kIpcMaxObjects - 1));
    if (found == objects_.end() || found->second->id != id) return Errno(EINVAL);
    return found->second;
  }
  // The same for reading a description: EACCES too.
  Result<RefPtr<T>> FindToStat(int id_or_index, IpcLookup how, const IpcCaller& caller) const {
    RefPtr<T> object;
    if (how == IpcLookup::kId) {
      ASSIGN_OR_RETURN(object, Find(id_or_index));
    } else {
      auto found = objects_.find(id_or_index & (kIpcMaxObjects - 1));
      if (id_or_index < 0 || found == objects_.end()) return Errno(EINVAL);
      object = found->second;
    }
    if (how != IpcLookup::kIndexUnchecked) RETURN_IF_ERROR(CheckIpcAccess(object->permissions, caller, 0444));
    return object;
  }
  // For IPC_SET and IPC_RMID: EPERM too.
  Result<RefPtr<T>> FindToControl(int id, const IpcCaller& caller) const {
    ASSIGN_OR_RETURN(RefPtr<T> object, Find(id));
    RETURN_IF_ERROR(CheckIpcControl(object->permissions, caller));
    return object;
  }
  // semget, shmget, msgget: the identifier of the object with the key, which `check` (-> Result<void>) has
  // to accept, or of what `make` (-> Result<RefPtr<T>>) makes. ENOENT, EEXIST, EACCES; ENOSPC beyond `limit`.
  template <typename Check, typename Make>
  Result<int> Get(key_t key, int flags, const IpcCaller& caller, int limit, Check check, Make make) {
    auto found = key == IPC_PRIVATE ? keys_.end() : keys_.find(key);
    if (found != keys_.end()) {
      T& object = *objects_.at(found->second);
      if ((flags & IPC_CREAT) != 0 && (flags & IPC_EXCL) != 0) return Errno(EEXIST);
      RETURN_IF_ERROR(check(object));
      RETURN_IF_ERROR(CheckIpcAccess(object.permissions, caller, flags));
      return object.id;
    }
    if (key != IPC_PRIVATE && (flags & IPC_CREAT) == 0) return Errno(ENOENT);
    ASSIGN_OR_RETURN(RefPtr<T> made, make());
    if (size() >= std::min(limit, kIpcMaxObjects)) return Errno(ENOSPC);
    return Insert(std::move(made));
  }
  // Out of the table; the key is free again.
  void Remove(T& object) {
    FreeKey(object);
    object.removed = true;
    objects_.erase(object.id & (kIpcMaxObjects - 1));
  }
  // Only the identifier leads to it now.
  void FreeKey(T& object) {
    if (object.permissions.key != IPC_PRIVATE) keys_.erase(object.permissions.key);
    object.permissions.key = IPC_PRIVATE;
  }

 private:
  int Insert(RefPtr<T> object) {
    int index = FreeIndex();
    constexpr int kMaxSequence = INT32_MAX >> kIpcIndexBits;
    if (index <= last_index_) sequence_ = sequence_ == kMaxSequence ? 0 : sequence_ + 1;
    last_index_ = index;
    object->id = sequence_ << kIpcIndexBits | index;
    if (object->permissions.key != IPC_PRIVATE) keys_[object->permissions.key] = index;
    int id = object->id;
    objects_.emplace(index, std::move(object));
    return id;
  }

  // The next that is free, in a round of 64 or half as many again as are in use. There is one, as the table
  // is not full.
  int FreeIndex() const {
    constexpr int kMinimumRound = 64;  // ipc_min_cycle
    const int round = std::min(std::max(size() * 3 / 2, kMinimumRound), kIpcMaxObjects);
    int index = last_index_;
    do {
      index = index + 1 >= round ? 0 : index + 1;
    } while (objects_.contains(index));
    return index;
  }

  Objects objects_;
  absl::flat_hash_map<key_t, int> keys_;
  int last_index_ = -1;
  int sequence_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_IPC_IPC_TABLE_H_
