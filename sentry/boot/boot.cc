#include "sentry/boot/boot.h"

#include <fmt/format.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "platform/host/large_page_file.h"
#include "platform/ptrace/ptrace_platform.h"
#include "platform/seccomp/filter.h"
#include "platform/systrap/systrap_platform.h"
#include "seccomp/sentry_filters.h"
#include "sentry/boot/channel.h"
#include "sentry/boot/confine.h"
#include "sentry/boot/container_tree.h"
#include "sentry/boot/mount_tree.h"
#include "sentry/boot/pod.h"
#include "sentry/boot/supervisor.h"
#include "sentry/control/control_server.h"
#include "sentry/fsimpl/pidfd.h"
#include "sentry/fsimpl/proc.h"
#include "sentry/kernel/known_results.h"
#include "sentry/loader/elf_loader.h"
#include "sentry/memory/live_limits.h"
#include "sentry/socket/host_network.h"
#include "sentry/socket/host_socket.h"
#include "sentry/socket/unix_endpoint.h"
#include "sentry/syscalls/strace.h"
#include "sentry/syscalls/table.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

constexpr int kFailedCode = 125;
constexpr int kStubKilledCode = 128 + SIGKILL;

const char* SyscallName(long number) {
  const SyscallRow* row = FindSyscall(static_cast<uint64_t>(number));
  return row != nullptr ? row->name : nullptr;
}

unsigned CpuCount() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

uint64_t HostMemory() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 ? static_cast<uint64_t>(info.totalram) * info.mem_unit : uint64_t{1} << 30;
}

// A guest thread takes two host threads, and a process has one more in its stub. Half of
// what the host allows is left to the host.
uint64_t MaxTasks(uint64_t host_tasks) {
  constexpr uint64_t kHostThreads = 3, kLeast = 16;
  return std::max(host_tasks / 2 / kHostThreads, kLeast);
}

GuestProcess StartFirstProcess(Kernel& kernel, RefPtr<MountNamespace> mounts, TaskNamespaces namespaces,
                               BootOptions& options) {
  GuestProcessOptions process;
  process.spec = std::move(options.process);
  process.mounts = std::move(mounts);
  process.namespaces = std::move(namespaces);
  for (int fd : options.stdio) process.files.emplace_back(fd);
  for (int fd : options.more_files) process.files.emplace_back(fd);
  // A container's terminal is in the monitor's session, in which there is nobody else.
  if (!options.container) {
    process.ask = [channel = options.channel.get()](bool to_change) {
      SendMessage(channel, ChannelMessage::Make(ChannelMessage::kAskForeground, to_change ? 1 : 0));
    };
  }
  process.is_init = true;
  process.is_first = true;
  process.is_ordinary = options.ordinary_init;
  process.is_held = options.controlled;
  return StartGuestProcess(kernel, std::move(process));
}

int Fail(const BootOptions& options, int code, const std::string& wrong) {
  LOG_ERROR("cannot start: {}", wrong);
  SendMessage(options.channel.get(), ChannelMessage::Make(ChannelMessage::kFailed, code, wrong));
  return code;
}

// What has to exist before the filter is in force: it needs host calls that are not in it.
struct Foundation {
  std::unique_ptr<Platform> platform;
  std::unique_ptr<MemoryFile> memory_file;
  UniqueFd ended;         // eventfd: the guest has ended
  UniqueFd control_wake;  // eventfd: there is something for the control server
};

std::string LayFoundation(const BootOptions& options, UniqueFd large_page_file, Foundation& foundation) {
  auto platform = options.platform == "systrap" ? NewSystrapPlatform() : NewPtracePlatform();
  if (!platform.ok()) return fmt::format("the {} platform: {}", options.platform, platform.error().message());
  foundation.platform = std::move(*platform);
  uint64_t limit = options.memory_limit;
  live_limits.memory = limit;
  // Of a container `runsc update` may make it more.
  auto memory_file = MemoryFile::Create(options.controlled ? std::max(limit, options.host_memory) : limit,
                                        std::move(large_page_file));
  if (!memory_file.ok()) return fmt::format("guest memory: {}", memory_file.error().message());
  foundation.memory_file = std::move(*memory_file);
  foundation.ended.reset(::eventfd(0, EFD_CLOEXEC));
  foundation.control_wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!foundation.ended || !foundation.control_wake) return fmt::format("eventfd: {}", HostErrno().message());
  return "";
}

// strace switched on and off while the guest runs (`runsc debug --strace`).
class LiveStrace {
 public:
  LiveStrace(Kernel& kernel, int log_fd, LogLevel level) : kernel_(kernel), log_fd_(log_fd), level_(level) {}

  // `log`: where the lines go while it is on; invalid: the log that there is. What is wrong, or "".
  std::string Set(bool on, UniqueFd log) {
    if (on && !log && log_fd_ < 0) return "the container has no log: name one with --debug-log";
    // A task may be writing a line at any time, so none is closed: its number would be another file's then.
    constexpr size_t kMostLogs = 32;
    if (log && logs_.size() >= kMostLogs) return "strace was given too many logs";
    int fd = on && log ? log.get() : log_fd_;
    if (log) logs_.push_back(std::move(log));
    SetLog(fd, level_, "sentry");
    known_results_allowed = !on;
    strace_enabled = on;
    for (const RefPtr<ThreadGroup>& group : kernel_.root_pid_namespace()->ThreadGroups()) {
      for (const RefPtr<Task>& task : group->Tasks()) task->UpdateSyscallPolicy();
    }
    return "";
  }

 private:
  Kernel& kernel_;
  const int log_fd_;
  const LogLevel level_;
  std::vector<UniqueFd> logs_;
};

// Those that are given, in the kernel and as /sys/fs/cgroup shows them. They come from a client: each is
// brought into its range.
void SetLimits(CgroupSettings& settings, const ControlMessage::Limits& limits, uint64_t host_memory) {
  using Limits = ControlMessage::Limits;
  auto given = [&](Limits::Given which) { return (limits.given & which) != 0; };
  CgroupLimits now = settings.Get();
  if (given(Limits::kMemory)) {
    now.memory.reset();
    if (limits.memory != 0) now.memory = limits.memory;
    uint64_t bytes = std::min(now.memory.value_or(host_memory), host_memory);
    live_limits.memory = bytes;
  }
  if (given(Limits::kTasks)) {
    now.tasks.reset();
    if (limits.tasks != 0) now.tasks = limits.tasks;
    live_limits.tasks = now.tasks.value_or(UINT64_MAX);
  }
  constexpr uint64_t kMostTime = 1'000'000'000'000;  // microseconds; above what cpu.max takes
  if (given(Limits::kCpuQuota)) {
    now.cpu_quota.reset();
    if (limits.cpu_quota != 0) now.cpu_quota = static_cast<int64_t>(std::min(limits.cpu_quota, kMostTime));
  }
  if (given(Limits::kCpuPeriod) && limits.cpu_period != 0)
    now.cpu_period = std::min(limits.cpu_period, kMostTime);
  if (given(Limits::kCpuWeight)) now.cpu_weight = std::clamp<uint64_t>(limits.cpu_weight, 1, 10'000);
  settings.Set(now);
}

// Sockets, /proc/net and what asks for interfaces are the network's.
void UseHostNetwork(const BootOptions& options) {
  uint32_t first_free_port = 1024;
  if (options.container) {
    for (const auto& [name, value] : options.container->sysctls)
      if (name == "net.ipv4.ip_unprivileged_port_start") (void)absl::SimpleAtoi(value, &first_free_port);
  }
  RegisterHostNetwork(first_free_port);
  for (size_t i = 0; i < HostNetwork::kFiles.size(); ++i)
    SetProcNetFile(HostNetwork::kFiles[i], [i] {
      HostNetwork* network = NetworkOfTask();
      return network != nullptr ? network->ReadFile(i) : std::string();
    });
}

}  // namespace

std::span<const sock_filter> SentryFilter(std::string_view platform, bool host_sockets) {
  if (platform == "systrap") {
    if (host_sockets) return kSentrySystrapHostSocketsFilter;
    return kSentrySystrapFilter;
  }
  if (host_sockets) return kSentryPtraceHostSocketsFilter;
  return kSentryPtraceFilter;
}

std::string DefaultPlatform() { return SystrapSupported() ? "systrap" : "ptrace"; }

int BootSentry(BootOptions options) {
  SetLog(options.log_fd, options.log_level, "sentry");
  // Else the allocator looks into /sys for the number of CPUs when threads become many.
  ::mallopt(M_ARENA_MAX, static_cast<int>(2 * CpuCount()));
  if (options.memory_limit != 0) options.limits_inside.memory = options.memory_limit;
  // The host is asked now: the filter has no such call.
  options.host_memory = HostMemory();
  if (options.memory_limit == 0) options.memory_limit = options.host_memory;
  Foundation foundation;
  std::optional<HostNetwork> network;
  if (options.host_sockets) SetHostNetwork(&network.emplace());
  UniqueFd large_page_file = OpenLargePageFile(options.host_uid, options.host_gid);
  std::vector<int> more_fds = network ? network->Descriptors() : std::vector<int>();
  more_fds.push_back(large_page_file.get());
  std::string wrong = ConfineSentry(options, more_fds);
  if (wrong.empty()) wrong = LayFoundation(options, std::move(large_page_file), foundation);
  if (!wrong.empty()) return Fail(options, kFailedCode, wrong);

  InstallSafeCopyHandler();

  // The stubs are made; from now on nobody may trace this process or read its memory.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (options.seccomp) {
    ReportSeccompViolations(options.log_fd >= 0 ? options.log_fd : STDERR_FILENO, "sentry", SyscallName);
    auto installed = InstallSeccompFilter(SentryFilter(options.platform, options.host_sockets));
    if (!installed.ok())
      return Fail(options, kFailedCode, fmt::format("the seccomp filter: {}", installed.error().message()));
  }

  strace_enabled = options.strace;
  known_results_allowed = !options.strace;
  KernelOptions kernel_options;
  kernel_options.platform = std::move(foundation.platform);
  kernel_options.memory_file = std::move(foundation.memory_file);
  kernel_options.dispatcher = DispatchSyscall;
  kernel_options.host_name = options.hostname;
  kernel_options.domain_name = options.domainname;
  kernel_options.cpu_count = CpuCount();
  const uint64_t most_tasks = std::min(kernel_options.max_tasks, MaxTasks(options.host_tasks));
  kernel_options.max_tasks = most_tasks;
  live_limits.tasks = options.limits_inside.tasks.value_or(UINT64_MAX);
  kernel_options.total_memory = options.memory_limit;
  Kernel kernel(std::move(kernel_options));

  auto loader =
      ElfLoader::Create(kernel.platform(), kernel.memory_file(), kernel.clock(), kernel.cpu_count());
  if (!loader.ok()) return Fail(options, kFailedCode, fmt::format("the vDSO: {}", loader.error().message()));
  kernel.SetLoader(std::move(*loader));
  kernel.make_pidfd = MakePidfd;
  SetProcNetReader("unix", UnixEndpoint::ProcNetUnix);
  CgroupSettings settings(options.limits_inside);
  RegisterFilesystemsAndDevices(kernel, settings);
  if (network) UseHostNetwork(options);

  int channel = options.channel.get();
  // What cannot go on ends at once: there is nothing that waiting for tasks would save.
  kernel.on_failure = [channel](std::string_view why) {
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kFailed, kStubKilledCode,
                                              fmt::format("{}; the sandbox cannot go on", why)));
    ::_exit(kStubKilledCode);
  };
  kernel.on_init_stopped = [channel](int signal) {
    // A caller that takes no messages is stopped itself.
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kStopped, signal), MSG_DONTWAIT);
  };
  // Who notices first reports; the caller knows how the Gofer ended.
  auto gofer_gone = [channel] {
    LOG_WARNING("the gofer process is gone");
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kGoferGone, 0));
    ::_exit(kFailedCode);
  };
  int gofer_socket = options.gofer_socket.get();
  auto gofer = MakeRef<GoferConnection>(std::move(options.gofer_socket), gofer_gone);
  auto mounts = BuildMountTree(kernel, gofer, options, &wrong);
  if (!mounts.ok()) return Fail(options, kFailedCode, fmt::format("{}: {}", wrong, mounts.error().message()));

  TaskNamespaces namespaces;
  if (wrong = MakeTimeNamespace(options.time_offsets, &namespaces.time); !wrong.empty())
    return Fail(options, kFailedCode, wrong);
  GuestProcess init = StartFirstProcess(kernel, *mounts, std::move(namespaces), options);
  if (!init.group) return Fail(options, init.exit_code, init.wrong);
  if (options.container && init.terminal) {
    if (auto bound = BindConsole(kernel, *mounts, *init.terminal); !bound.ok())
      return Fail(options, kFailedCode, fmt::format("/dev/console: {}", bound.error().message()));
  }

  int status = 0;
  std::thread waiter;
  auto wait = [&] {
    waiter = std::thread([&] {
      status = kernel.WaitForInit();
      uint64_t one = 1;
      (void)!::write(foundation.ended.get(), &one, sizeof(one));
    });
  };
  Pod pod(kernel);
  std::optional<ControlServer> control;
  LiveStrace live_strace(kernel, options.log_fd, options.log_level);
  if (options.controlled) {
    auto start = [&] {
      (void)kernel.StartHeld(*init.group);
      wait();
    };
    ControlServer::Options served{std::move(foundation.control_wake), init, start};
    served.add_container = [&pod](std::vector<UniqueFd> files, int streams, std::string* wrong) {
      return pod.Add(std::move(files), streams, wrong);
    };
    served.set_limits = [&](const ControlMessage::Limits& limits) {
      SetLimits(settings, limits, options.host_memory);
    };
    served.set_strace = [&](bool on, UniqueFd log) { return live_strace.Set(on, std::move(log)); };
    pod.SetFirst(options.container_id, init.group);
    control.emplace(kernel, std::move(served));
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kReady, 0));
  } else {
    wait();
  }
  Supervisor(kernel, init, control ? &*control : nullptr, channel, gofer_socket, foundation.ended.get(),
             gofer_gone)
      .Run();
  if (control) control->Stop();
  pod.End();
  waiter.join();
  SendMessage(options.channel.get(), ChannelMessage::Make(ChannelMessage::kExited, status));
  // The process's end gives everything back at once; taking the kernel apart would only take time.
  ::_exit(0);
}

}  // namespace runsc
