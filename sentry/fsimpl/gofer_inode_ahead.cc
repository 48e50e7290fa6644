// Looking ahead: a program that has listed a watched directory and begins to look at its entries one by one
// is answered from what a few calls to the Gofer fetch together, each file with a watch on it.
#include <errno.h>

#include <algorithm>

#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

// The first lookup after a listing may be of this name only; the window doubles with each.
constexpr size_t kFirstWindow = 16;
// How many of the entries that follow are looked at.
constexpr size_t kMostScanned = 512;

// What is looked ahead at may be a directory that has been looked into by another way, and so on: taken apart
// in a loop, for how deep that goes is the guest's choice.
thread_local std::vector<RefPtr<GoferInode>>* dying = nullptr;

void DropFlat(std::vector<RefPtr<GoferInode>> inodes) {
  if (dying != nullptr) {
    for (RefPtr<GoferInode>& inode : inodes) dying->push_back(std::move(inode));
    return;
  }
  dying = &inodes;
  while (!inodes.empty()) {
    RefPtr<GoferInode> inode = std::move(inodes.back());
    inodes.pop_back();
    inode.reset();
  }
  dying = nullptr;
}

}  // namespace

RefPtr<const GoferListing> GoferInode::CurrentListing() {
  if (!gofer_.keeps_listings() && !IsCurrent()) return nullptr;
  MutexLock lock(attributes_mu_);
  return listing_is_past_ ? nullptr : listing_;
}

RefPtr<const GoferListing> GoferInode::AnyListing() {
  MutexLock lock(attributes_mu_);
  return listing_;
}

void GoferInode::DropListing() {
  RefPtr<const GoferListing> dropped;  // released after the lock
  StringMap<RefPtr<GoferInode>> ahead;
  std::vector<RefPtr<GoferInode>> inodes;
  {
    MutexLock lock(attributes_mu_);
    dropped = std::move(listing_);
    ahead.swap(ahead_);
    if (opens_) inodes.swap(opens_->ahead);
    opens_.reset();
  }
  if (ahead.empty() && inodes.empty()) return;
  gofer_.ReleaseAhead(ahead.size());
  inodes.reserve(inodes.size() + ahead.size());
  for (auto& [name, inode] : ahead) inodes.push_back(std::move(inode));
  DropFlat(std::move(inodes));
}

RefPtr<GoferInode> GoferInode::TakeAhead(std::string_view name, const GoferNames::Entry& entry) {
  RefPtr<GoferInode> inode;  // released after the lock
  {
    MutexLock lock(attributes_mu_);
    auto found = ahead_.find(name);
    if (found == ahead_.end()) return nullptr;
    inode = std::move(found->second);
    ahead_.erase(found);
  }
  gofer_.ReleaseAhead(1);
  return entry.there && inode->key() == entry.file ? inode : nullptr;
}

std::vector<std::string> GoferInode::NamesAhead(Dentry& dir, std::string_view name,
                                                const GoferListing& listing) {
  const std::vector<gofer::DirectoryEntry>& entries = listing.entries();
  const gofer::DirectoryEntry* at = listing.Find(name);
  if (at == nullptr) return {};
  size_t window = 0;
  {
    MutexLock lock(attributes_mu_);
    window = std::min(kFirstWindow << std::min(lookups_++, 8u), gofer::kMaxWalkEach);
  }
  std::vector<std::string> names{std::string(name)};
  auto index = static_cast<size_t>(at - entries.data());
  // What comes before may have been looked at and removed; while nothing was, the dentries tell.
  bool whole = false;
  {
    MutexLock lock(attributes_mu_);
    whole = !listing_is_past_;
  }
  size_t last = std::min(whole ? entries.size() : entries.size() - index, kMostScanned);
  for (size_t i = 1; i < last && names.size() < window; ++i) {
    const std::string& next = entries[(index + i) % entries.size()].name;
    if (dir.FindChild(next)) continue;
    MutexLock lock(attributes_mu_);
    if (!ahead_.contains(next)) names.push_back(next);
  }
  return names;
}

void GoferInode::KeepAhead(const std::string& name, RefPtr<GoferInode> inode) {
  if (!gofer_.ReserveAhead()) return;
  bool kept = false;
  {
    MutexLock lock(attributes_mu_);
    kept = ahead_.emplace(name, std::move(inode)).second;
  }
  if (!kept) gofer_.ReleaseAhead(1);
}

Result<RefPtr<GoferInode>> GoferInode::WalkAhead(std::vector<std::string> names, uint64_t version) {
  gofer::WalkEach request;
  ASSIGN_OR_RETURN(request.parent, Node());
  request.names = std::move(names);
  uint64_t strays = gofer_.watches().strays();
  ASSIGN_OR_RETURN(gofer::WalkEachReply reply, gofer_.Call(request));
  if (reply.results.size() != request.names.size()) return Errno(EIO);
  RefPtr<GoferInode> first;
  for (size_t i = 0; i < reply.results.size(); ++i) {
    gofer::WalkEachResult& result = reply.results[i];
    const std::string& name = request.names[i];
    if (result.error != 0) {
      if (result.error == ENOENT) RememberName(name, {}, version);
      continue;
    }
    RefPtr<GoferInode> inode =
        gofer_.InodeFor({result.node, result.attributes}, std::move(result.link_target));
    bool is_new = inode->HasNode(result.node);
    if (is_new && result.watch >= 0) inode->TakeWatch(result.watch, result.attributes, strays);
    RememberName(name, {.there = true, .file = inode->key()}, version);
    if (i == 0) {
      if (inode->watch() < 0) MarkFound(*inode, name);
      first = std::move(inode);
    } else if (is_new) {
      KeepAhead(name, std::move(inode));
    }
  }
  if (first) return first;
  uint32_t error = reply.results[0].error;
  return Errno(error < 4096 ? static_cast<int>(error) : EIO);
}

}  // namespace runsc
