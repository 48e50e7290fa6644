// Pod: the containers that share a Sentry with the one that it was started for. Each has a monitor and a
// Gofer of its own on the host, and inside a root filesystem, and a PID namespace unless it shares the
// pod's; host name, IPC objects and the network are the pod's. One's end, or the loss of its Gofer, ends that
// container only.
//
// A container's monitor connects to the pod's, whose Sentry gets the connection, and sends there what
// the container is to be (kAddContainer). From then on the channel that came along is to that monitor what
// a Sentry's channel is: the same messages, so that a monitor need not know the difference.
//
// Threading: Add on the control server's thread; End on any.
#ifndef SENTRY_BOOT_POD_H_
#define SENTRY_BOOT_POD_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

// On its way bytes in a file, of which the reader trusts none.
struct PodContainerSpec {
  ProcessSpec process;
  BootOptions::ContainerTree tree;
  bool root_overlay = false;  // writes stay in the sandbox's memory
  bool root_read_only = false;
  uint64_t root_propagation = 0;
  bool shares_pids = false;  // the pod's PID namespace
};
std::vector<std::byte> EncodePodContainer(const PodContainerSpec& spec);
std::optional<PodContainerSpec> DecodePodContainer(std::span<const std::byte> bytes);

class Pod {
 public:
  explicit Pod(Kernel& kernel);
  ~Pod();
  // `files`: the spec, the Gofer's socket, the channel, two eventfds, and the descriptors for those of 0, 1
  // and 2 whose bits are in `streams`, then for 3 and up. On failure `wrong` and an exit code; else 0.
  int Add(std::vector<UniqueFd> files, int streams, std::string* wrong);
  // The PID namespaces that containers do not share with the pod.
  std::vector<RefPtr<PidNamespace>> OwnNamespaces() const;
  // Ends all containers and waits for them.
  void End();

 private:
  class Container;
  Kernel& kernel_;
  mutable Mutex mu_{LockRank::kLeaf};
  std::vector<std::unique_ptr<Container>> containers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_BOOT_POD_H_
