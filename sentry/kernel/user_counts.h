// UserCounts: how many of something each user has in the sandbox.
//
// Threading: any thread. Linux counterpart: struct ucounts.
#ifndef SENTRY_KERNEL_USER_COUNTS_H_
#define SENTRY_KERNEL_USER_COUNTS_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "platform/base/result.h"

namespace runsc {

class UserCounts {
 public:
  // One of them, for as long as this object lives.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)), uid_(other.uid_) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(counts_, other.counts_);
      std::swap(uid_, other.uid_);
      return *this;
    }
    ~Share() {
      if (counts_ != nullptr) counts_->Remove(uid_);
    }

   private:
    friend class UserCounts;
    Share(UserCounts* counts, uint32_t uid) : counts_(counts), uid_(uid) {}
    UserCounts* counts_ = nullptr;
    uint32_t uid_ = 0;
  };

  Share Add(uint32_t uid) {
    MutexLock lock(mu_);
    ++counts_[uid];
    return Share(this, uid);
  }
  // EAGAIN: the user has `limit` already.
  Result<Share> Add(uint32_t uid, uint64_t limit) {
    MutexLock lock(mu_);
    if (limit == 0) return Errno(EAGAIN);
    size_t& count = counts_[uid];
    if (count >= limit) return Errno(EAGAIN);
    ++count;
    return Share(this, uid);
  }
  size_t Of(uint32_t uid) const {
    MutexLock lock(mu_);
    auto place = counts_.find(uid);
    return place != counts_.end() ? place->second : 0;
  }

 private:
  void Remove(uint32_t uid) {
    MutexLock lock(mu_);
    auto place = counts_.find(uid);
    if (--place->second == 0) counts_.erase(place);
  }

  mutable Mutex mu_{LockRank::kLeaf};
  absl::flat_hash_map<uint32_t, size_t> counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_USER_COUNTS_H_
