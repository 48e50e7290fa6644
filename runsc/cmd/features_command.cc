// runsc features: what this runtime can do, in the runtime specification's format (features.md). Every
// entry is true of this binary; what it lacks is listed as disabled.
#include <fmt/format.h>
#include <stdio.h>

#include <nlohmann/json.hpp>

#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/pod_annotations.h"
#include "runsc/oci/mount_options.h"
#include "runsc/oci/seccomp.h"
#include "runsc/systemd/properties.h"

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

Json Capabilities() {
  Json names = Json::array();
  for (int number = 0; number <= oci::kLastCapability; ++number) names.push_back(oci::CapabilityName(number));
  return names;
}

// Those of a config.json that change what is done with it; one that ends in a dot stands for all that begin
// so.
Json Annotations() {
  Json names = PodAnnotations();
  names.push_back(kSystemdPropertyPrefix);
  return names;
}

Json Features() {
  Json enabled{{"enabled", true}};
  return {
      {"ociVersionMin", "1.0.0"},
      {"ociVersionMax", oci::kVersion},
      {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
      {"mountOptions", oci::KnownMountOptions()},
      {"linux",
       {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
        {"capabilities", Capabilities()},
        {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}}},
        {"seccomp",
         {{"enabled", true},
          {"actions", oci::SeccompActions()},
          {"operators", oci::SeccompOperators()},
          {"archs", oci::SeccompArchitectures()},
          {"knownFlags", oci::SeccompKnownFlags()},
          {"supportedFlags", oci::SeccompSupportedFlags()}}},
        {"apparmor", enabled},
        {"selinux", enabled},
        {"intelRdt", enabled},
        {"mountExtensions", {{"idmap", enabled}}}}},
      {"potentiallyUnsafeConfigAnnotations", Annotations()},
      {"annotations", {{"dev.runsc.version", kVersion}}}};
}

}  // namespace

int RunFeatures(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"features", "runsc features prints what this runtime can do, as JSON.", 0, 0};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  fmt::print("{}\n", Features().dump(2));
  return 0;
}

}  // namespace runsc
