#include "sentry/socket/netlink_socket.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace runsc {
namespace {

constexpr size_t kMaxRequest = 32 << 10;
constexpr size_t kMaxQueued = 256;
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

}  // namespace

Result<RefPtr<SocketFile>> NetlinkSocket::Create(Task& task, int type, int protocol, int flags) {
  if (type != SOCK_RAW && type != SOCK_DGRAM) return Errno(ESOCKTNOSUPPORT);
  if (protocol != NETLINK_ROUTE) return Errno(EPROTONOSUPPORT);
  return RefPtr<SocketFile>(MakeRef<NetlinkSocket>(AF_NETLINK, type, protocol, flags));
}

uint32_t NetlinkSocket::PortId(Task* task) {
  if (port_ == 0) {
    // The first socket of a process has its pid, the others numbers that no pid has.
    static std::atomic<uint32_t> next{UINT32_MAX - 4096};
    static std::atomic<bool> pid_taken{false};
    bool first = task != nullptr && !pid_taken.exchange(true);
    port_ = first ? static_cast<uint32_t>(task->thread_group().pid()) : next.fetch_sub(1);
  }
  return port_;
}

Result<void> NetlinkSocket::Bind(Task& task, const SocketAddress& address) {
  sockaddr_nl name;
  if (address.bytes.size() < sizeof(name) || address.family() != AF_NETLINK) return Errno(EINVAL);
  std::memcpy(&name, address.bytes.data(), sizeof(name));
  MutexLock lock(mu_);
  if (port_ != 0 && name.nl_pid != 0 && name.nl_pid != port_) return Errno(EINVAL);
  if (name.nl_pid != 0) port_ = name.nl_pid;
  PortId(&task);
  groups_ = name.nl_groups;
  return Ok();
}

Result<void> NetlinkSocket::Connect(Task& task, const SocketAddress& address) {
  if (address.family() == AF_UNSPEC) return Ok();
  if (address.bytes.size() < sizeof(sockaddr_nl) || address.family() != AF_NETLINK) return Errno(EINVAL);
  MutexLock lock(mu_);
  PortId(&task);
  return Ok();
}

Result<size_t> NetlinkSocket::Send(Task* task, IoSequence& from, SendRequest& request) {
  if ((request.flags & MSG_OOB) != 0) return Errno(EOPNOTSUPP);
  if (!request.address.empty()) {
    sockaddr_nl name;
    if (request.address.bytes.size() < sizeof(name) || request.address.family() != AF_NETLINK)
      return Errno(EINVAL);
    std::memcpy(&name, request.address.bytes.data(), sizeof(name));
    if (name.nl_pid != 0) return Errno(ECONNREFUSED);
    if (name.nl_groups != 0) return Errno(EPERM);
  }
  if (from.size() > kMaxRequest) return Errno(EMSGSIZE);
  std::string bytes(from.size(), '\0');
  ASSIGN_OR_RETURN(size_t length, from.CopyIn(std::as_writable_bytes(std::span(bytes))));
  bytes.resize(length);
  {
    MutexLock lock(mu_);
    if (queue_.size() > kMaxQueued) return Errno(ENOBUFS);
    uint32_t port = PortId(task);
    size_t offset = 0;
    while (bytes.size() - offset >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      std::memcpy(&header, bytes.data() + offset, sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > bytes.size() - offset) break;
      Answer(std::string_view(bytes).substr(offset, header.nlmsg_len), port);
      offset = std::min<size_t>(bytes.size(), offset + NLMSG_ALIGN(header.nlmsg_len));
    }
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return length;
}

void NetlinkSocket::Answer(std::string_view request, uint32_t port) {
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
    queue_.push_back(ErrorAnswer(EPERM, header, port));
    return;
  }
  std::string answer;
  switch (header.nlmsg_type) {
    case RTM_GETLINK:
      if (!dump) {
        queue_.push_back(AsksForLoopback(body) ? LoopbackLink(0, sequence, port)
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
        queue_.push_back(ErrorAnswer(ENETUNREACH, header, port));
        return;
      }
      break;
    default:
      queue_.push_back(ErrorAnswer(EOPNOTSUPP, header, port));
      return;
  }
  if (!answer.empty()) queue_.push_back(std::move(answer));
  queue_.push_back(Done(sequence, port));
}

Result<size_t> NetlinkSocket::Receive(IoSequence& to, int flags, ReceivedMessage* message) {
  MutexLock lock(mu_);
  if (queue_.empty()) return Errno(EAGAIN);
  const std::string& front = queue_.front();
  message->length = front.size();
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  message->address = {std::string(reinterpret_cast<const char*>(&kernel), sizeof(kernel))};
  if (pass_credentials()) message->credentials = SocketCredentials{nullptr, 0, 0, 0};
  ASSIGN_OR_RETURN(size_t copied, to.CopyOut(std::as_bytes(std::span(front))));
  if (copied < front.size()) message->flags |= MSG_TRUNC;
  if ((flags & MSG_PEEK) == 0) queue_.pop_front();
  return copied;
}

Result<SocketAddress> NetlinkSocket::LocalAddress() {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  MutexLock lock(mu_);
  name.nl_pid = port_;
  name.nl_groups = groups_;
  return SocketAddress{std::string(reinterpret_cast<const char*>(&name), sizeof(name))};
}

Result<SocketAddress> NetlinkSocket::PeerAddress() {
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  return SocketAddress{std::string(reinterpret_cast<const char*>(&name), sizeof(name))};
}

Result<std::string> NetlinkSocket::GetOption(Task& task, int level, int name, size_t limit) {
  if (level != SOL_NETLINK) return SocketFile::GetOption(task, level, name, limit);
  return std::string(sizeof(int), '\0');
}

Result<void> NetlinkSocket::SetOption(Task& task, int level, int name, std::string_view value) {
  if (level != SOL_NETLINK) return SocketFile::SetOption(task, level, name, value);
  switch (name) {
    case NETLINK_ADD_MEMBERSHIP:  // nothing ever changes, so nothing is ever told
    case NETLINK_DROP_MEMBERSHIP:
    case NETLINK_PKTINFO:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
    case NETLINK_CAP_ACK:
    case NETLINK_NO_ENOBUFS:
      return Ok();
    default:
      return Errno(ENOPROTOOPT);
  }
}

EventMask NetlinkSocket::Readiness(EventMask mask) {
  MutexLock lock(mu_);
  EventMask events = EPOLLOUT | EPOLLWRNORM;
  if (!queue_.empty()) events |= EPOLLIN | EPOLLRDNORM;
  return events & mask;
}

}  // namespace runsc
