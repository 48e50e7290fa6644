// Descriptors on their way in messages (SCM_RIGHTS): how many there are, and the collector of
// sockets that nobody can reach any more because they are only in each other's queues.
//
// Threading: any thread. Linux counterpart: net/unix/garbage.c, scm.c.
#ifndef SENTRY_SOCKET_UNIX_RIGHTS_H_
#define SENTRY_SOCKET_UNIX_RIGHTS_H_

#include <vector>

#include "platform/base/ref.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class UnixSocket;

inline constexpr size_t kMaxFilesPerMessage = 253;  // SCM_MAX_FD

// The files of one message, counted as in flight while this object has them.
class FilesInFlight {
 public:
  FilesInFlight() = default;
  explicit FilesInFlight(std::vector<RefPtr<FileDescription>> files);
  FilesInFlight(FilesInFlight&& other) noexcept : files_(std::move(other.files_)) { other.files_.clear(); }
  FilesInFlight& operator=(FilesInFlight&& other) noexcept;
  ~FilesInFlight();

  bool empty() const { return files_.empty(); }
  const std::vector<RefPtr<FileDescription>>& files() const { return files_; }
  // They have arrived.
  std::vector<RefPtr<FileDescription>> Take();

 private:
  std::vector<RefPtr<FileDescription>> files_;
};

// All files in flight now.
size_t CountFilesInFlight();

// Closes sockets that are reachable from no descriptor. Called when a socket goes while files are in flight.
// Hold no lock.
void CollectUnreachableSockets();

// Drops files one after the other instead of one inside the other's destructor: a chain of sockets
// in each other's queues may be long.
void ReleaseFiles(std::vector<RefPtr<FileDescription>> files);

}  // namespace runsc

#endif  // SENTRY_SOCKET_UNIX_RIGHTS_H_
