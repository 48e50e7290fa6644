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
#include <thread>

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

GuestProcess StartFirstProcess(Kernel& kernel, RefPtr<MountNamespace> mounts, BootOptions& options) {
  GuestProcessOptions process;
  process.spec = std::move(options.process);
  process.mounts = std::move(mounts);
  for (int fd : options.stdio) process.files.emplace_back(fd);
  for (int fd : options.more_files) process.files.emplace_back(fd);
  process.ask = [channel = options.channel.get()](bool to_change) {
    SendMessage(channel, ChannelMessage::Make(ChannelMessage::kAskForeground, to_change ? 1 : 0));
  };
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

std::span<const sock_filter> FilterFor(const BootOptions& options) {
  if (options.platform == "systrap") {
    if (options.host_network) return kSentrySystrapHostNetworkFilter;
    return kSentrySystrapFilter;
  }
  if (options.host_network) return kSentryPtraceHostNetworkFilter;
  return kSentryPtraceFilter;
}

// What has to exist before the filter is in force: it needs host calls that are not in it.
struct Foundation {
  std::unique_ptr<Platform> platform;
  std::unique_ptr<MemoryFile> memory_file;
  UniqueFd ended;         // eventfd: the guest has ended
  UniqueFd control_wake;  // eventfd: there is something for the control server
};

std::string LayFoundation(const BootOptions& options, Foundation& foundation) {
  auto platform = options.platform == "systrap" ? NewSystrapPlatform() : NewPtracePlatform();
  if (!platform.ok()) return fmt::format("the {} platform: {}", options.platform, platform.error().message());
  foundation.platform = std::move(*platform);
  uint64_t limit = options.memory_limit;
  auto memory_file = MemoryFile::Create(limit);
  if (!memory_file.ok()) return fmt::format("guest memory: {}", memory_file.error().message());
  foundation.memory_file = std::move(*memory_file);
  foundation.ended.reset(::eventfd(0, EFD_CLOEXEC));
  foundation.control_wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!foundation.ended || !foundation.control_wake) return fmt::format("eventfd: {}", HostErrno().message());
  return "";
}

}  // namespace

std::string DefaultPlatform() { return SystrapSupported() ? "systrap" : "ptrace"; }

int BootSentry(BootOptions options) {
  SetLog(options.log_fd, options.log_level, "sentry");
  // Else the allocator looks into /sys for the number of CPUs when threads become many.
  ::mallopt(M_ARENA_MAX, static_cast<int>(2 * CpuCount()));
  if (options.memory_limit != 0) options.limits_inside.memory = options.memory_limit;
  // The host is asked now: the filter has no such call.
  if (options.memory_limit == 0) options.memory_limit = HostMemory();
  Foundation foundation;
  std::string wrong = ConfineSentry(options);
  if (wrong.empty()) wrong = LayFoundation(options, foundation);
  if (!wrong.empty()) return Fail(options, kFailedCode, wrong);

  InstallSafeCopyHandler();

  // The stubs are made; from now on nobody may trace this process or read its memory.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (options.seccomp) {
    ReportSeccompViolations(options.log_fd >= 0 ? options.log_fd : STDERR_FILENO, "sentry", SyscallName);
    auto installed = InstallSeccompFilter(FilterFor(options));
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
  kernel_options.max_tasks = std::min(kernel_options.max_tasks, MaxTasks(options.host_tasks));
  if (options.limits_inside.tasks)
    kernel_options.max_tasks = std::min(kernel_options.max_tasks, *options.limits_inside.tasks);
  kernel_options.total_memory = options.memory_limit;
  Kernel kernel(std::move(kernel_options));

  auto loader =
      ElfLoader::Create(kernel.platform(), kernel.memory_file(), kernel.clock(), kernel.cpu_count());
  if (!loader.ok()) return Fail(options, kFailedCode, fmt::format("the vDSO: {}", loader.error().message()));
  kernel.SetLoader(std::move(*loader));
  kernel.make_pidfd = MakePidfd;
  SetProcNetReader("unix", UnixEndpoint::ProcNetUnix);
  RegisterFilesystemsAndDevices(kernel, options.limits_inside);
  if (options.host_network) RegisterHostNetwork();

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

  GuestProcess init = StartFirstProcess(kernel, *mounts, options);
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
  if (options.controlled) {
    auto start = [&] {
      (void)kernel.StartHeld(*init.group);
      wait();
    };
    ControlServer::Options served{std::move(foundation.control_wake), init, start};
    served.add_container = [&pod](std::vector<UniqueFd> files, int streams, std::string* wrong) {
      return pod.Add(std::move(files), streams, wrong);
    };
    served.foreign = [&pod] { return pod.OwnNamespaces(); };
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
