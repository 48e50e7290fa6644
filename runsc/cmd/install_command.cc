// runsc install and uninstall: the entry of a runtime in dockerd's configuration.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "platform/base/unique_fd.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/cmd/shim_command.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

struct DaemonFlags {
  std::string file = "/etc/docker/daemon.json";
  std::string name = "runsc";

  FlagSet Set() {
    FlagSet flags;
    flags.String("config-file", "FILE", "dockerd's configuration (default: /etc/docker/daemon.json)", &file);
    flags.String("runtime", "NAME", "what docker run --runtime calls it (default: runsc)", &name);
    return flags;
  }
};

std::string OwnPath() {
  char path[PATH_MAX];
  ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  return length <= 0 ? "" : std::string(path, static_cast<size_t>(length));
}

absl::Status Failed(const std::string& path, int error) {
  return absl::FailedPreconditionError(fmt::format("{}: {}", path, ::strerror(error)));
}

// An empty object if there is no such file, or nothing in it.
absl::StatusOr<Json> Load(const std::string& file) {
  absl::StatusOr<std::string> text = ReadTextFile(file);
  if (absl::IsNotFound(text.status())) return Json::object();
  if (!text.ok()) return text.status();
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) return Json::object();
  // For its message, and its bounds; then once more, for the order of the members.
  if (auto checked = JsonDocument::Parse(*text, file); !checked.ok()) return checked.status();
  Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) return absl::InvalidArgumentError(fmt::format("{}: must be an object", file));
  if (json.contains("runtimes") && !json["runtimes"].is_object())
    return absl::InvalidArgumentError(fmt::format("{}: runtimes: must be an object", file));
  return json;
}

// Replaced at once, with the old one's owner and mode; a link stays one.
absl::Status Store(const std::string& link, const Json& json) {
  char* real = ::realpath(link.c_str(), nullptr);
  std::string file = real == nullptr ? link : real;
  ::free(real);
  std::string temporary = fmt::format("{}.{}", file, ::getpid());
  struct stat before {};
  bool existed = ::stat(file.c_str(), &before) == 0;
  if (!existed && file.rfind('/') != std::string::npos) {
    std::string folder = file.substr(0, file.rfind('/'));
    if (!folder.empty() && ::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
      return Failed(folder, errno);
  }
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return Failed(temporary, errno);
  std::string text = json.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
  bool written = ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 (!existed || (::fchown(fd.get(), before.st_uid, before.st_gid) == 0 &&
                               ::fchmod(fd.get(), before.st_mode & 07777) == 0)) &&
                 ::fsync(fd.get()) == 0 && ::rename(temporary.c_str(), file.c_str()) == 0;
  if (written) return absl::OkStatus();
  absl::Status status = Failed(file, errno);
  ::unlink(temporary.c_str());
  return status;
}

void SayRestart(const std::string& what) {
  fmt::print(
      "{}\nFor dockerd to see it: systemctl reload docker (or send SIGHUP to dockerd); systemctl restart "
      "docker "
      "does too.\n",
      what);
}

}  // namespace

int RunInstall(Arguments arguments) {
  DaemonFlags daemon;
  FlagSet flags = daemon.Set();
  OciUsage usage{
      "install",
      "runsc install adds this binary to dockerd's configuration as a runtime, with ARGUMENTs as its\n"
      "global flags, and leaves everything else there as it is."};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  Arguments copy = arguments;
  if (std::string wrong = GlobalFlags().Set().Parse(copy); !wrong.empty() || !copy.empty())
    return Fail(fmt::format("runsc install: {}",
                            wrong.empty() ? fmt::format("'{}' is no global flag", copy[0]) : wrong));
  std::string path = OwnPath();
  if (path.empty()) return Fail("runsc install: /proc/self/exe does not tell where runsc is");
  absl::StatusOr<Json> json = Load(daemon.file);
  if (!json.ok()) return Fail(json.status());
  Json entry{{"path", path}};
  if (!arguments.empty()) entry["runtimeArgs"] = arguments;
  (*json)["runtimes"][daemon.name] = std::move(entry);
  if (absl::Status status = Store(daemon.file, *json); !status.ok()) return Fail(status);
  SayRestart(fmt::format("{}: the runtime {} is {} now.", daemon.file, daemon.name, path));
  fmt::print(
      "For containerd: ln -s {} /usr/local/bin/{}, and a runtime with\n"
      "runtime_type = \"io.containerd.runsc.v1\" in /etc/containerd/config.toml.\n",
      path, kShimName);
  return 0;
}

int RunUninstall(Arguments arguments) {
  DaemonFlags daemon;
  FlagSet flags = daemon.Set();
  OciUsage usage{
      "uninstall",
      "runsc uninstall takes the runtime out of dockerd's configuration again, and leaves everything\n"
      "else there as it is.",
      0, 0};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<Json> json = Load(daemon.file);
  if (!json.ok()) return Fail(json.status());
  if (!json->contains("runtimes") || !(*json)["runtimes"].contains(daemon.name)) {
    fmt::print("{}: there is no runtime {}.\n", daemon.file, daemon.name);
    return 0;
  }
  if (json->contains("default-runtime") && (*json)["default-runtime"] == daemon.name)
    return Fail(
        fmt::format("{}: default-runtime: is {}; choose another one first", daemon.file, daemon.name));
  (*json)["runtimes"].erase(daemon.name);
  if ((*json)["runtimes"].empty()) json->erase("runtimes");
  if (absl::Status status = Store(daemon.file, *json); !status.ok()) return Fail(status);
  SayRestart(fmt::format("{}: the runtime {} is gone.", daemon.file, daemon.name));
  return 0;
}

}  // namespace runsc
