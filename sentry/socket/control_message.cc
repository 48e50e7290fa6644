#include "sentry/socket/control_message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace runsc {

Result<std::vector<ControlMessage>> ParseControlMessages(std::string_view bytes) {
  std::vector<ControlMessage> messages;
  while (bytes.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.cmsg_len < sizeof(header) || header.cmsg_len > bytes.size()) return Errno(EINVAL);
    std::string_view whole = bytes.substr(0, header.cmsg_len);
    messages.push_back({header.cmsg_level, header.cmsg_type, whole.substr(sizeof(header)), whole});
    bytes.remove_prefix(std::min<size_t>(bytes.size(), CMSG_ALIGN(header.cmsg_len)));
  }
  return messages;
}

}  // namespace runsc
