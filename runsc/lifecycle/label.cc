#include "runsc/lifecycle/label.h"

#include <fmt/format.h>

#include <string_view>

namespace runsc {
namespace {

constexpr std::string_view kUnconfined = "unconfined";  // AppArmor's word for having no profile

absl::Status NotHere(std::string_view field, std::string_view label, std::string_view why) {
  return absl::FailedPreconditionError(fmt::format("{}: '{}': {}", field, label, why));
}

absl::Status CheckHost(const SecurityLabel& label, std::string_view apparmor_field,
                       std::string_view selinux_field) {
  if (!label.apparmor.empty() && !HasApparmor())
    return NotHere(apparmor_field, label.apparmor,
                   "unable to apply apparmor profile: AppArmor is disabled or not supported on this host");
  if (!label.selinux.empty() && !HasSelinux())
    return NotHere(selinux_field, label.selinux,
                   "selinux label is specified in config, but selinux is disabled or not supported");
  return absl::OkStatus();
}

absl::Status Differs(std::string_view field, std::string_view wanted, std::string_view sandbox) {
  return absl::FailedPreconditionError(
      fmt::format("{}: '{}': what runs in a sandbox has the sandbox's own, {}", field, wanted,
                  sandbox.empty() ? "and this container has none" : fmt::format("here '{}'", sandbox)));
}

}  // namespace

absl::Status CheckLabel(const SecurityLabel& label, const std::string& mount_label) {
  absl::Status status =
      CheckHost(label, "config.json: process.apparmorProfile", "config.json: process.selinuxLabel");
  if (status.ok() && !mount_label.empty() && !HasSelinux())
    return NotHere("config.json: linux.mountLabel", mount_label, "selinux is disabled or not supported");
  return status;
}

absl::StatusOr<std::string> CompareLabels(const SecurityLabel& wanted, const SecurityLabel& sandbox) {
  constexpr std::string_view kApparmor = "process.apparmorProfile", kSelinux = "process.selinuxLabel";
  if (absl::Status status = CheckHost(wanted, kApparmor, kSelinux); !status.ok()) return status;
  if (!wanted.selinux.empty() && wanted.selinux != sandbox.selinux)
    return Differs(kSelinux, wanted.selinux, sandbox.selinux);
  if (wanted.apparmor.empty() || wanted.apparmor == sandbox.apparmor) return std::string();
  if (wanted.apparmor != kUnconfined) return Differs(kApparmor, wanted.apparmor, sandbox.apparmor);
  // It gets less than was asked for, not more.
  if (sandbox.apparmor.empty()) return std::string();
  return fmt::format("{}: '{}' has no effect: what runs in the sandbox has its profile '{}'", kApparmor,
                     wanted.apparmor, sandbox.apparmor);
}

}  // namespace runsc
