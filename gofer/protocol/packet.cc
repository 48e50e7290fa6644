#include "gofer/protocol/packet.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace runsc::gofer {

Result<void> SendPacket(int socket, std::span<const std::byte> packet, std::span<const UniqueFd> donated) {
  iovec iov{const_cast<std::byte*>(packet.data()), packet.size()};
  if (donated.size() > kMaxDonated) return Errno(E2BIG);
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDonated * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!donated.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(donated.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(donated.size() * sizeof(int));
    for (size_t i = 0; i < donated.size(); ++i) {
      const int fd = donated[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return HostErrno();
  }
  return Ok();
}

Result<std::span<const std::byte>> ReceivePacket(int socket, std::span<std::byte> buffer,
                                                 std::vector<UniqueFd>* fds) {
  iovec iov{buffer.data(), buffer.size()};
  // Room for one more than is allowed, so that one too many is seen.
  alignas(cmsghdr) char control[CMSG_SPACE((kMaxDonated + 1) * sizeof(int))];
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = fds != nullptr ? control : nullptr;
  message.msg_controllen = fds != nullptr ? sizeof(control) : 0;
  ssize_t size = 0;
  do {
    size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return HostErrno();

  if (fds != nullptr) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        fds->emplace_back(fd);
      }
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Errno(EPROTO);
  if (size == 0) return Errno(ECONNRESET);
  std::span<const std::byte> packet = buffer.first(static_cast<size_t>(size));
  if (packet.size() < sizeof(Header)) return Errno(EPROTO);
  Header header = HeaderOf(packet);
  if (header.length != packet.size() || header.fds != (fds != nullptr ? fds->size() : 0))
    return Errno(EPROTO);
  return packet;
}

}  // namespace runsc::gofer
