#include "sentry/boot/socket_maker.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "sentry/boot/channel.h"

namespace runsc {
namespace {

constexpr int kPatience = 5000;  // milliseconds

struct Packet {
  int32_t error = 0;  // of an answer
  int32_t family = 0, type = 0, protocol = 0;
};

bool SendPacket(int socket, const Packet& packet, int fd = -1) {
  iovec data{const_cast<Packet*>(&packet), sizeof(packet)};
  return SendData(socket, data, MSG_DONTWAIT, fd);
}
bool ReceivePacket(int socket, Packet* packet, UniqueFd* fd = nullptr) {
  iovec data{packet, sizeof(*packet)};
  return ReceiveData(socket, data, fd);
}

}  // namespace

Result<UniqueFd> SocketMaker::Open(int family, int type, int protocol) {
  MutexLock lock(mu_);
  if (!connection_) return Errno(EAFNOSUPPORT);
  Packet answer;
  UniqueFd made;
  pollfd ready{connection_.get(), POLLIN, 0};
  bool served = SendPacket(connection_.get(), {0, family, type, protocol}) &&
                ::poll(&ready, 1, kPatience) > 0 && ReceivePacket(connection_.get(), &answer, &made);
  if (!served) {
    // A late answer would be taken for another request's.
    connection_.reset();
    return Errno(ENETDOWN);
  }
  if (answer.error != 0 || !made) return Errno(answer.error > 0 ? answer.error : ENETDOWN);
  return made;
}

bool ServeSocketRequest(int connection) {
  Packet request;
  if (!ReceivePacket(connection, &request)) return false;
  Packet answer;
  UniqueFd made;
  const bool is_allowed = (request.family == AF_INET || request.family == AF_INET6) &&
                          (request.type == SOCK_STREAM || request.type == SOCK_DGRAM);
  if (is_allowed)
    made.reset(::socket(request.family, request.type | SOCK_NONBLOCK | SOCK_CLOEXEC, request.protocol));
  answer.error = made ? 0 : is_allowed ? errno : EPERM;
  return SendPacket(connection, answer, made.get());
}

}  // namespace runsc
