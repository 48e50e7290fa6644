#include "sentry/socket/host_network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace runsc {
namespace {

constexpr size_t kMostAnswer = 64 << 10;
constexpr size_t kMostFile = 1 << 20;
constexpr size_t kMostInterfaces = 1024;

// What a reader's buffer holds: the host makes a dump's packets no longer than those that it was asked to
// fill, and would fill ours.
constexpr size_t kDatagram = 4096;

HostNetwork* the_network = nullptr;

// Makes one message of the host's to this process a message to the guest's socket.
void Readdress(std::span<char> message, uint32_t sequence, uint32_t port) {
  auto rewrite = [&](size_t offset) {
    nlmsghdr header;
    std::memcpy(&header, message.data() + offset, sizeof(header));
    header.nlmsg_seq = sequence;
    header.nlmsg_pid = port;
    std::memcpy(message.data() + offset, &header, sizeof(header));
    return header;
  };
  const nlmsghdr header = rewrite(0);
  // It carries the request's header back.
  if (header.nlmsg_type == NLMSG_ERROR && message.size() >= NLMSG_LENGTH(sizeof(nlmsgerr)))
    rewrite(NLMSG_HDRLEN + offsetof(nlmsgerr, msg));
}

}  // namespace

HostNetwork* GetHostNetwork() { return the_network; }
void SetHostNetwork(HostNetwork* network) { the_network = network; }

HostNetwork::HostNetwork()
    : route_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)),
      device_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  UniqueFd folder(::open("/proc/self/net", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (size_t i = 0; folder && i < kFiles.size(); ++i)
    files_[i].reset(::openat(folder.get(), std::string(kFiles[i]).c_str(), O_RDONLY | O_CLOEXEC));
}

std::vector<int> HostNetwork::Descriptors() const {
  std::vector<int> result;
  for (const UniqueFd* fd : {&route_, &device_})
    if (*fd) result.push_back(fd->get());
  for (const UniqueFd& fd : files_)
    if (fd) result.push_back(fd.get());
  return result;
}

Result<std::vector<std::string>> HostNetwork::AskRoute(std::string_view request, uint32_t port,
                                                       size_t limit) {
  if (!route_) return Errno(EPROTONOSUPPORT);
  std::string asked(request);
  nlmsghdr header;
  std::memcpy(&header, asked.data(), sizeof(header));
  const uint32_t guest_sequence = header.nlmsg_seq;
  const bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  const bool acknowledged = !dump && (header.nlmsg_flags & NLM_F_ACK) != 0;

  MutexLock lock(mu_);
  header.nlmsg_seq = ++sequence_;
  header.nlmsg_pid = 0;
  std::memcpy(asked.data(), &header, sizeof(header));
  std::vector<std::string> answers;
  std::string buffer(kMostAnswer, '\0');
  iovec block{asked.data(), asked.size()};
  msghdr message{};
  message.msg_iov = &block;
  message.msg_iovlen = 1;
  if (::sendmsg(route_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return HostErrno();
  // A dump goes on while it is read. Nothing but the answer to this request has its number.
  for (bool done = false; !done;) {
    block = {buffer.data(), buffer.size()};
    message = {};
    message.msg_iov = &block;
    message.msg_iovlen = 1;
    ssize_t got = ::recvmsg(route_.get(), &message, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) return HostErrno();
    for (size_t offset = 0; static_cast<size_t>(got) - offset >= sizeof(header);) {
      std::memcpy(&header, buffer.data() + offset, sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > static_cast<size_t>(got) - offset) break;
      if (header.nlmsg_seq != sequence_) break;
      done = done || header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR ||
             (!acknowledged && (header.nlmsg_flags & NLM_F_MULTI) == 0);
      Readdress(std::span(buffer).subspan(offset, header.nlmsg_len), guest_sequence, port);
      const size_t end = std::min<size_t>(static_cast<size_t>(got), offset + NLMSG_ALIGN(header.nlmsg_len));
      const std::string_view answer = std::string_view(buffer).substr(offset, end - offset);
      if (!answers.empty() && answers.back().size() + answer.size() <= kDatagram) {
        answers.back() += answer;
      } else if (answers.size() < limit) {
        answers.emplace_back(answer);
      }
      offset = end;
    }
  }
  return answers;
}

Result<void> HostNetwork::AskDevice(uint32_t request, ifreq* entry) const {
  if (!device_) return Errno(ENODEV);
  if (::ioctl(device_.get(), request, entry) != 0) return HostErrno();
  return Ok();
}

Result<std::vector<ifreq>> HostNetwork::Interfaces() const {
  std::vector<ifreq> entries(kMostInterfaces);
  ifconf configuration{};
  configuration.ifc_len = static_cast<int>(entries.size() * sizeof(ifreq));
  configuration.ifc_req = entries.data();
  if (!device_) return Errno(ENODEV);
  if (::ioctl(device_.get(), SIOCGIFCONF, &configuration) != 0) return HostErrno();
  entries.resize(static_cast<size_t>(configuration.ifc_len) / sizeof(ifreq));
  return entries;
}

std::string HostNetwork::ReadFile(size_t index) const {
  const UniqueFd& fd = files_[index];
  std::string text;
  // The host makes the text anew from where it is asked for, so that readers do not disturb each other.
  for (size_t length = 0; fd && length < kMostFile;) {
    text.resize(length + (16 << 10));
    iovec block{text.data() + length, text.size() - length};
    ssize_t got = ::preadv2(fd.get(), &block, 1, static_cast<off_t>(length), 0);
    text.resize(length + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) break;
    length = text.size();
  }
  return text;
}

}  // namespace runsc
