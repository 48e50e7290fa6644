#include "runsc/sandbox/pod_member.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "sentry/boot/pod.h"
#include "sentry/control/messages.h"

namespace runsc {
namespace {

UniqueFd FileOf(const std::vector<std::byte>& bytes) {
  UniqueFd fd(::memfd_create("container", MFD_CLOEXEC));
  size_t done = 0;
  while (fd && done < bytes.size()) {
    ssize_t size = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (size <= 0) return UniqueFd();
    done += static_cast<size_t>(size);
  }
  return fd;
}

// Whether the Sentry, which is in its monitor's, has another network namespace than this process.
bool HasOwnNetwork(pid_t pods_monitor) {
  struct stat own {
  }, other{};
  return ::stat("/proc/self/ns/net", &own) != 0 ||
         ::stat(fmt::format("/proc/{}/ns/net", pods_monitor).c_str(), &other) != 0 ||
         own.st_dev != other.st_dev || own.st_ino != other.st_ino;
}

UniqueFd FileOfSpec(SandboxOptions& options, bool own_network, bool has_sockets) {
  PodContainerSpec spec;
  spec.id = options.boot.container_id;
  spec.pid = options.container->pid;
  spec.uts = options.container->uts;
  spec.ipc = options.container->ipc;
  spec.time = options.container->time;
  spec.hostname = options.boot.hostname;
  spec.domainname = options.boot.domainname;
  spec.time_offsets = options.boot.time_offsets;
  spec.own_network = own_network;
  spec.has_sockets = has_sockets;
  spec.process = options.boot.process;
  spec.tree = std::move(*options.boot.container);
  spec.root_overlay = options.boot.root_overlay;
  spec.root_read_only = options.boot.root_read_only;
  spec.root_propagation = options.boot.root_propagation;
  return FileOf(EncodePodContainer(spec));
}

}  // namespace

std::string JoinPod(SandboxOptions& options, UniqueFd& channel) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return fmt::format("cannot start: {}", HostErrno().message());
  channel.reset(pair[0]);
  UniqueFd other_end(pair[1]);
  const bool own_network = HasOwnNetwork(options.container->pods_monitor);
  UniqueFd sockets;
  // Not with --network=none: a namespace with nothing but a loopback interface is only to be had with a
  // Sentry.
  if (own_network && options.boot.host_sockets && !options.boot.own_network) {
    int connection[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, connection) != 0)
      return fmt::format("cannot start: {}", HostErrno().message());
    options.container->socket_requests.reset(connection[0]);
    sockets.reset(connection[1]);
  }
  UniqueFd spec = FileOfSpec(options, own_network, static_cast<bool>(sockets));
  UniqueFd ended(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!spec || !ended || !wake) return fmt::format("cannot start: {}", HostErrno().message());

  std::vector<int> files = {spec.get(), options.boot.gofer_socket.get(), other_end.get(), ended.get(),
                            wake.get()};
  if (sockets) files.push_back(sockets.get());
  int streams = 0;
  for (int fd = 0; fd < 3; ++fd) {
    if (options.boot.stdio[static_cast<size_t>(fd)] < 0) continue;
    streams |= 1 << fd;
    files.push_back(options.boot.stdio[static_cast<size_t>(fd)]);
  }
  files.insert(files.end(), options.boot.more_files.begin(), options.boot.more_files.end());
  int pod = options.container->pod.get();
  ControlMessage reply;
  if (!SendControl(pod, ControlMessage::Make(ControlMessage::kAddContainer, streams), files) ||
      !ReceiveControl(pod, &reply))
    return "the sandbox that the container was to be in has ended";
  options.container->pod.reset();
  if (reply.kind == ControlMessage::kDone) return "";
  reply.text[sizeof(reply.text) - 1] = '\0';
  return reply.kind == ControlMessage::kFailed ? std::string(reply.text) : "the sandbox gave no answer";
}

}  // namespace runsc
