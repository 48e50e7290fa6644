#include "runsc/cmd/shim_command.h"

#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>

#include "runsc/cmd/flags.h"
#include "runsc/shim/shim.h"

namespace runsc {
namespace {

constexpr char kDescription[] =
    "containerd-shim-runsc-v1 is run by containerd, for containers whose runtime is io.containerd.runsc.v1.\n"
    "`start` leaves a shim process for the container and prints its address; `delete` takes away what a "
    "shim\n"
    "that died has left.\n";

int ShimFailed(const std::string& why) {
  fmt::print(stderr, "{}: {}\n", kShimName, why);
  return 1;
}

std::string Environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

int Start(const shim::ShimOptions& options) {
  absl::StatusOr<std::string> address = shim::StartShim(options);
  if (!address.ok()) return ShimFailed(std::string(address.status().message()));
  fmt::print("{}", shim::StartAnswer(*address, ::getenv("MAX_SHIM_VERSION")));
  return ::fflush(stdout) == 0 ? 0 : 1;
}

int Delete(const shim::ShimOptions& options) {
  absl::StatusOr<std::string> response = shim::DeleteLeftovers(options);
  if (!response.ok()) return ShimFailed(std::string(response.status().message()));
  ::fwrite(response->data(), 1, response->size(), stdout);
  return ::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

int RunShim(Arguments arguments) {
  shim::ShimOptions options;
  std::string ignored;
  bool help = false, version = false, info = false;
  FlagSet flags;
  flags.String("namespace", "NAME", "the namespace of containerd that the container is in",
               &options.name_space);
  flags.String("id", "ID", "the container", &options.id);
  flags.String("address", "SOCKET", "containerd's socket", &options.address);
  flags.String("bundle", "DIR", "the container's bundle (default: this directory)", &options.bundle);
  flags.String("publish-binary", "FILE", "accepted; events go over the socket $TTRPC_ADDRESS", &ignored);
  flags.String("socket", "SOCKET", "accepted; the shim chooses a socket beside containerd's", &ignored);
  flags.Bool("debug", "log more, to containerd's log", &options.debug);
  flags.Bool("version, v", "print the version", &version);
  flags.Bool("info", "print what containerd asks of the runtime, encoded", &info);
  flags.Bool("help, h", "print this text", &help);
  if (std::string wrong = flags.Parse(arguments); !wrong.empty()) return ShimFailed(wrong);
  if (version) {
    fmt::print("{} {}\n", kShimName, kVersion);
    return 0;
  }
  if (info) {
    std::string answer = shim::InfoAnswer(std::string(kVersion));
    ::fwrite(answer.data(), 1, answer.size(), stdout);
    return ::fflush(stdout) == 0 ? 0 : 1;
  }
  if (help) {
    fmt::print("{}\nUsage: {} [flags] start|delete\n\nFlags:\n{}", kDescription, kShimName, flags.Help());
    return 0;
  }
  options.ttrpc_address = Environment("TTRPC_ADDRESS");
  if (options.name_space.empty()) return ShimFailed("-namespace: is missing");
  if (options.id.empty()) return ShimFailed("-id: is missing");
  if (arguments.size() == 1 && arguments[0] == "start") return Start(options);
  if (arguments.size() == 1 && arguments[0] == "delete") return Delete(options);
  return ShimFailed("takes one argument, start or delete");
}

}  // namespace runsc
