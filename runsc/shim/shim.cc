#include "runsc/shim/shim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "platform/base/log.h"
#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec.h"
#include "runsc/shim/child_reaper.h"
#include "runsc/shim/command_runner.h"
#include "runsc/shim/event_publisher.h"
#include "runsc/shim/listener.h"
#include "runsc/shim/proto/info.pb.h"
#include "runsc/shim/rootfs_mounts.h"
#include "runsc/shim/task_service.h"
#include "runsc/shim/timestamp.h"
#include "runsc/shim/ttrpc_server.h"

namespace runsc::shim {
namespace {

constexpr char kAddressFile[] = "address";  // where containerd looks after its own restart
constexpr char kScheme[] = "unix://";
constexpr char kSandboxId[] = "io.kubernetes.cri.sandbox-id";
constexpr std::chrono::milliseconds kLastEvents(3000);

std::string DirectoryOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/run/containerd" : path.substr(0, slash);
}

// Beside containerd's own socket, where it may write and whose life is that of its state.
std::string DefaultRoot(const ShimOptions& options) {
  return fmt::format("{}/runsc/{}", DirectoryOf(options.address), options.name_space);
}

absl::StatusOr<std::string> BundleOf(const ShimOptions& options) {
  char real[PATH_MAX];
  const std::string& name = options.bundle.empty() ? "." : options.bundle;
  if (::realpath(name.c_str(), real) == nullptr)
    return absl::NotFoundError(fmt::format("bundle {}: {}", name, ::strerror(errno)));
  return std::string(real);
}

absl::StatusOr<std::string> NewSocketPath(const ShimOptions& options) {
  std::string directory = DirectoryOf(options.address) + "/s";
  if (::mkdir(directory.c_str(), 0711) != 0 && errno != EEXIST)
    return absl::InternalError(fmt::format("{}: {}", directory, ::strerror(errno)));
  uint64_t random[2];
  if (::getrandom(random, sizeof(random), 0) != sizeof(random)) return absl::InternalError("getrandom fails");
  return fmt::format("{}/runsc-{:016x}{:016x}", directory, random[0], random[1]);
}

// At once or not at all: containerd may read it at any time.
absl::Status WriteAddress(const std::string& bundle, const std::string& address) {
  std::string path = bundle + "/" + kAddressFile, temporary = path + ".new";
  std::ofstream file(temporary, std::ios::trunc);
  file << address;
  file.close();
  if (!file || ::rename(temporary.c_str(), path.c_str()) != 0)
    return absl::InternalError(fmt::format("{}: {}", path, ::strerror(errno)));
  return absl::OkStatus();
}

// The shim of the pod that the container is to be in, if there is one: bundles of a namespace are siblings.
std::string AddressOfPod(const std::string& bundle, const std::string& id) {
  absl::StatusOr<oci::Spec> spec = oci::LoadSpec(bundle);
  if (!spec.ok()) return "";  // Create will say what is wrong with it
  auto sandbox = spec->annotations.find(kSandboxId);
  if (sandbox == spec->annotations.end() || sandbox->second == id || sandbox->second.empty() ||
      sandbox->second.find('/') != std::string::npos)
    return "";
  std::string path =
      fmt::format("{}/{}/{}", bundle.substr(0, bundle.rfind('/')), sandbox->second, kAddressFile);
  absl::StatusOr<std::string> address = ReadTextFile(path, PATH_MAX);
  if (!address.ok() || !address->starts_with(kScheme)) return "";
  return IsListenedOn(address->substr(sizeof(kScheme) - 1)) ? *address : "";
}

// The host should kill a shim before containerd itself, when memory runs out.
void RaiseOomScore() {
  absl::StatusOr<std::string> own = ReadTextFile("/proc/self/oom_score_adj", 32);
  if (!own.ok()) return;
  int score = ::atoi(own->c_str());
  if (score < 1000) std::ofstream("/proc/self/oom_score_adj") << score + 1;
}

// containerd reads the FIFO "log" of the bundle and puts what it says into its own log. Opened for reading
// too, writing neither waits for it nor fails once it has gone.
int OpenLog(const std::string& bundle) {
  return ::open((bundle + "/log").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void LeaveCaller(const std::string& bundle, bool debug) {
  ::setsid();
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
  SetLog(OpenLog(bundle), debug ? LogLevel::kDebug : LogLevel::kWarning, "shim");
  RaiseOomScore();
  (void)!::chdir("/");
}

void Serve(const ShimOptions& options, UniqueFd listener, const std::string& path) {
  EventLoop loop;
  ChildReaper reaper(loop);
  EventPublisher publisher(loop, options.ttrpc_address, options.name_space);
  TtrpcServer* running = nullptr;
  // What is still to be said goes out first.
  std::function<void()> stop = [&, until = EventLoop::Clock::time_point()]() mutable {
    EventLoop::Clock::time_point now = EventLoop::Clock::now();
    if (until == EventLoop::Clock::time_point()) until = now + kLastEvents;
    if ((publisher.is_idle() && running->is_idle()) || now >= until) return loop.Stop();
    loop.After(std::chrono::milliseconds(5), [&stop] { stop(); });
  };
  TaskService service(loop, reaper, publisher, {options.name_space, DefaultRoot(options), path},
                      [&] { loop.Post([&stop] { stop(); }); });
  TtrpcServer server(loop, std::move(listener), [&](Call call) { service.Handle(std::move(call)); });
  running = &server;
  loop.Run();
  ::unlink(path.c_str());
}

}  // namespace

absl::StatusOr<std::string> StartShim(const ShimOptions& options) {
  absl::StatusOr<std::string> bundle = BundleOf(options);
  if (!bundle.ok()) return bundle.status();
  if (std::string address = AddressOfPod(*bundle, options.id); !address.empty()) {
    if (absl::Status written = WriteAddress(*bundle, address); !written.ok()) return written;
    return address;
  }
  absl::StatusOr<std::string> path = NewSocketPath(options);
  if (!path.ok()) return path.status();
  absl::StatusOr<UniqueFd> listener = ListenOn(*path);
  if (!listener.ok()) return listener.status();
  std::string address = kScheme + *path;
  if (absl::Status written = WriteAddress(*bundle, address); !written.ok()) return written;
  pid_t pid = ::fork();
  if (pid < 0) return absl::InternalError(fmt::format("fork: {}", ::strerror(errno)));
  if (pid > 0) return address;
  LeaveCaller(*bundle, options.debug);
  Serve(options, *std::move(listener), *path);
  ::_exit(0);
}

absl::StatusOr<std::string> DeleteLeftovers(const ShimOptions& options) {
  absl::StatusOr<std::string> bundle = BundleOf(options);
  if (!bundle.ok()) return bundle.status();
  RuntimeOptions runtime = LoadOptions(*bundle, DefaultRoot(options));
  RunscCommand command;
  command.program = runtime.program;
  command.global_flags = runtime.global_flags;
  command.arguments = {"delete", "--force", options.id};
  if (absl::Status status = RunAndWait(command); !status.ok()) return status;
  if (absl::Status status = UnmountRootfs(*bundle + "/rootfs"); !status.ok()) return status;
  if (absl::StatusOr<std::string> address = ReadTextFile(*bundle + "/" + kAddressFile, PATH_MAX);
      address.ok() && address->starts_with(kScheme)) {
    std::string path = address->substr(sizeof(kScheme) - 1);
    if (!IsListenedOn(path)) ::unlink(path.c_str());
  }
  api::DeleteResponse response;
  if (absl::StatusOr<pid_t> pid = ReadPidFile(*bundle + "/init.pid"); pid.ok())
    response.set_pid(static_cast<uint32_t>(*pid));
  response.set_exit_status(128 + SIGKILL);
  *response.mutable_exited_at() = ToTimestamp(Now());
  return response.SerializeAsString();
}

std::string InfoAnswer(const std::string& version) {
  api::RuntimeInfo info;
  info.set_name("io.containerd.runsc.v1");
  info.mutable_version()->set_version(version);
  return info.SerializeAsString();
}

std::string StartAnswer(const std::string& address, const char* max_version) {
  constexpr int kVersion = 2;
  if (max_version == nullptr || ::atoi(max_version) < kVersion) return address;
  return fmt::format(R"({{"version":{},"address":"{}","protocol":"ttrpc"}})", kVersion, address);
}

}  // namespace runsc::shim
