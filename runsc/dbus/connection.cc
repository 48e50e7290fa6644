#include "runsc/dbus/connection.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxLine = 4096;          // bytes, of the authentication
constexpr size_t kMaxKeptSignals = 10000;  // while one call is waited for

// %2f and so on ("Server Addresses" in the specification); nothing if it is not right.
std::optional<std::string> Unescape(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t byte = 0;
    if (text[i] != '%') {
      result += text[i];
    } else if (i + 2 < text.size() && absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte) && byte != 0) {
      result += static_cast<char>(byte);
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return result;
}

// The user as the socket's other side sees him: in a user namespace that is another number.
uid_t OutsideUid() {
  std::ifstream map("/proc/self/uid_map");
  const uint64_t own = ::geteuid();
  uint64_t inside = 0, outside = 0, count = 0;
  while (map >> inside >> outside >> count) {
    if (own >= inside && own - inside < count) return static_cast<uid_t>(outside + (own - inside));
  }
  return ::geteuid();
}

std::string Hex(std::string_view text) {
  std::string hex;
  for (char c : text) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

absl::Status Failed(std::string_view what, int error) {
  return absl::UnavailableError(fmt::format("{}: {}", what, ErrorText(error)));
}

absl::StatusOr<UniqueFd> ConnectSocket(const std::string& socket,
                                       DbusConnection::Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.empty() || socket.size() >= sizeof(address.sun_path))
    return absl::NotFoundError(fmt::format("{}: is no name of a socket", socket));
  std::copy(socket.begin(), socket.end(), address.sun_path);
  if (socket[0] == '@') address.sun_path[0] = '\0';
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Failed(socket, errno);
  while (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED)
      return absl::NotFoundError(fmt::format("{}: {}", socket, ErrorText(errno)));
    // Its queue is full.
    if ((errno != EAGAIN && errno != EINTR) || DbusConnection::Clock::now() > deadline)
      return Failed(socket, errno);
    ::poll(nullptr, 0, 10);
  }
  return fd;
}

}  // namespace

std::vector<std::string> DbusSockets(std::string_view addresses) {
  std::vector<std::string> sockets;
  for (absl::string_view address :
       absl::StrSplit(absl::string_view(addresses.data(), addresses.size()), ';', absl::SkipEmpty())) {
    if (address.substr(0, 5) != "unix:") continue;
    for (absl::string_view pair : absl::StrSplit(address.substr(5), ',')) {
      std::pair<absl::string_view, absl::string_view> key_value =
          absl::StrSplit(pair, absl::MaxSplits('=', 1));
      std::optional<std::string> value = Unescape(key_value.second);
      if (!value || value->empty()) continue;
      if (key_value.first == "path") sockets.push_back(*value);
      if (key_value.first == "abstract") sockets.push_back("@" + *value);
    }
  }
  return sockets;
}

absl::StatusOr<DbusConnection> DbusConnection::Connect(const std::string& socket, Server server,
                                                       Clock::time_point deadline) {
  absl::StatusOr<DbusConnection> connection = absl::UnknownError("");
  for (Identity identity : {kNamed, kOfSocket}) {
    absl::StatusOr<UniqueFd> fd = ConnectSocket(socket, deadline);
    if (!fd.ok()) return fd.status();
    connection = Begin(*std::move(fd), server, identity, deadline);
    if (!absl::IsPermissionDenied(connection.status())) break;
  }
  if (connection.ok()) return connection;
  return absl::Status(connection.status().code(),
                      fmt::format("{}: {}", socket, std::string(connection.status().message())));
}

absl::StatusOr<DbusConnection> DbusConnection::Begin(UniqueFd socket, Server server, Identity identity,
                                                     Clock::time_point deadline) {
  DbusConnection connection(std::move(socket));
  if (absl::Status status = connection.Authenticate(identity, deadline); !status.ok()) return status;
  if (server == kPeer) return connection;
  DbusMessage hello;
  hello.destination = "org.freedesktop.DBus";
  hello.path = "/org/freedesktop/DBus";
  hello.interface = "org.freedesktop.DBus";
  hello.member = "Hello";
  absl::StatusOr<DbusMessage> answer = connection.Call(hello, {}, deadline);
  if (!answer.ok()) return answer.status();
  if (answer->type == DbusMessage::kError)
    return absl::UnavailableError(fmt::format("the bus refuses us: {}", answer->error_name));
  return connection;
}

// The byte 0 is what credentials come with on systems that need one. All is said at once: systemd sleeps on a
// message that it has read together with BEGIN until there is another one.
absl::Status DbusConnection::Authenticate(Identity identity, Clock::time_point deadline) {
  std::string words(1, '\0');
  words += identity == kNamed ? fmt::format("AUTH EXTERNAL {}\r\n", Hex(std::to_string(OutsideUid())))
                              : "AUTH EXTERNAL\r\nDATA\r\n";
  if (absl::Status sent = Send(words + "BEGIN\r\n", deadline); !sent.ok()) return sent;
  absl::StatusOr<std::string> answer = ReceiveLine(deadline);
  if (answer.ok() && identity == kOfSocket && answer->starts_with("DATA")) answer = ReceiveLine(deadline);
  if (!answer.ok()) return answer.status();
  if (answer->starts_with("OK")) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("the D-Bus server does not accept us: '{}'", answer->substr(0, 100)));
}

absl::Status DbusConnection::WaitFor(short events, Clock::time_point deadline) {
  while (true) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd poll{socket_.get(), events, 0};
    int count = ::poll(&poll, 1, static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX)));
    if (count > 0) return absl::OkStatus();
    if (count < 0 && errno != EINTR) return Failed("D-Bus", errno);
    if (left <= 0) return absl::DeadlineExceededError("the D-Bus server does not answer in time");
  }
}

absl::Status DbusConnection::Send(std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      if (absl::Status status = WaitFor(POLLOUT, deadline); !status.ok()) return status;
    } else if (errno != EINTR) {
      return Failed("the connection to the D-Bus server is lost", errno);
    }
  }
  return absl::OkStatus();
}

absl::Status DbusConnection::ReceiveMore(Clock::time_point deadline) {
  char buffer[4096];
  while (true) {
    if (absl::Status status = WaitFor(POLLIN, deadline); !status.ok()) return status;
    ssize_t count = ::recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count > 0) {
      received_.append(buffer, static_cast<size_t>(count));
      return absl::OkStatus();
    }
    if (count == 0) return absl::UnavailableError("the D-Bus server has closed the connection");
    if (errno != EAGAIN && errno != EINTR) return Failed("the connection to the D-Bus server is lost", errno);
  }
}

absl::StatusOr<std::string> DbusConnection::ReceiveLine(Clock::time_point deadline) {
  size_t end;
  while ((end = received_.find("\r\n")) == std::string::npos) {
    if (received_.size() > kMaxLine) return absl::DataLossError("the D-Bus server says too much");
    if (absl::Status status = ReceiveMore(deadline); !status.ok()) return status;
  }
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 2);
  return line;
}

absl::StatusOr<DbusMessage> DbusConnection::ReceiveMessage(Clock::time_point deadline) {
  auto wait_for = [&](size_t size) {
    absl::Status status;
    // Messages of no interest must not make the wait longer.
    if (Clock::now() > deadline)
      return absl::DeadlineExceededError("the D-Bus server does not answer in time");
    while (status.ok() && received_.size() < size) status = ReceiveMore(deadline);
    return status;
  };
  if (absl::Status status = wait_for(kDbusFixedHeader); !status.ok()) return status;
  absl::StatusOr<size_t> size = DbusMessageSize(received_);
  if (!size.ok()) return size.status();
  if (absl::Status status = wait_for(*size); !status.ok()) return status;
  absl::StatusOr<DbusMessage> message = DecodeDbusMessage(std::string_view(received_).substr(0, *size));
  received_.erase(0, *size);
  return message;
}

void DbusConnection::KeepSignals(std::string interface, std::string member) {
  interface_ = std::move(interface);
  member_ = std::move(member);
}

void DbusConnection::KeepIfAsked(DbusMessage message) {
  if (message.type != DbusMessage::kSignal || message.interface != interface_ || message.member != member_)
    return;
  if (signals_.size() == kMaxKeptSignals) signals_.pop_front();
  signals_.push_back(std::move(message));
}

absl::StatusOr<DbusMessage> DbusConnection::Call(DbusMessage call, const std::vector<DbusValue>& arguments,
                                                 Clock::time_point deadline) {
  call.type = DbusMessage::kCall;
  call.serial = ++last_serial_;
  if (absl::Status sent = Send(EncodeDbusMessage(call, arguments), deadline); !sent.ok()) return sent;
  while (true) {
    absl::StatusOr<DbusMessage> message = ReceiveMessage(deadline);
    if (!message.ok()) return message.status();
    const bool is_reply = message->type == DbusMessage::kReturn || message->type == DbusMessage::kError;
    if (is_reply && message->reply_serial == call.serial) return message;
    KeepIfAsked(*std::move(message));
  }
}

absl::StatusOr<DbusMessage> DbusConnection::NextSignal(Clock::time_point deadline) {
  while (signals_.empty()) {
    absl::StatusOr<DbusMessage> message = ReceiveMessage(deadline);
    if (!message.ok()) return message.status();
    KeepIfAsked(*std::move(message));
  }
  DbusMessage first = std::move(signals_.front());
  signals_.pop_front();
  return first;
}

}  // namespace runsc
