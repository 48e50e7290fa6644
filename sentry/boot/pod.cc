#include "sentry/boot/pod.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "gofer/protocol/codec.h"
#include "platform/base/log.h"
#include "platform/base/signal_mask.h"
#include "sentry/boot/channel.h"
#include "sentry/boot/container_tree.h"
#include "sentry/boot/mount_tree.h"
#include "sentry/boot/socket_maker.h"
#include "sentry/control/control_server.h"
#include "sentry/fsimpl/gofer_filesystem.h"
#include "sentry/ipc/ipc_namespace.h"

namespace runsc {
namespace {

constexpr int kFailedCode = 125;
constexpr size_t kMaxContainers = 256;
constexpr size_t kMaxMounts = 4096;
constexpr size_t kFilesBeforeStreams = 5;

template <typename Coder>
void CodeMount(Coder& coder, BootOptions::MountSpec& mount) {
  bool is_bind = mount.gofer_root.has_value();
  uint32_t root = mount.gofer_root.value_or(0);
  coder(mount.destination, mount.type, mount.source, is_bind, root, mount.flags, mount.propagation,
        mount.data, mount.copy_up);
  if (is_bind) mount.gofer_root = root;
}

template <typename Coder>
void CodeDevice(Coder& coder, BootOptions::DeviceSpec& device) {
  coder(device.path, device.mode, device.device, device.uid, device.gid);
}

template <typename Coder>
void CodeSysctl(Coder& coder, std::pair<std::string, std::string>& sysctl) {
  coder(sysctl.first, sysctl.second);
}

// A list of what has no Fields() of its own; each element takes four bytes at least.
template <typename Coder, typename T>
void CodeList(Coder& coder, std::vector<T>& list, void (*code)(Coder&, T&), size_t most) {
  uint32_t count = static_cast<uint32_t>(list.size());
  coder(count);
  list.resize(std::min<size_t>(count, most));
  for (T& element : list) code(coder, element);
}

template <typename Coder>
void CodeSpec(Coder& coder, PodContainerSpec& spec) {
  spec.process.Fields(coder);
  coder(spec.root_overlay, spec.root_read_only, spec.root_propagation, spec.id, spec.hostname,
        spec.domainname, spec.own_network, spec.has_sockets, spec.tree.masked_paths,
        spec.tree.read_only_paths);
  for (NamespaceOrigin* origin : {&spec.pid, &spec.uts, &spec.ipc, &spec.time}) origin->Fields(coder);
  spec.time_offsets.Fields(coder);
  CodeList<Coder, BootOptions::MountSpec>(coder, spec.tree.mounts, CodeMount, kMaxMounts);
  CodeList<Coder, BootOptions::DeviceSpec>(coder, spec.tree.devices, CodeDevice, kMaxMounts);
  CodeList<Coder, std::pair<std::string, std::string>>(coder, spec.tree.sysctls, CodeSysctl, kMaxMounts);
}

bool IsPath(const std::string& path) {
  return !path.empty() && path[0] == '/' && path.find('\0') == std::string::npos;
}

bool IsWellFormed(const PodContainerSpec& spec) {
  if (!IsWellFormed(spec.process)) return false;
  for (const NamespaceOrigin* origin : {&spec.pid, &spec.uts, &spec.ipc, &spec.time})
    if (origin->kind > NamespaceOrigin::kContainer) return false;
  const BootOptions::ContainerTree& tree = spec.tree;
  auto all_paths = [](const auto& list) { return std::all_of(list.begin(), list.end(), IsPath); };
  if (!all_paths(tree.masked_paths) || !all_paths(tree.read_only_paths)) return false;
  for (const auto& mount : tree.mounts)
    if (!IsPath(mount.destination)) return false;
  for (const auto& device : tree.devices)
    if (!IsPath(device.path)) return false;
  return true;
}

}  // namespace

std::string MakeTimeNamespace(const TimeOffsetsSpec& spec, RefPtr<TimeNamespace>* made) {
  constexpr uint32_t kSecond = 1'000'000'000;
  if (spec.monotonic_nanoseconds >= kSecond || spec.boottime_nanoseconds >= kSecond)
    return "linux.timeOffsets: invalid argument";
  *made = MakeRef<TimeNamespace>(RefPtr<UserNamespace>(&UserNamespace::Initial()));
  const TimeNamespace::Change changes[] = {
      {CLOCK_MONOTONIC, spec.monotonic_seconds, int64_t{spec.monotonic_nanoseconds}},
      {CLOCK_BOOTTIME, spec.boottime_seconds, int64_t{spec.boottime_nanoseconds}}};
  auto set = (*made)->Set(changes, std::size(changes));
  return set.ok() ? "" : "linux.timeOffsets: numerical result out of range";
}

std::vector<std::byte> EncodePodContainer(const PodContainerSpec& spec) {
  std::vector<std::byte> bytes;
  gofer::Encoder encoder(bytes);
  CodeSpec(encoder, const_cast<PodContainerSpec&>(spec));
  return bytes;
}

std::optional<PodContainerSpec> DecodePodContainer(std::span<const std::byte> bytes) {
  PodContainerSpec spec;
  gofer::Decoder decoder(bytes);
  CodeSpec(decoder, spec);
  if (!decoder.Finished() || !IsWellFormed(spec)) return std::nullopt;
  return spec;
}

class Pod::Container {
 public:
  struct Sockets {
    UniqueFd gofer, channel, ended, wake, sockets;
  };

  Container(Kernel& kernel, Sockets sockets)
      : kernel_(kernel),
        gofer_socket_(sockets.gofer.get()),
        channel_(std::move(sockets.channel)),
        bell_(MakeRef<Bell>(std::move(sockets.ended))),
        wake_(std::move(sockets.wake)),
        socket_maker_(std::move(sockets.sockets)),
        gofer_(MakeRef<GoferConnection>(std::move(sockets.gofer), [bell = bell_] { bell->Ring(); })) {}

  ~Container() {
    if (thread_.joinable()) thread_.join();
    if (control_) control_->Stop();
  }

  int Start(PodContainerSpec spec, TaskNamespaces namespaces, std::vector<UniqueFd> files,
            std::string* wrong) {
    id_ = spec.id;
    member_ = MakeRef<Member>(spec.own_network, std::move(socket_maker_));
    Kernel::ActingIn acting(namespaces);
    BootOptions options;
    options.container = std::move(spec.tree);
    options.root_overlay = spec.root_overlay;
    options.root_read_only = spec.root_read_only;
    options.root_propagation = spec.root_propagation;
    auto mounts = BuildMountTree(kernel_, gofer_, options, wrong, namespaces.pid);
    if (!mounts.ok()) {
      *wrong = fmt::format("{}: {}", *wrong, mounts.error().message());
      return kFailedCode;
    }
    GuestProcessOptions process;
    process.spec = std::move(spec.process);
    process.mounts = *mounts;
    process.namespaces = namespaces;
    process.container = member_;
    process.files = std::move(files);
    process.is_first = true;
    process.is_held = true;
    first_ = StartGuestProcess(kernel_, std::move(process));
    if (!first_.group) {
      *wrong = first_.wrong;
      return first_.exit_code;
    }
    if (first_.terminal) {
      if (auto bound = BindConsole(kernel_, *mounts, *first_.terminal); !bound.ok()) {
        *wrong = fmt::format("/dev/console: {}", bound.error().message());
        Discard();
        return kFailedCode;
      }
    }
    ControlServer::Options control;
    control.wake = std::move(wake_);
    control.first = first_;
    control.start = [this] { (void)kernel_.StartHeld(*first_.group); };
    control_.emplace(kernel_, std::move(control));
    waiter_.emplace(*this);
    SendMessage(channel_.get(), ChannelMessage::Make(ChannelMessage::kReady, 0));
    ThreadSignalMask mask;
    thread_ = std::thread([this] { Run(); });
    return 0;
  }

  const std::string& id() const { return id_; }
  const RefPtr<ThreadGroup>& first() const { return first_.group; }
  bool is_over() const { return is_over_.load(std::memory_order_acquire); }
  void Kill() {
    control_->KillHeld();
    first_.group->BeginExit(SIGKILL);
  }

 private:
  class Member final : public GuestContainer {
   public:
    Member(bool has_own_network, UniqueFd sockets)
        : has_own_network_(has_own_network), sockets_(std::move(sockets)) {}
    bool has_own_network() const override { return has_own_network_; }
    Result<UniqueFd> OpenSocket(int family, int type, int protocol) override {
      return sockets_.Open(family, type, protocol);
    }

   private:
    const bool has_own_network_;
    SocketMaker sockets_;
  };

  // Wakes the container's thread. Files may outlive the container, and with them who rings it.
  struct Bell final : RefCounted {
    explicit Bell(UniqueFd eventfd) : fd(std::move(eventfd)) {}
    void Ring() const {
      uint64_t one = 1;
      (void)!::write(fd.get(), &one, sizeof(one));
    }
    const UniqueFd fd;
  };

  class ExitWaiter final : public Waiter {
   public:
    explicit ExitWaiter(Container& container) : container_(container) {
      container_.first_.group->exit_queue().Add(*this, EPOLLIN);
    }
    ~ExitWaiter() override { container_.first_.group->exit_queue().Remove(*this); }
    bool Notify(EventMask) override {
      container_.bell_->Ring();
      return true;
    }

   private:
    Container& container_;
  };

  // A first process that never ran and never will.
  void Discard() {
    first_.group->BeginExit(SIGKILL);
    (void)kernel_.StartHeld(*first_.group);
  }

  // The monitor's messages, until the first process has ended. Whatever is lost ends the container, and no
  // more.
  void Run() {
    pollfd polls[] = {
        {channel_.get(), POLLIN, 0}, {bell_->fd.get(), POLLIN, 0}, {gofer_socket_, POLLRDHUP, 0}};
    while (!first_.group->IsZombie()) {
      if (::poll(polls, std::size(polls), -1) < 0) continue;
      if (polls[1].revents != 0) {
        uint64_t count;
        (void)!::read(bell_->fd.get(), &count, sizeof(count));
      }
      if (polls[2].revents != 0) {
        polls[2].fd = -1;
        LOG_WARNING("the gofer process of a container is gone");
        SendMessage(channel_.get(), ChannelMessage::Make(ChannelMessage::kGoferGone, 0), MSG_DONTWAIT);
        Kill();
      }
      if (polls[0].revents != 0 && !OnChannel()) {
        polls[0].fd = -1;
        Kill();
      }
    }
    waiter_.reset();
    control_->Stop();
    // With another one's PID namespace there is no init whose end would end them.
    for (const RefPtr<ThreadGroup>& group : kernel_.root_pid_namespace()->ThreadGroups())
      if (group->container() == member_) group->BeginExit(SIGKILL);
    SendMessage(channel_.get(), ChannelMessage::Make(ChannelMessage::kExited, first_.group->exit_status()),
                MSG_DONTWAIT);
    ::shutdown(channel_.get(), SHUT_WR);
    is_over_.store(true, std::memory_order_release);
  }

  // False: the monitor is gone.
  bool OnChannel() {
    ChannelMessage message;
    UniqueFd descriptor;
    if (!ReceiveMessage(channel_.get(), &message, &descriptor)) return false;
    switch (message.kind) {
      case ChannelMessage::kSignal:
        if (IsValidSignal(message.value)) control_->SignalFirst(message.value);
        break;
      case ChannelMessage::kTerminalSignal:
        if (IsValidSignal(message.value)) first_.SignalFromTerminal(message.value);
        break;
      case ChannelMessage::kConnection:
        if (descriptor) control_->Add(std::move(descriptor));
        break;
      default:
        break;
    }
    return true;
  }

  Kernel& kernel_;
  const int gofer_socket_;
  const UniqueFd channel_;
  const RefPtr<Bell> bell_;
  UniqueFd wake_, socket_maker_;
  const RefPtr<GoferConnection> gofer_;
  std::string id_;
  RefPtr<GuestContainer> member_;
  GuestProcess first_;
  std::optional<ControlServer> control_;
  std::optional<ExitWaiter> waiter_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

Pod::Pod(Kernel& kernel) : kernel_(kernel) {}
Pod::~Pod() { End(); }

int Pod::Add(std::vector<UniqueFd> files, int streams, std::string* wrong) {
  // Those that are over are joined here, outside the lock.
  std::vector<std::unique_ptr<Container>> over;
  {
    MutexLock lock(mu_);
    auto first_over = std::stable_partition(containers_.begin(), containers_.end(),
                                            [](const auto& container) { return !container->is_over(); });
    std::move(first_over, containers_.end(), std::back_inserter(over));
    containers_.erase(first_over, containers_.end());
    if (containers_.size() >= kMaxContainers) {
      *wrong = fmt::format("a sandbox takes {} containers", kMaxContainers);
      return kFailedCode;
    }
  }
  over.clear();

  *wrong = "the container to start is not well-formed";
  if (files.size() < kFilesBeforeStreams) return kFailedCode;
  auto bytes = ReadControlFile(files[0].get());
  auto spec = bytes ? DecodePodContainer(*bytes) : std::nullopt;
  size_t own_streams = static_cast<size_t>(__builtin_popcount(static_cast<unsigned>(streams) & 7));
  if (!spec) return kFailedCode;
  size_t next = kFilesBeforeStreams + (spec->has_sockets ? 1 : 0);
  if (files.size() < next + own_streams) return kFailedCode;
  TaskNamespaces namespaces;
  if (*wrong = FindNamespaces(*spec, &namespaces); !wrong->empty()) return kFailedCode;
  UniqueFd sockets = spec->has_sockets ? std::move(files[kFilesBeforeStreams]) : UniqueFd();
  auto container = std::make_unique<Container>(
      kernel_, Container::Sockets{std::move(files[1]), std::move(files[2]), std::move(files[3]),
                                  std::move(files[4]), std::move(sockets)});
  std::vector<UniqueFd> guest_files;
  for (int fd = 0; fd < 3; ++fd)
    guest_files.push_back((streams >> fd & 1) != 0 ? std::move(files[next++]) : UniqueFd());
  while (next < files.size()) guest_files.push_back(std::move(files[next++]));
  if (int code = container->Start(std::move(*spec), std::move(namespaces), std::move(guest_files), wrong);
      code != 0)
    return code;
  MutexLock lock(mu_);
  containers_.push_back(std::move(container));
  return 0;
}

void Pod::SetFirst(std::string id, RefPtr<ThreadGroup> group) {
  first_id_ = std::move(id);
  first_ = std::move(group);
}

RefPtr<ThreadGroup> Pod::FirstProcessOf(const std::string& id) const {
  if (id == first_id_) return first_;
  MutexLock lock(mu_);
  for (const auto& container : containers_)
    if (container->id() == id && !container->is_over()) return container->first();
  return nullptr;
}

std::string Pod::FindNamespaces(const PodContainerSpec& spec, TaskNamespaces* namespaces) const {
  std::string wrong;
  // Null: a new one.
  auto find = [&](const NamespaceOrigin& origin, auto member, const auto& first) {
    using Space = std::remove_cvref_t<decltype(first)>;
    if (origin.kind == NamespaceOrigin::kNew) return Space();
    if (origin.kind == NamespaceOrigin::kSandbox) return first;
    RefPtr<ThreadGroup> group = FirstProcessOf(origin.container);
    Space space = group ? NamespacesOf(*group).*member : Space();
    if (!space)
      wrong = fmt::format("the container {}, whose namespace it was to have, has ended", origin.container);
    return space;
  };
  namespaces->pid = find(spec.pid, &TaskNamespaces::pid, kernel_.root_pid_namespace());
  namespaces->uts = find(spec.uts, &TaskNamespaces::uts, kernel_.root_uts_namespace());
  namespaces->ipc = find(spec.ipc, &TaskNamespaces::ipc, kernel_.root_ipc_namespace());
  namespaces->time = find(spec.time, &TaskNamespaces::time, kernel_.root_time_namespace());
  if (!wrong.empty()) return wrong;
  const RefPtr<UserNamespace> initial(&UserNamespace::Initial());
  // One level below the first one: there is room for it.
  if (!namespaces->pid) namespaces->pid = PidNamespace::Make(kernel_.root_pid_namespace(), initial).value();
  if (!namespaces->uts) namespaces->uts = MakeRef<UtsNamespace>(initial, spec.hostname, spec.domainname);
  if (!namespaces->ipc) namespaces->ipc = kernel_.MakeIpcNamespace(initial);
  if (!namespaces->time) return MakeTimeNamespace(spec.time_offsets, &namespaces->time);
  return "";
}

void Pod::End() {
  std::vector<std::unique_ptr<Container>> containers;
  {
    MutexLock lock(mu_);
    containers.swap(containers_);
  }
  for (auto& container : containers)
    if (!container->is_over()) container->Kill();
}

}  // namespace runsc
