// The channel between the runsc that started a sandbox and its Sentry: one packet a
// message, both ways, on a SOCK_SEQPACKET pair. When either end closes, the other one
// takes the sandbox down: nothing outlives its caller by accident.
#ifndef SENTRY_BOOT_CHANNEL_H_
#define SENTRY_BOOT_CHANNEL_H_

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "platform/base/unique_fd.h"

namespace runsc {

struct ChannelMessage {
  enum Kind : uint32_t {
    kGo = 1,              // caller: the namespaces are ready (id maps written); start
    kFailed = 2,          // Sentry: cannot start or go on; `value` is runsc's exit code, `text` why
    kExited = 3,          // Sentry: the guest's init ended; `value` is its wait status
    kSignal = 4,          // caller: signal number `value` for the command
    kStopped = 5,         // Sentry: the guest's init was stopped by signal `value` (job control)
    kGoferGone = 6,       // Sentry: the Gofer's connection has closed, and so the sandbox ends
    kTerminalSignal = 7,  // caller: signal number `value` of its terminal, for the foreground
    kAskForeground = 8,   // Sentry: is the caller's job in the foreground? 1: the guest changes the mode
    kForeground = 9,      // caller: the answer; `value` is 0 or 1
    kReady = 10,          // Sentry: everything is there; the command waits to be started
    kConnection = 11      // caller: a control connection, whose descriptor comes with it
  };
  uint32_t kind = 0;
  int32_t value = 0;
  char text[504] = {};

  static ChannelMessage Make(Kind kind, int value, std::string_view text = {}) {
    ChannelMessage message;
    message.kind = kind;
    message.value = value;
    size_t size = text.size() < sizeof(message.text) - 1 ? text.size() : sizeof(message.text) - 1;
    text.copy(message.text, size);
    return message;
  }
};

// A whole packet, with a descriptor unless `fd` is -1.
inline bool SendData(int socket, iovec data, int flags, int fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  return ::sendmsg(socket, &header, MSG_NOSIGNAL | flags) == static_cast<ssize_t>(data.iov_len);
}
// False when the other end is gone, or sent a packet of another size.
inline bool ReceiveData(int socket, iovec data, UniqueFd* fd) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  if (fd != nullptr) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  ssize_t size;
  do {
    size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  cmsghdr* rights = size > 0 && fd != nullptr ? CMSG_FIRSTHDR(&header) : nullptr;
  if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    int received;
    std::memcpy(&received, CMSG_DATA(rights), sizeof(received));
    fd->reset(received);
  }
  return size == static_cast<ssize_t>(data.iov_len) && (header.msg_flags & MSG_TRUNC) == 0;
}

inline bool SendMessage(int socket, const ChannelMessage& message, int flags = 0, int fd = -1) {
  return SendData(socket, {const_cast<ChannelMessage*>(&message), sizeof(message)}, flags, fd);
}
inline bool ReceiveMessage(int socket, ChannelMessage* message, UniqueFd* fd = nullptr) {
  const bool received = ReceiveData(socket, {message, sizeof(*message)}, fd);
  message->text[sizeof(message->text) - 1] = '\0';
  return received;
}

}  // namespace runsc

#endif  // SENTRY_BOOT_CHANNEL_H_
