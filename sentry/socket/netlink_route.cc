#include "sentry/socket/netlink_route.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "sentry/socket/host_network.h"

namespace runsc {
namespace {

constexpr int kLoopbackIndex = 1;
constexpr unsigned kLowerUp = 1 << 16;  // IFF_LOWER_UP of linux/if.h

// One netlink message in the making.
class MessageBuilder {
 public:
  MessageBuilder(uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = sequence;
    header.nlmsg_pid = port;
    Append(header);
  }
  template <typename T>
  MessageBuilder& Append(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    Pad();
    return *this;
  }
  MessageBuilder& AppendBytes(std::string_view bytes) {
    bytes_ += bytes;
    Pad();
    return *this;
  }
  MessageBuilder& Attribute(uint16_t type, std::string_view data) {
    rtattr header{};
    header.rta_len = static_cast<uint16_t>(sizeof(header) + data.size());
    header.rta_type = type;
    bytes_.append(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes_ += data;
    Pad();
    return *this;
  }
  template <typename T>
  MessageBuilder& Value(uint16_t type, const T& value) {
    return Attribute(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
  }
  std::string Take() {
    uint32_t length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof(length));
    return std::move(bytes_);
  }

 private:
  void Pad() { bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0'); }
  std::string bytes_;
};

std::string LoopbackLink(uint16_t flags, uint32_t sequence, uint32_t port) {
  ifinfomsg info{};
  info.ifi_family = AF_UNSPEC;
  info.ifi_type = ARPHRD_LOOPBACK;
  info.ifi_index = kLoopbackIndex;
  info.ifi_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | kLowerUp;
  constexpr uint8_t kNoAddress[6] = {};
  return MessageBuilder(RTM_NEWLINK, flags, sequence, port)
      .Append(info)
      .Attribute(IFLA_IFNAME, std::string_view("lo", 3))
      .Value(IFLA_TXQLEN, uint32_t{1000})
      .Value(IFLA_OPERSTATE, uint8_t{0})
      .Value(IFLA_LINKMODE, uint8_t{0})
      .Value(IFLA_MTU, uint32_t{65536})
      .Value(IFLA_GROUP, uint32_t{0})
      .Value(IFLA_ADDRESS, kNoAddress)
      .Value(IFLA_BROADCAST, kNoAddress)
      .Value(IFLA_STATS, rtnl_link_stats{})
      .Value(IFLA_STATS64, rtnl_link_stats64{})
      .Take();
}

std::string LoopbackAddress(int family, uint32_t sequence, uint32_t port) {
  ifaddrmsg info{};
  info.ifa_family = static_cast<uint8_t>(family);
  info.ifa_prefixlen = family == AF_INET ? 8 : 128;
  info.ifa_flags = IFA_F_PERMANENT;
  info.ifa_scope = RT_SCOPE_HOST;
  info.ifa_index = kLoopbackIndex;
  MessageBuilder message(RTM_NEWADDR, NLM_F_MULTI, sequence, port);
  message.Append(info);
  if (family == AF_INET) {
    uint32_t address = htonl(INADDR_LOOPBACK);
    message.Value(IFA_ADDRESS, address)
        .Value(IFA_LOCAL, address)
        .Attribute(IFA_LABEL, std::string_view("lo", 3));
  } else {
    message.Value(IFA_ADDRESS, in6addr_loopback);
  }
  ifa_cacheinfo lifetime{UINT32_MAX, UINT32_MAX, 0, 0};
  return message.Value(IFA_FLAGS, uint32_t{IFA_F_PERMANENT}).Value(IFA_CACHEINFO, lifetime).Take();
}

std::string Done(uint32_t sequence, uint32_t port) {
  return MessageBuilder(NLMSG_DONE, NLM_F_MULTI, sequence, port).Append(int32_t{0}).Take();
}

// An error, or with 0 an acknowledgement, carries the request's header back.
std::string ErrorAnswer(int error, const nlmsghdr& request, uint32_t port) {
  nlmsgerr answer{};
  answer.error = -error;
  answer.msg = request;
  return MessageBuilder(NLMSG_ERROR, 0, request.nlmsg_seq, port).Append(answer).Take();
}

// Whether a RTM_GETLINK of one interface means lo.
bool AsksForLoopback(std::string_view body) {
  ifinfomsg info;
  if (body.size() < sizeof(info)) return false;
  std::memcpy(&info, body.data(), sizeof(info));
  if (info.ifi_index == kLoopbackIndex) return true;
  size_t offset = NLMSG_ALIGN(sizeof(info));
  while (info.ifi_index == 0 && body.size() >= offset + sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, body.data() + offset, sizeof(attribute));
    if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > body.size() - offset) return false;
    std::string_view data = body.substr(offset + sizeof(attribute), attribute.rta_len - sizeof(attribute));
    if (attribute.rta_type == IFLA_IFNAME) return data.substr(0, data.find('\0')) == "lo";
    offset += RTA_ALIGN(attribute.rta_len);
  }
  return false;
}

struct RequestKind {
  uint16_t type;
  size_t fixed;  // length of the part that always is there
  std::initializer_list<uint16_t> attributes;
};

const RequestKind* FindRequestKind(uint16_t type) {
  static const RequestKind kKinds[] = {
      {RTM_GETLINK, sizeof(ifinfomsg), {IFLA_IFNAME, IFLA_ALT_IFNAME, IFLA_EXT_MASK}},
      {RTM_GETADDR, sizeof(ifaddrmsg), {IFA_ADDRESS, IFA_LOCAL}},
      {RTM_GETROUTE,
       sizeof(rtmsg),
       {RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_TABLE, RTA_MARK, RTA_UID, RTA_IP_PROTO, RTA_SPORT,
        RTA_DPORT}},
      {RTM_GETNEIGH, sizeof(ndmsg), {NDA_DST, NDA_IFINDEX, NDA_MASTER}},
      {RTM_GETRULE, sizeof(fib_rule_hdr), {}},
      {RTM_GETQDISC, sizeof(tcmsg), {}},
  };
  for (const RequestKind& kind : kKinds)
    if (kind.type == type) return &kind;
  return nullptr;
}

void AnswerOfHost(HostNetwork& network, std::string_view request, uint32_t port, size_t limit,
                  std::vector<std::string>& queue) {
  nlmsghdr header;
  std::memcpy(&header, request.data(), sizeof(header));
  const std::string asked = HostRouteRequest(request);
  if (asked.empty()) {
    queue.push_back(ErrorAnswer(EOPNOTSUPP, header, port));
    return;
  }
  auto answers = network.AskRoute(asked, port, limit - std::min(limit, queue.size()));
  if (!answers.ok()) {
    queue.push_back(ErrorAnswer(answers.error().value(), header, port));
    return;
  }
  std::move(answers->begin(), answers->end(), std::back_inserter(queue));
}

void Answer(HostNetwork* network, std::string_view request, uint32_t port, size_t limit,
            std::vector<std::string>& queue) {
  nlmsghdr header;
  std::memcpy(&header, request.data(), sizeof(header));
  std::string_view body = request.substr(NLMSG_HDRLEN);
  if ((header.nlmsg_flags & NLM_F_REQUEST) == 0 || header.nlmsg_type < NLMSG_MIN_TYPE) return;
  uint32_t sequence = header.nlmsg_seq;
  bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  uint8_t family = body.empty() ? AF_UNSPEC : static_cast<uint8_t>(body[0]);
  // Everything of kind NEW, DEL and SET: the network is not the guest's to change.
  constexpr int kKindMask = 3, kKindGet = 2;
  if ((header.nlmsg_type & kKindMask) != kKindGet) {
    queue.push_back(ErrorAnswer(EPERM, header, port));
    return;
  }
  if (network != nullptr) return AnswerOfHost(*network, request, port, limit, queue);
  std::string answer;
  switch (header.nlmsg_type) {
    case RTM_GETLINK:
      if (!dump) {
        queue.push_back(AsksForLoopback(body) ? LoopbackLink(0, sequence, port)
                                              : ErrorAnswer(ENODEV, header, port));
        return;
      }
      answer = LoopbackLink(NLM_F_MULTI, sequence, port);
      break;
    case RTM_GETADDR:
      if (family == AF_UNSPEC || family == AF_INET) answer += LoopbackAddress(AF_INET, sequence, port);
      if (family == AF_UNSPEC || family == AF_INET6) answer += LoopbackAddress(AF_INET6, sequence, port);
      break;
    case RTM_GETROUTE:
    case RTM_GETNEIGH:
    case RTM_GETRULE:
    case RTM_GETQDISC:
      if (!dump) {
        queue.push_back(ErrorAnswer(ENETUNREACH, header, port));
        return;
      }
      break;
    default:
      queue.push_back(ErrorAnswer(EOPNOTSUPP, header, port));
      return;
  }
  if (!answer.empty()) queue.push_back(std::move(answer));
  queue.push_back(Done(sequence, port));
}

}  // namespace

std::string HostRouteRequest(std::string_view request) {
  constexpr size_t kMostData = 128;  // ALTIFNAMSIZ
  nlmsghdr header;
  std::memcpy(&header, request.data(), sizeof(header));
  const RequestKind* kind = FindRequestKind(header.nlmsg_type);
  if (kind == nullptr) return "";
  request.remove_prefix(NLMSG_HDRLEN);
  // Callers may leave out all of the fixed part but the family: struct rtgenmsg.
  std::string fixed(request.substr(0, kind->fixed));
  fixed.resize(kind->fixed, '\0');
  request.remove_prefix(std::min(request.size(), NLMSG_ALIGN(kind->fixed)));
  MessageBuilder message(header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq, 0);
  message.AppendBytes(fixed);
  while (request.size() >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, request.data(), sizeof(attribute));
    if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > request.size()) break;
    std::string_view data = request.substr(sizeof(attribute), attribute.rta_len - sizeof(attribute));
    bool known = std::find(kind->attributes.begin(), kind->attributes.end(), attribute.rta_type) !=
                 kind->attributes.end();
    if (known && data.size() <= kMostData) message.Attribute(attribute.rta_type, data);
    request.remove_prefix(std::min<size_t>(request.size(), RTA_ALIGN(attribute.rta_len)));
  }
  return message.Take();
}

std::vector<std::string> AnswerRouteRequests(HostNetwork* network, std::string_view requests, uint32_t port,
                                             size_t limit) {
  std::vector<std::string> answers;
  while (requests.size() >= sizeof(nlmsghdr) && answers.size() < limit) {
    nlmsghdr header;
    std::memcpy(&header, requests.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > requests.size()) break;
    Answer(network, requests.substr(0, header.nlmsg_len), port, limit, answers);
    requests.remove_prefix(std::min<size_t>(requests.size(), NLMSG_ALIGN(header.nlmsg_len)));
  }
  return answers;
}

}  // namespace runsc
