// What a GoferInode knows of its file, how long that is true, and when it has itself watched.
#include <sys/inotify.h>

#include <algorithm>
#include <array>

#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/operation.h"

namespace runsc {
namespace {

// How often a file or directory of a shared root is asked about before it is watched: what is used just once
// need not be.
constexpr uint32_t kDirectoryUses = 1;
constexpr uint32_t kFileUses = 2;

constexpr uint32_t kEntryEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr uint32_t kDataEvents = IN_MODIFY | IN_CLOSE_WRITE;

// What this thread has been told in its present operation of files of shared roots.
struct JustFound {
  const GoferInode* parent = nullptr;  // these two are only compared
  const GoferInode* inode = nullptr;
  std::string name;
};
struct ToldNow {
  std::array<JustFound, 16> found;
  size_t next = 0;
  uint64_t operation = 0;
};
thread_local ToldNow told_now;

template <typename Match>
bool WasToldNow(Match match) {
  if (current_operation == 0 || told_now.operation != current_operation) return false;
  return std::any_of(told_now.found.begin(), told_now.found.end(), match);
}

}  // namespace

uint64_t GoferInode::changes() {
  MutexLock lock(attributes_mu_);
  return changes_;
}

void GoferInode::StoreAttributes(const gofer::Attributes& attributes, uint64_t changes) {
  MutexLock lock(attributes_mu_);
  if (changes != changes_) return;
  ++changes_;
  attributes_ = attributes;
  stale_ = access_stale_ = false;
}

void GoferInode::StoreUnlessWatched(const gofer::Attributes& attributes) {
  MutexLock lock(attributes_mu_);
  if (watch() >= 0) return;
  ++changes_;
  attributes_ = attributes;
  stale_ = access_stale_ = false;
}

void GoferInode::MarkFound(GoferInode& child, std::string_view name) {
  if (current_operation == 0) return;
  if (std::exchange(told_now.operation, current_operation) != current_operation) told_now.found.fill({});
  told_now.found[told_now.next++ % told_now.found.size()] = {this, &child, std::string(name)};
}

bool GoferInode::WasFound(const GoferInode& child, std::string_view name) const {
  return WasToldNow([&](const JustFound& found) {
    return found.inode == &child && found.parent == this && found.name == name;
  });
}

void GoferInode::MarkStaleLocked() {
  ++changes_;
  stale_ = access_stale_ = true;
}

void GoferInode::MarkStale() {
  MutexLock lock(attributes_mu_);
  MarkStaleLocked();
}

void GoferInode::MarkDataStale() {
  MutexLock lock(attributes_mu_);
  ++changes_;
  stale_ = true;
}

void GoferInode::MarkEntryChanged(std::string_view name) {
  MutexLock lock(attributes_mu_);
  if (names_) names_->Forget(name);
  ForgetListing();
  ++changes_;
  stale_ = true;
}

bool GoferInode::IsCurrent() { return gofer_.exclusive() || (watch() >= 0 && gofer_.watches().CatchUp()); }

std::optional<gofer::Attributes> GoferInode::KnownAttributes(bool access_only) {
  if (!access_only && data_changed_.load(std::memory_order_relaxed)) return std::nullopt;
  // Of many questions one is better answered together with a watch.
  if (WantsWatch()) return std::nullopt;
  bool current =
      gofer_.exclusive() || WasToldNow([this](const JustFound& f) { return f.inode == this; }) || IsCurrent();
  MutexLock lock(attributes_mu_);
  if (!current || (access_only ? access_stale_ : stale_)) return std::nullopt;
  return attributes_;
}

std::optional<uint64_t> GoferInode::KnownSize() {
  std::optional<gofer::Attributes> known = KnownAttributes(/*access_only=*/false);
  if (!known) return std::nullopt;
  return known->size;
}

std::optional<gofer::Attributes> GoferInode::KnownOwner(const struct stat& stat) {
  bool current = IsCurrent();
  MutexLock lock(attributes_mu_);
  if (access_stale_) return std::nullopt;
  // A change of the owner, as any, gives the file a new time of change.
  const gofer::Timestamp& changed = attributes_.ctime;
  bool same = changed.seconds == stat.st_ctim.tv_sec &&
              changed.nanoseconds == static_cast<uint64_t>(stat.st_ctim.tv_nsec);
  if (!current && !same) return std::nullopt;
  return attributes_;
}

Result<void> GoferInode::CheckAccess(const Credentials& creds, int mask) {
  std::optional<gofer::Attributes> known = KnownAttributes(/*access_only=*/true);
  if (!known) return Inode::CheckAccess(creds, mask);
  return CheckModeBits(creds, known->mode, known->uid, known->gid, mask);
}

Result<gofer::Attributes> GoferInode::AskAttributes() {
  ASSIGN_OR_RETURN(gofer::NodeId node, Node());
  if (WantsWatch()) {
    if (std::optional<gofer::Attributes> answer = AskWatch(node)) return *answer;
  }
  CountUse();
  uint64_t before = changes();
  ASSIGN_OR_RETURN(gofer::AttributesReply reply, gofer_.Call(gofer::GetAttr{.node = node}));
  StoreAttributes(reply.attributes, before);
  return reply.attributes;
}

bool GoferInode::WantsWatch() {
  if (gofer_.exclusive() || watch() >= 0) return false;
  if (uses_.load(std::memory_order_relaxed) < (IsDirectory() ? kDirectoryUses : kFileUses)) return false;
  return !unwatchable_.load(std::memory_order_relaxed) && gofer_.MayWatch();
}

std::optional<gofer::Attributes> GoferInode::AskWatch(gofer::NodeId node) {
  GoferWatches& watches = gofer_.watches();
  uint64_t strays = watches.strays();
  bool first = !watches.begun();
  UniqueFd queue;
  uses_.store(0, std::memory_order_relaxed);
  auto reply = gofer_.Call(gofer::Watch{node, first ? uint8_t{1} : uint8_t{0}}, &queue);
  if (!reply.ok()) {
    // EBUSY: another thread is being given the queue.
    if (reply.is(EOPNOTSUPP) || reply.is(EACCES)) {
      unwatchable_.store(true, std::memory_order_relaxed);
    } else if (!reply.is(EBUSY)) {
      gofer_.WatchLimitMet();
    }
    return std::nullopt;
  }
  if (first && queue) watches.Begin(std::move(queue));
  TakeWatch(reply->watch, reply->attributes, strays);
  return reply->attributes;
}

void GoferInode::TakeWatch(int watch, const gofer::Attributes& attributes, uint64_t strays) {
  uint64_t changes = 0;
  if (gofer_.watches().begun() && gofer_.watches().Add(watch, *this, strays, &changes))
    StoreAttributes(attributes, changes);
}

uint64_t GoferInode::BeginWatch(int watch) {
  MutexLock lock(attributes_mu_);
  // Answers that are under way were asked for when nobody would have told of a change.
  MarkStaleLocked();
  if (IsDirectory() && !names_) names_ = std::make_unique<GoferNames>(gofer_.watches().names());
  was_watched_.store(true, std::memory_order_relaxed);
  watch_.store(watch, std::memory_order_release);
  return changes_;
}

void GoferInode::EndWatch() {
  MutexLock lock(attributes_mu_);
  MarkStaleLocked();
  names_.reset();
  ForgetListing();
  watch_.store(-1, std::memory_order_release);
}

void GoferInode::ForgetAllTold() {
  MutexLock lock(attributes_mu_);
  MarkStaleLocked();
  if (names_) names_->ForgetAll();
  ForgetListing();
}

void GoferInode::ForgetListing() {
  // An exclusive root keeps its listings only where nobody at all changes anything.
  if (!gofer_.exclusive()) listing_is_past_ = true;
}

void GoferInode::ForgetNames() {
  MutexLock lock(attributes_mu_);
  if (names_) names_->ForgetAll();
}

void GoferInode::ApplyChange(uint32_t events, std::string_view name) {
  MutexLock lock(attributes_mu_);
  if (!name.empty()) {
    // A child's attributes are the child's watch's.
    if ((events & kEntryEvents) == 0) return;
    if (names_) names_->Forget(name);
    ForgetListing();
    ++changes_;
    stale_ = true;
    return;
  }
  ++changes_;
  stale_ = true;
  if ((events & ~kDataEvents) != 0) access_stale_ = true;
}

GoferInode::KnownName GoferInode::NameForLookup(std::string_view name) {
  KnownName known;
  if (watch() < 0) {
    CountUse();
    return known;
  }
  bool current = IsCurrent();
  MutexLock lock(attributes_mu_);
  if (!names_) return known;
  known.version = changes_;
  const GoferNames::Entry* entry = current ? names_->Find(name) : nullptr;
  if (entry != nullptr) known.entry = *entry;
  return known;
}

void GoferInode::RememberName(std::string_view name, const GoferNames::Entry& entry, uint64_t version) {
  if (version == 0) return;
  MutexLock lock(attributes_mu_);
  if (names_ && version == changes_) names_->Put(name, entry);
}

}  // namespace runsc
