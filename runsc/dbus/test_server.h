// DbusTestServer: the other side of a connection, on a thread, for tests. It makes no assertions.
#ifndef RUNSC_DBUS_TEST_SERVER_H_
#define RUNSC_DBUS_TEST_SERVER_H_

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runsc/dbus/connection.h"

namespace runsc {

// A server: gets what came, says what it answers. Its end closes the connection.
class DbusTestServer {
 public:
  // Called with all that has come so far, whenever more has; what to send, and whether to go on.
  using Script = std::function<bool(std::string& received, std::string* answer)>;

  explicit DbusTestServer(Script script) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) ::abort();
    client_.reset(pair[0]);
    thread_ = std::thread([fd = pair[1], script = std::move(script)] {
      std::string received;
      char buffer[4096];
      ssize_t count;
      while ((count = ::read(fd, buffer, sizeof(buffer))) > 0) {
        received.append(buffer, static_cast<size_t>(count));
        std::string answer;
        bool goes_on = script(received, &answer);
        if (!answer.empty() && ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
        if (!goes_on) break;
      }
      ::close(fd);
    });
  }
  ~DbusTestServer() {
    client_.reset();
    thread_.join();
  }
  absl::StatusOr<DbusConnection> Begin(std::chrono::milliseconds patience = std::chrono::milliseconds(2000),
                                       DbusConnection::Identity identity = DbusConnection::kNamed) {
    return DbusConnection::Begin(std::move(client_), DbusConnection::kPeer, identity,
                                 DbusConnection::Clock::now() + patience);
  }

 private:
  UniqueFd client_;
  std::thread thread_;
};

// True once the client has said BEGIN; what came until then is taken away.
inline bool TakeDbusBegin(std::string& received, bool* begun, std::string* answer) {
  if (*begun) return true;
  size_t at = received.find("BEGIN\r\n");
  if (at == std::string::npos) return false;
  received.erase(0, at + 7);
  *begun = true;
  *answer = "OK 0123456789abcdef0123456789abcdef\r\n";
  return true;
}

// Answers each call with the bytes that `reply` makes of it.
inline DbusTestServer::Script DbusAnswers(std::function<std::string(const DbusMessage& call)> reply) {
  return [begun = false, reply = std::move(reply)](std::string& received, std::string* answer) mutable {
    if (!TakeDbusBegin(received, &begun, answer)) return true;
    while (received.size() >= kDbusFixedHeader) {
      auto size = DbusMessageSize(received);
      if (!size.ok()) return false;
      if (received.size() < *size) break;
      auto call = DecodeDbusMessage(std::string_view(received).substr(0, *size));
      received.erase(0, *size);
      if (!call.ok()) return false;
      *answer += reply(*call);
    }
    return true;
  };
}

inline std::string DbusReturn(uint32_t to, const std::vector<DbusValue>& arguments) {
  DbusMessage message;
  message.type = DbusMessage::kReturn;
  message.serial = 100;
  message.reply_serial = to;
  return EncodeDbusMessage(message, arguments);
}

}  // namespace runsc

#endif  // RUNSC_DBUS_TEST_SERVER_H_
