// runsc spec: a config.json to start from.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "platform/base/unique_fd.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

Json Mount(const char* destination, const char* type, const char* source, std::vector<std::string> options) {
  Json mount{{"destination", destination}, {"type", type}, {"source", source}};
  if (!options.empty()) mount["options"] = std::move(options);
  return mount;
}

Json Mounts(bool rootless) {
  std::vector<std::string> pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  // The group tty is not mapped in a rootless container's user namespace.
  if (!rootless) pts.emplace_back("gid=5");
  Json mounts{Mount("/proc", "proc", "proc", {}),
              Mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
              Mount("/dev/pts", "devpts", "devpts", pts),
              Mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
              Mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
              // runc's rootless one binds the host's /sys, since a user may not mount another; here he may.
              Mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"})};
  mounts.push_back(
      Mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  return mounts;
}

Json Linux(bool rootless) {
  Json namespaces = Json::array();
  for (const char* type : {"pid", "network", "ipc", "uts", "mount"}) {
    // An ordinary user cannot connect a network namespace with anything: the host's is of more use.
    if (!rootless || type != std::string_view("network")) namespaces.push_back({{"type", type}});
  }
  Json part;
  if (rootless) {
    namespaces.push_back({{"type", "user"}});
    part["uidMappings"] = {{{"containerID", 0}, {"hostID", ::geteuid()}, {"size", 1}}};
    part["gidMappings"] = {{{"containerID", 0}, {"hostID", ::getegid()}, {"size", 1}}};
  } else {
    part["resources"] = {{"devices", {{{"allow", false}, {"access", "rwm"}}}}};
  }
  part["namespaces"] = std::move(namespaces);
  part["maskedPaths"] = {"/proc/acpi",          "/proc/asound",     "/proc/kcore",       "/proc/keys",
                         "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                         "/sys/firmware",       "/proc/scsi"};
  part["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return part;
}

Json DefaultSpec(bool rootless) {
  Json capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  return {{"ociVersion", oci::kVersion},
          {"process",
           {{"terminal", true},
            {"user", {{"uid", 0}, {"gid", 0}}},
            {"args", {"sh"}},
            {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
            {"cwd", "/"},
            {"capabilities",
             {{"bounding", capabilities},
              {"effective", capabilities},
              {"permitted", capabilities},
              {"ambient", capabilities}}},
            {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}}},
            {"noNewPrivileges", true}}},
          {"root", {{"path", "rootfs"}, {"readonly", true}}},
          {"hostname", "runsc"},
          {"mounts", Mounts(rootless)},
          {"linux", Linux(rootless)}};
}

}  // namespace

int RunSpec(Arguments arguments) {
  std::string bundle = ".";
  bool rootless = false;
  FlagSet flags;
  flags.String("bundle, b", "DIR", "where config.json is written (default: .)", &bundle);
  flags.Bool("rootless", "one for a container of an ordinary user", &rootless);
  OciUsage usage{"spec",
                 "runsc spec writes a config.json to start from: a shell with a terminal in the directory\n"
                 "'rootfs' of the bundle. An existing one is not touched.",
                 0, 0};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  std::string file = bundle + "/config.json";
  if (::access(bundle.c_str(), X_OK) != 0) return Fail(fmt::format("chdir {}: {}", bundle, ErrorText(errno)));
  UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd && errno == EEXIST) return Fail(fmt::format("File config.json exists. Remove it first: {}", file));
  if (!fd) return Fail(fmt::format("{}: {}", file, ErrorText(errno)));
  std::string text = DefaultSpec(rootless).dump(1, '\t') + "\n";
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    std::string why = ErrorText(errno);
    ::unlink(file.c_str());
    return Fail(fmt::format("{}: {}", file, why));
  }
  return 0;
}

}  // namespace runsc
