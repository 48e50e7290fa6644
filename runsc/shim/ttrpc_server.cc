#include "runsc/shim/ttrpc_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "platform/base/log.h"
#include "runsc/shim/proto/ttrpc.pb.h"

namespace runsc::shim {

TtrpcServer::TtrpcServer(EventLoop& loop, UniqueFd listener, std::function<void(Call)> handler)
    : loop_(loop), listener_(std::move(listener)), handler_(std::move(handler)) {
  loop_.Watch(listener_.get(), POLLIN, [this](short) { Accept(); });
}

TtrpcServer::~TtrpcServer() {
  loop_.Forget(listener_.get());
  for (const auto& [id, connection] : connections_) loop_.Forget(connection.socket.get());
}

bool TtrpcServer::is_idle() const {
  for (const auto& [id, connection] : connections_) {
    if (!connection.output.empty()) return false;
  }
  return true;
}

void TtrpcServer::Accept() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  uint64_t id = next_id_++;
  loop_.Watch(socket.get(), POLLIN, [this, id](short events) { Handle(id, events); });
  connections_[id].socket = std::move(socket);
}

void TtrpcServer::Handle(uint64_t id, short events) {
  Connection& connection = connections_.at(id);
  if ((events & POLLOUT) != 0) Flush(id, connection);
  if ((events & ~POLLOUT) == 0 || !connections_.contains(id)) return;
  char bytes[16384];
  ssize_t size = ::recv(connection.socket.get(), bytes, sizeof(bytes), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return Close(id);
  connection.reader.Append({bytes, static_cast<size_t>(size)});
  while (std::optional<Frame> frame = connection.reader.Next()) {
    HandleFrame(id, *std::move(frame));
    if (!connections_.contains(id)) return;
  }
  if (connection.reader.is_broken()) {
    LOG_ERROR("a client of the shim sent a message of more than {} bytes", Frame::kMaxData);
    Close(id);
  }
}

void TtrpcServer::HandleFrame(uint64_t id, Frame frame) {
  // Data belongs to streams, which nobody can have begun.
  if (frame.type != Frame::kRequest || frame.stream % 2 == 0) return;
  ttrpc::Request request;
  if (!request.ParseFromString(frame.data))
    return Respond(id, frame.stream, absl::InvalidArgumentError("not a ttrpc request"));
  Call call;
  call.service = std::move(*request.mutable_service());
  call.method = std::move(*request.mutable_method());
  call.payload = std::move(*request.mutable_payload());
  call.reply = [this, id, stream = frame.stream](const absl::StatusOr<std::string>& result) {
    Respond(id, stream, result);
  };
  handler_(std::move(call));
}

void TtrpcServer::Respond(uint64_t id, uint32_t stream, const absl::StatusOr<std::string>& result) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  ttrpc::Response response;
  if (result.ok() && result->size() <= Frame::kMaxData / 2) {
    response.set_payload(*result);
  } else {
    absl::Status status =
        result.ok() ? absl::ResourceExhaustedError("the response is too long") : result.status();
    response.mutable_status()->set_code(static_cast<int>(status.code()));
    response.mutable_status()->set_message(std::string(status.message().substr(0, 65536)));
  }
  found->second.output += EncodeFrame(stream, Frame::kResponse, response.SerializeAsString());
  Flush(id, found->second);
}

void TtrpcServer::Flush(uint64_t id, Connection& connection) {
  while (!connection.output.empty()) {
    ssize_t size =
        ::send(connection.socket.get(), connection.output.data(), connection.output.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    // Not closed here: whoever responds may stand in a callback of this connection.
    if (size < 0) {
      connection.output.clear();
      loop_.Post([this, id] { Close(id); });
      return;
    }
    connection.output.erase(0, static_cast<size_t>(size));
  }
  loop_.SetEvents(connection.socket.get(), connection.output.empty() ? POLLIN : POLLIN | POLLOUT);
}

void TtrpcServer::Close(uint64_t id) {
  auto found = connections_.find(id);
  if (found == connections_.end()) return;
  loop_.Forget(found->second.socket.get());
  connections_.erase(found);
}

}  // namespace runsc::shim
