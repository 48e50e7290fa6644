// SocketMaker: sockets of another network namespace of the host than the Sentry's, for a container that has
// one and shares the Sentry of another container. The container's monitor is in that namespace: it makes the
// sockets, by requests over a connection, and what it makes is what the Sentry may make for itself, no more.
//
// Packets of one size on a SOCK_SEQPACKET pair; an answer has a descriptor, or the errno that says why not.
#ifndef SENTRY_BOOT_SOCKET_MAKER_H_
#define SENTRY_BOOT_SOCKET_MAKER_H_

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc {

// The Sentry's side. Threading: any thread.
class SocketMaker {
 public:
  // `connection`: invalid if there are no sockets at all.
  explicit SocketMaker(UniqueFd connection) : connection_(std::move(connection)) {}
  // EAFNOSUPPORT: there are none; ENETDOWN: the monitor does not answer; else as socket(2).
  Result<UniqueFd> Open(int family, int type, int protocol);

 private:
  Mutex mu_{LockRank::kLeaf};  // one request at a time
  UniqueFd connection_ ABSL_GUARDED_BY(mu_);
};

// The monitor's: answers one request. False: there will be no more.
bool ServeSocketRequest(int connection);

}  // namespace runsc

#endif  // SENTRY_BOOT_SOCKET_MAKER_H_
