// DbusConnection: a client's connection to a D-Bus server over a unix socket, either a message bus or a
// program that speaks D-Bus itself (as systemd does on its private socket). One call at a time; each ends by
// a deadline.
//
// Who we are is proven by the socket (EXTERNAL), never by a secret. Called by one thread.
#ifndef RUNSC_DBUS_CONNECTION_H_
#define RUNSC_DBUS_CONNECTION_H_

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/dbus/message.h"

namespace runsc {

// Of the addresses of DBUS_SESSION_BUS_ADDRESS and its like ("unix:path=/run/user/1000/bus,guid=…;…") those
// that are unix sockets: a path, or '@' and an abstract name.
std::vector<std::string> DbusSockets(std::string_view addresses);

class DbusConnection {
 public:
  using Clock = std::chrono::steady_clock;
  enum Server { kBus, kPeer };
  // By our user's number, or by what the server sees of the socket: in namespaces inside namespaces we do not
  // know the number, and servers before systemd 247 want it.
  enum Identity { kNamed, kOfSocket };

  // `socket` as DbusSockets has it. NotFound if nobody listens there, or there is no such socket.
  static absl::StatusOr<DbusConnection> Connect(const std::string& socket, Server server,
                                                Clock::time_point deadline);
  // Over a socket that is connected already. PermissionDenied if we are not who we say.
  static absl::StatusOr<DbusConnection> Begin(UniqueFd socket, Server server, Identity identity,
                                              Clock::time_point deadline);

  // Sends a call (path, interface, member and, for a bus, destination are the caller's) and waits for what it
  // leads to: a return, or an error, which is a message too.
  absl::StatusOr<DbusMessage> Call(DbusMessage call, const std::vector<DbusValue>& arguments,
                                   Clock::time_point deadline);
  // Signals by this name are kept from now on; others are dropped.
  void KeepSignals(std::string interface, std::string member);
  // The next of them, in the order in which they came.
  absl::StatusOr<DbusMessage> NextSignal(Clock::time_point deadline);

 private:
  explicit DbusConnection(UniqueFd socket) : socket_(std::move(socket)) {}
  absl::Status Authenticate(Identity identity, Clock::time_point deadline);
  absl::Status Send(std::string_view bytes, Clock::time_point deadline);
  // At least one byte more in received_.
  absl::Status ReceiveMore(Clock::time_point deadline);
  absl::StatusOr<std::string> ReceiveLine(Clock::time_point deadline);
  absl::StatusOr<DbusMessage> ReceiveMessage(Clock::time_point deadline);
  absl::Status WaitFor(short events, Clock::time_point deadline);
  void KeepIfAsked(DbusMessage message);

  UniqueFd socket_;
  std::string received_;
  uint32_t last_serial_ = 0;
  std::string interface_, member_;  // of the signals that are kept
  std::deque<DbusMessage> signals_;
};

}  // namespace runsc

#endif  // RUNSC_DBUS_CONNECTION_H_
