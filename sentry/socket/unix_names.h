// The abstract names of unix(7), and the list of all endpoints that have a name or a file.
// One network namespace a sandbox has, so there is one table.
// Threading: any thread; its lock is a leaf. Linux counterpart: unix_socket_table.
#ifndef SENTRY_SOCKET_UNIX_NAMES_H_
#define SENTRY_SOCKET_UNIX_NAMES_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"

namespace runsc {

class UnixEndpoint;

class AbstractNames {
 public:
  static AbstractNames& Get();
  // EADDRINUSE. `name` begins with a NUL.
  Result<void> Add(const std::string& name, UnixEndpoint& endpoint);
  // A free name of five hexadecimal digits. ENOSPC.
  Result<std::string> AddAny(UnixEndpoint& endpoint);
  void Remove(const std::string& name, const UnixEndpoint& endpoint);
  // Null if there is none. Each type of socket has names of its own.
  RefPtr<UnixEndpoint> Find(const std::string& name, int type);

 private:
  Mutex mu_{LockRank::kLeaf};
  // An endpoint removes itself before it goes.
  absl::flat_hash_map<std::pair<int, std::string>, UnixEndpoint*> names_ ABSL_GUARDED_BY(mu_);
  uint32_t next_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_SOCKET_UNIX_NAMES_H_
