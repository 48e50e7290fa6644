#include "sentry/fsimpl/gofer_watches.h"

#include <errno.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

#include "platform/base/log.h"
#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/operation.h"

namespace runsc {
namespace {

constexpr size_t kReadSize = 16 * 1024;
// A queue that does not get empty (somebody writes all the time, or it is not one): ask.
constexpr int kMostReads = 64;
constexpr size_t kMostEnded = 64 * 1024;

// Whose queue this thread has found empty in its present operation.
struct CaughtUp {
  const GoferWatches* watches = nullptr;  // only compared
  uint64_t operation = 0;
};
thread_local CaughtUp caught_up_with;

}  // namespace

bool GoferWatches::CatchUp() {
  if (!begun() || broken_.load(std::memory_order_acquire)) return false;
  if (current_operation != 0 && caught_up_with.operation == current_operation &&
      caught_up_with.watches == this)
    return true;
  if (names_.load(std::memory_order_relaxed) > GoferNames::kMostInAll) ForgetNames();
  int queued = 0;
  // Whoever took the last event out of the queue has set reading_ before, so that an empty
  // queue is not trusted before it is applied.
  bool empty = ioctl(queue_.get(), FIONREAD, &queued) == 0 && queued == 0 && !reading_.load();
  if (!empty && !ReadAll()) return false;
  caught_up_with = {this, current_operation};
  return true;
}

bool GoferWatches::ReadAll() {
  alignas(inotify_event) std::byte buffer[kReadSize];
  MutexLock lock(mu_);
  if (broken_.load(std::memory_order_relaxed)) return false;
  reading_.store(true);
  bool caught_up = false;
  for (int i = 0; i < kMostReads && !caught_up; ++i) {
    int queued = 0;
    bool sound = ioctl(queue_.get(), FIONREAD, &queued) == 0 && queued >= 0;
    caught_up = sound && queued == 0;
    if (caught_up) break;
    ssize_t size = sound ? read(queue_.get(), buffer, sizeof(buffer)) : -1;
    if (size > 0) {
      Apply(std::span(buffer).first(static_cast<size_t>(size)));
    } else if (!sound || size == 0 || (errno != EAGAIN && errno != EINTR)) {
      LOG_WARNING("gofer: the queue of changes cannot be read; files are asked for each time");
      EndAll();
      break;
    }
  }
  reading_.store(false);
  return caught_up;
}

void GoferWatches::Apply(std::span<const std::byte> events) {
  while (events.size() >= sizeof(inotify_event)) {
    inotify_event event{};
    std::memcpy(&event, events.data(), sizeof(event));
    events = events.subspan(sizeof(event));
    if (event.len > events.size()) return EndAll();
    const char* start = reinterpret_cast<const char*>(events.data());
    std::string_view name(start, strnlen(start, event.len));
    events = events.subspan(event.len);
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      strays_.fetch_add(1);
      for (auto& [watch, inode] : inodes_) inode->ForgetAllTold();
      continue;
    }
    auto found = inodes_.find(event.wd);
    if (found == inodes_.end()) {
      bool expected = (event.mask & IN_IGNORED) != 0 && ended_.erase(event.wd) != 0;
      if (!expected) strays_.fetch_add(1);
    } else if ((event.mask & IN_IGNORED) != 0) {
      found->second->EndWatch();
      inodes_.erase(found);
    } else {
      found->second->ApplyChange(event.mask, name);
    }
  }
}

void GoferWatches::EndAll() {
  broken_.store(true, std::memory_order_release);
  for (auto& [watch, inode] : inodes_) inode->EndWatch();
  inodes_.clear();
}

void GoferWatches::Begin(UniqueFd queue) {
  MutexLock lock(mu_);
  if (begun()) return;
  queue_ = std::move(queue);
  begun_.store(true, std::memory_order_release);
}

bool GoferWatches::Add(int watch, GoferInode& inode, uint64_t strays, uint64_t* changes) {
  MutexLock lock(mu_);
  if (broken_.load(std::memory_order_relaxed) || watch < 0) return false;
  if (inode.watch() != watch) Erase(inode.watch(), inode);
  GoferInode*& slot = inodes_[watch];
  // Its file is the same one: an inode that is about to go, or a Gofer that lies.
  if (slot != nullptr && slot != &inode) slot->EndWatch();
  slot = &inode;
  ended_.erase(watch);
  *changes = inode.BeginWatch(watch);
  return strays_.load(std::memory_order_relaxed) == strays;
}

void GoferWatches::Remove(GoferInode& inode) {
  MutexLock lock(mu_);
  Erase(inode.watch(), inode);
}

void GoferWatches::Erase(int watch, const GoferInode& inode) {
  auto found = inodes_.find(watch);
  if (found == inodes_.end() || found->second != &inode) return;
  inodes_.erase(found);
  if (ended_.size() >= kMostEnded) ended_.clear();  // a Gofer that does not end them
  ended_.insert(watch);
}

void GoferWatches::ForgetNames() {
  MutexLock lock(mu_);
  for (auto& [watch, inode] : inodes_) inode->ForgetNames();
}

const GoferNames::Entry* GoferNames::Find(std::string_view name) const {
  auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

void GoferNames::Put(std::string_view name, const Entry& entry) {
  if (names_.size() >= kMost) ForgetAll();
  if (names_.insert_or_assign(name, entry).second) in_all_.fetch_add(1, std::memory_order_relaxed);
}

void GoferNames::Forget(std::string_view name) {
  auto found = names_.find(name);
  if (found == names_.end()) return;
  names_.erase(found);
  in_all_.fetch_sub(1, std::memory_order_relaxed);
}

void GoferNames::ForgetAll() {
  in_all_.fetch_sub(names_.size(), std::memory_order_relaxed);
  names_.clear();
}

}  // namespace runsc
