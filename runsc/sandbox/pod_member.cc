#include "runsc/sandbox/pod_member.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
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

UniqueFd FileOfSpec(SandboxOptions& options) {
  PodContainerSpec spec;
  spec.process = options.boot.process;
  spec.tree = std::move(*options.boot.container);
  spec.root_overlay = options.boot.root_overlay;
  spec.root_read_only = options.boot.root_read_only;
  spec.root_propagation = options.boot.root_propagation;
  spec.shares_pids = options.container->shares_pids;
  return FileOf(EncodePodContainer(spec));
}

}  // namespace

std::string JoinPod(SandboxOptions& options, UniqueFd& channel) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return fmt::format("cannot start: {}", HostErrno().message());
  channel.reset(pair[0]);
  UniqueFd other_end(pair[1]);
  UniqueFd spec = FileOfSpec(options);
  UniqueFd ended(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!spec || !ended || !wake) return fmt::format("cannot start: {}", HostErrno().message());

  std::vector<int> files = {spec.get(), options.boot.gofer_socket.get(), other_end.get(), ended.get(),
                            wake.get()};
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
