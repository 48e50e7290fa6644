// What a guest hands to sendmsg(2): control messages, and requests on a netlink socket.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "sentry/socket/control_message.h"
#include "sentry/socket/netlink_route.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {
namespace {

constexpr size_t kLimit = 64;

void TryControl(std::string_view bytes) {
  Result<std::vector<ControlMessage>> messages = ParseControlMessages(bytes);
  if (!messages.ok()) return;
  for (const ControlMessage& message : *messages) {
    CHECK(message.whole.data() >= bytes.data());
    CHECK(message.whole.data() + message.whole.size() <= bytes.data() + bytes.size());
    CHECK(message.data.size() + sizeof(cmsghdr) == message.whole.size());
  }
}

// Every answer is a list of well-formed messages.
void TryNetlink(std::string_view bytes) {
  std::vector<std::string> answers = AnswerRouteRequests(nullptr, bytes, 7, kLimit);
  CHECK(answers.size() <= kLimit + 1);
  for (std::string_view answer : answers) {
    while (!answer.empty()) {
      nlmsghdr header;
      CHECK(answer.size() >= sizeof(header));
      std::memcpy(&header, answer.data(), sizeof(header));
      CHECK(header.nlmsg_len >= sizeof(header) && header.nlmsg_len <= answer.size());
      CHECK(header.nlmsg_len % NLMSG_ALIGNTO == 0 && header.nlmsg_pid == 7);
      answer.remove_prefix(header.nlmsg_len);
    }
  }
}

// What would go on to the host is one well-formed message, no longer than what was asked with.
void TryPassedOn(std::string_view bytes) {
  constexpr size_t kMostFixed = 64;
  nlmsghdr header;
  if (bytes.size() < sizeof(header)) return;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const std::string passed = HostRouteRequest(bytes);
  if (passed.empty()) return;
  nlmsghdr made;
  CHECK(passed.size() >= sizeof(made) && passed.size() <= bytes.size() + kMostFixed);
  std::memcpy(&made, passed.data(), sizeof(made));
  CHECK(made.nlmsg_len == passed.size() && made.nlmsg_type == header.nlmsg_type);
}

std::string Request(uint16_t type, uint16_t flags, std::string_view body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header.nlmsg_seq = 1;
  return Raw(header).append(body);
}

}  // namespace

std::vector<std::string> Seeds() {
  cmsghdr rights{CMSG_LEN(8), SOL_SOCKET, SCM_RIGHTS};
  cmsghdr credentials{CMSG_LEN(sizeof(ucred)), SOL_SOCKET, SCM_CREDENTIALS};
  ifinfomsg info{};
  rtattr name{sizeof(rtattr) + 3, IFLA_IFNAME};
  std::string by_name = Raw(info, name).append("lo\0\0", 4);
  return {Raw(rights, 3, 4, credentials, ucred{1, 2, 3}, 0),
          Request(RTM_GETLINK, NLM_F_DUMP, Raw(info)) + Request(RTM_GETADDR, NLM_F_DUMP, Raw(rtgenmsg{})),
          Request(RTM_GETLINK, 0, by_name), Request(RTM_NEWADDR, 0, ""),
          Request(RTM_GETROUTE, NLM_F_DUMP, "\2")};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  runsc::fuzz::TryControl(input);
  runsc::fuzz::TryNetlink(input);
  runsc::fuzz::TryPassedOn(input);
  return 0;
}
