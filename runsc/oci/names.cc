// The names that config.json has for numbers of Linux.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec.h"

namespace runsc::oci {
namespace {

// By number: capabilities(7).
constexpr std::string_view kCapabilities[] = {"CAP_CHOWN",
                                              "CAP_DAC_OVERRIDE",
                                              "CAP_DAC_READ_SEARCH",
                                              "CAP_FOWNER",
                                              "CAP_FSETID",
                                              "CAP_KILL",
                                              "CAP_SETGID",
                                              "CAP_SETUID",
                                              "CAP_SETPCAP",
                                              "CAP_LINUX_IMMUTABLE",
                                              "CAP_NET_BIND_SERVICE",
                                              "CAP_NET_BROADCAST",
                                              "CAP_NET_ADMIN",
                                              "CAP_NET_RAW",
                                              "CAP_IPC_LOCK",
                                              "CAP_IPC_OWNER",
                                              "CAP_SYS_MODULE",
                                              "CAP_SYS_RAWIO",
                                              "CAP_SYS_CHROOT",
                                              "CAP_SYS_PTRACE",
                                              "CAP_SYS_PACCT",
                                              "CAP_SYS_ADMIN",
                                              "CAP_SYS_BOOT",
                                              "CAP_SYS_NICE",
                                              "CAP_SYS_RESOURCE",
                                              "CAP_SYS_TIME",
                                              "CAP_SYS_TTY_CONFIG",
                                              "CAP_MKNOD",
                                              "CAP_LEASE",
                                              "CAP_AUDIT_WRITE",
                                              "CAP_AUDIT_CONTROL",
                                              "CAP_SETFCAP",
                                              "CAP_MAC_OVERRIDE",
                                              "CAP_MAC_ADMIN",
                                              "CAP_SYSLOG",
                                              "CAP_WAKE_ALARM",
                                              "CAP_BLOCK_SUSPEND",
                                              "CAP_AUDIT_READ",
                                              "CAP_PERFMON",
                                              "CAP_BPF",
                                              "CAP_CHECKPOINT_RESTORE"};
static_assert(std::size(kCapabilities) == kLastCapability + 1);

struct RlimitName {
  std::string_view name;
  int number;
};
constexpr RlimitName kRlimits[] = {{"RLIMIT_AS", RLIMIT_AS},
                                   {"RLIMIT_CORE", RLIMIT_CORE},
                                   {"RLIMIT_CPU", RLIMIT_CPU},
                                   {"RLIMIT_DATA", RLIMIT_DATA},
                                   {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                   {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                   {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                   {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                   {"RLIMIT_NICE", RLIMIT_NICE},
                                   {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                   {"RLIMIT_NPROC", RLIMIT_NPROC},
                                   {"RLIMIT_RSS", RLIMIT_RSS},
                                   {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                   {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                   {"RLIMIT_STACK", RLIMIT_STACK}};

}  // namespace

std::optional<int> CapabilityNumber(std::string_view name) {
  std::string upper = absl::AsciiStrToUpper(absl::string_view(name.data(), name.size()));
  if (!upper.starts_with("CAP_")) upper = "CAP_" + upper;
  const auto* found = std::find(std::begin(kCapabilities), std::end(kCapabilities), upper);
  if (found == std::end(kCapabilities)) return std::nullopt;
  return static_cast<int>(found - std::begin(kCapabilities));
}

int IoPriorityNumber(const IoPriority& priority) {
  constexpr int kClassShift = 13;  // IOPRIO_CLASS_SHIFT of linux/ioprio.h
  int number = priority.io_class == "IOPRIO_CLASS_RT" ? 1 : priority.io_class == "IOPRIO_CLASS_BE" ? 2 : 3;
  return number << kClassShift | priority.priority;
}

std::string UnknownCapabilities(const Process& process) {
  if (!process.capabilities || process.capabilities->unknown.empty()) return "";
  return OneLine(fmt::format("ignoring unknown or unavailable capabilities: [{}]",
                             fmt::join(process.capabilities->unknown, " ")));
}

std::string_view CapabilityName(int number) {
  return number < 0 || number > kLastCapability ? std::string_view() : kCapabilities[number];
}

std::optional<int> SchedulingPolicyNumber(std::string_view name) {
  // Of them SCHED_ISO (4) never came to be: Linux refuses it.
  constexpr std::string_view kPolicies[] = {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",      "SCHED_BATCH",
                                            "SCHED_ISO",   "SCHED_IDLE", "SCHED_DEADLINE"};
  const auto* found = std::find(std::begin(kPolicies), std::end(kPolicies), name);
  if (found == std::end(kPolicies)) return std::nullopt;
  return static_cast<int>(found - std::begin(kPolicies));
}

std::optional<uint64_t> SchedulingFlag(std::string_view name) {
  constexpr std::string_view kFlags[] = {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",
                                         "SCHED_FLAG_DL_OVERRUN",    "SCHED_FLAG_KEEP_POLICY",
                                         "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN",
                                         "SCHED_FLAG_UTIL_CLAMP_MAX"};
  const auto* found = std::find(std::begin(kFlags), std::end(kFlags), name);
  if (found == std::end(kFlags)) return std::nullopt;
  return uint64_t{1} << (found - std::begin(kFlags));
}

std::optional<int> RlimitNumber(std::string_view name) {
  for (const RlimitName& limit : kRlimits) {
    if (limit.name == name) return limit.number;
  }
  return std::nullopt;
}

std::string_view NamespaceName(NamespaceType type) {
  constexpr std::string_view kNames[] = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};
  return kNames[static_cast<size_t>(type)];
}

}  // namespace runsc::oci
