#include "sentry/control/messages.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cerrno>

#include "sentry/fsimpl/host_backing_file.h"

namespace runsc {

bool SendControl(int socket, const ControlMessage& message, const std::vector<int>& fds, int flags) {
  if (fds.size() > kMaxControlFds) return false;
  iovec data{const_cast<ControlMessage*>(&message), sizeof(message)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxControlFds * sizeof(int))];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    std::memset(control, 0, header.msg_controllen);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t size;
  do {
    size = ::sendmsg(socket, &header, MSG_NOSIGNAL | flags);
  } while (size < 0 && errno == EINTR);
  return size == static_cast<ssize_t>(sizeof(message));
}

bool ReceiveControl(int socket, ControlMessage* message, std::vector<UniqueFd>* fds) {
  iovec data{message, sizeof(*message)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxControlFds * sizeof(int))];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  std::vector<UniqueFd> received;
  for (cmsghdr* part = size > 0 ? CMSG_FIRSTHDR(&header) : nullptr; part != nullptr;
       part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
      received.emplace_back(fd);
    }
  }
  if (fds != nullptr) *fds = std::move(received);
  return size == static_cast<ssize_t>(sizeof(*message)) && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

std::optional<std::vector<std::byte>> ReadControlFile(int fd) {
  struct stat status {};
  if (HostFstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if (status.st_size <= 0 || static_cast<uint64_t>(status.st_size) > kMaxControlFile) return std::nullopt;
  std::vector<std::byte> bytes(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    iovec part{bytes.data() + done, bytes.size() - done};
    ssize_t size = ::preadv2(fd, &part, 1, static_cast<off_t>(done), 0);
    if (size <= 0) return std::nullopt;
    done += static_cast<size_t>(size);
  }
  return bytes;
}

}  // namespace runsc
