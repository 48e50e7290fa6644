#include "sentry/socket/unix_rights.h"

#include <atomic>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sentry/socket/unix_socket.h"

namespace runsc {
namespace {

struct Registry {
  Mutex mu{LockRank::kSocketRights};
  // Sockets that are in at least one message. A message holds the reference that keeps each alive.
  absl::flat_hash_set<UnixSocket*> sockets ABSL_GUARDED_BY(mu);
  size_t calls ABSL_GUARDED_BY(mu) = 0;  // of CollectUnreachableSockets since the last collection
};
Registry& GetRegistry() {
  static auto* const registry = new Registry;
  return *registry;
}
std::atomic<size_t> files_in_flight{0};

UnixSocket* AsUnixSocket(FileDescription& file) { return dynamic_cast<UnixSocket*>(&file); }

}  // namespace

FilesInFlight::FilesInFlight(std::vector<RefPtr<FileDescription>> files) : files_(std::move(files)) {
  if (files_.empty()) return;
  files_in_flight.fetch_add(files_.size());
  Registry& registry = GetRegistry();
  MutexLock lock(registry.mu);
  for (const RefPtr<FileDescription>& file : files_) {
    if (UnixSocket* socket = AsUnixSocket(*file)) {
      ++socket->in_flight;
      registry.sockets.insert(socket);
    }
  }
}

FilesInFlight& FilesInFlight::operator=(FilesInFlight&& other) noexcept {
  ReleaseFiles(Take());
  files_ = std::move(other.files_);
  other.files_.clear();
  return *this;
}

FilesInFlight::~FilesInFlight() { ReleaseFiles(Take()); }

std::vector<RefPtr<FileDescription>> FilesInFlight::Take() {
  if (files_.empty()) return {};
  files_in_flight.fetch_sub(files_.size());
  Registry& registry = GetRegistry();
  MutexLock lock(registry.mu);
  for (const RefPtr<FileDescription>& file : files_) {
    UnixSocket* socket = AsUnixSocket(*file);
    if (socket != nullptr && --socket->in_flight == 0) registry.sockets.erase(socket);
  }
  return std::exchange(files_, {});
}

size_t CountFilesInFlight() { return files_in_flight.load(std::memory_order_relaxed); }

// A socket all of whose references are in messages may be unreachable. It is reachable after all if
// one of those messages waits in a socket that is: so take away what the candidates hold of each other, and
// whatever still has references left, with everything below it, stays.
void CollectUnreachableSockets() {
  std::vector<RefPtr<FileDescription>> dropped;
  {
    Registry& registry = GetRegistry();
    MutexLock lock(registry.mu);
    // A collection looks at all of them: the more there are, the more rarely.
    constexpr size_t kShare = 16;
    if (++registry.calls < registry.sockets.size() / kShare) return;
    registry.calls = 0;
    absl::flat_hash_map<UnixSocket*, int64_t> outside;  // candidates: references not from candidates
    for (UnixSocket* socket : registry.sockets) {
      if (socket->ref_count() == socket->in_flight) outside.emplace(socket, socket->in_flight);
    }
    if (outside.empty()) return;
    for (const auto& [socket, count] : outside) {
      socket->endpoint().VisitFilesInFlight([&outside](FileDescription& file) {
        UnixSocket* inner = AsUnixSocket(file);
        auto found = inner != nullptr ? outside.find(inner) : outside.end();
        if (found != outside.end()) --found->second;
      });
    }
    std::vector<UnixSocket*> reachable;
    for (const auto& [socket, count] : outside) {
      if (count > 0) reachable.push_back(socket);
    }
    for (UnixSocket* socket : reachable) outside.erase(socket);
    while (!reachable.empty()) {
      UnixSocket* socket = reachable.back();
      reachable.pop_back();
      socket->endpoint().VisitFilesInFlight([&](FileDescription& file) {
        UnixSocket* inner = AsUnixSocket(file);
        if (inner != nullptr && outside.erase(inner) != 0) reachable.push_back(inner);
      });
    }
    // The messages keep their references until the lock is dropped.
    for (const auto& [socket, count] : outside) dropped.push_back(RefPtr<FileDescription>(socket));
  }
  std::vector<RefPtr<FileDescription>> files;
  for (const RefPtr<FileDescription>& socket : dropped)
    static_cast<UnixSocket*>(socket.get())->endpoint().TakeFilesInFlight(&files);
  ReleaseFiles(std::move(files));
  ReleaseFiles(std::move(dropped));
}

void ReleaseFiles(std::vector<RefPtr<FileDescription>> files) {
  if (files.empty()) return;
  thread_local std::vector<RefPtr<FileDescription>>* pending = nullptr;
  if (pending != nullptr) {
    for (RefPtr<FileDescription>& file : files) pending->push_back(std::move(file));
    return;
  }
  pending = &files;
  while (!files.empty()) {
    RefPtr<FileDescription> file = std::move(files.back());
    files.pop_back();
  }
  pending = nullptr;
}

}  // namespace runsc
