// The control messages of sendmsg(2), taken apart: struct cmsghdr and its data, one after the other.
// Threading: stateless. Linux counterpart: for_each_cmsghdr, __scm_send(); cmsg(3).
#ifndef SENTRY_SOCKET_CONTROL_MESSAGE_H_
#define SENTRY_SOCKET_CONTROL_MESSAGE_H_

#include <string_view>
#include <vector>

#include "platform/base/result.h"

namespace runsc {

struct ControlMessage {
  int level = 0;
  int type = 0;
  std::string_view data;
  std::string_view whole;  // with its header
};

// `bytes` is hostile; the result points into it. EINVAL: a length that is too small, or goes beyond the end.
// What is left at the end and is no whole header does not count.
Result<std::vector<ControlMessage>> ParseControlMessages(std::string_view bytes);

}  // namespace runsc

#endif  // SENTRY_SOCKET_CONTROL_MESSAGE_H_
