// Pod: the containers that share a Sentry with the one that it was started for: those of a pod, and those
// that are to have a namespace of another container. Each has a monitor and a Gofer of its own on the host,
// and inside a root filesystem; whose PID, UTS, IPC and time namespaces it has it says. Its sockets are those
// of its monitor's network namespace. One's end, or the loss of its Gofer, ends that container, and those
// that are in its PID namespace. The end of the one that the Sentry was started for ends all.
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

// Where a container has a namespace from.
struct NamespaceOrigin {
  enum Kind : uint32_t { kNew, kSandbox, kContainer };
  uint32_t kind = kNew;   // kSandbox: what there was before any container
  std::string container;  // its id

  template <typename Coder>
  void Fields(Coder& coder) {
    coder(kind, container);
  }
};

// On its way bytes in a file, of which the reader trusts none.
struct PodContainerSpec {
  ProcessSpec process;
  BootOptions::ContainerTree tree;
  bool root_overlay = false;  // writes stay in the sandbox's memory
  bool root_read_only = false;
  uint64_t root_propagation = 0;
  std::string id;
  NamespaceOrigin pid, uts, ipc, time;
  std::string hostname, domainname;  // of a new UTS namespace
  TimeOffsetsSpec time_offsets;      // of a new time namespace
  bool own_network = false;          // its network namespace is not the Sentry's
  bool has_sockets = false;          // and it has sockets there
};
std::vector<std::byte> EncodePodContainer(const PodContainerSpec& spec);
std::optional<PodContainerSpec> DecodePodContainer(std::span<const std::byte> bytes);

// A new one, with these offsets; what is wrong with them, or "".
std::string MakeTimeNamespace(const TimeOffsetsSpec& spec, RefPtr<TimeNamespace>* made);

class Pod {
 public:
  explicit Pod(Kernel& kernel);
  ~Pod();
  // The container that the Sentry was started for; before any Add.
  void SetFirst(std::string id, RefPtr<ThreadGroup> group);
  // `files`: the spec, the Gofer's socket, the channel, two eventfds, with has_sockets the connection that
  // they are asked for over (socket_maker.h), and the descriptors for those of 0, 1 and 2 whose bits are in
  // `streams`, then for 3 and up. On failure `wrong` and an exit code; else 0.
  int Add(std::vector<UniqueFd> files, int streams, std::string* wrong);
  // Ends all containers and waits for them.
  void End();

 private:
  class Container;
  // The namespaces of a container to be made; what is wrong, or "".
  std::string FindNamespaces(const PodContainerSpec& spec, TaskNamespaces* namespaces) const;
  RefPtr<ThreadGroup> FirstProcessOf(const std::string& id) const;

  Kernel& kernel_;
  std::string first_id_;
  RefPtr<ThreadGroup> first_;
  mutable Mutex mu_{LockRank::kLeaf};
  std::vector<std::unique_ptr<Container>> containers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_BOOT_POD_H_
