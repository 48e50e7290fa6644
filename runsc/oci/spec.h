// Spec: config.json of a bundle, typed. All of the runtime specification 1.2 that concerns Linux
// (config.md, config-linux.md); std::optional is where "absent" differs from zero. LoadSpec and ParseSpec
// check types, ranges and what the specification demands of single fields; CheckSupported refuses, by name,
// what this runtime cannot do.
#ifndef RUNSC_OCI_SPEC_H_
#define RUNSC_OCI_SPEC_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace runsc::oci {

inline constexpr std::string_view kVersion = "1.2.0";

struct ConsoleSize {  // in characters
  uint16_t height = 0, width = 0;
};

struct User {
  uint32_t uid = 0, gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
};

// The five sets, bit n for capability n. Names that Linux does not have are no error (config.md asks
// for a warning) and are collected in `unknown`.
struct Capabilities {
  uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
  std::vector<std::string> unknown;
};

struct Rlimit {
  int resource = 0;  // RLIMIT_*
  uint64_t soft = 0, hard = 0;
};

struct Scheduler {
  std::string policy;  // "SCHED_OTHER", …
  int32_t nice = 0;
  int32_t priority = 0;
  std::vector<std::string> flags;
  uint64_t runtime = 0, deadline = 0, period = 0;  // nanoseconds
};

struct IoPriority {
  std::string io_class;  // "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"
  int32_t priority = 0;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<int32_t> oom_score_adj;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
};

struct Root {
  std::string path;  // as written; RootPath() makes it absolute
  bool readonly = false;
};

struct IdMapping {
  uint32_t container_id = 0, host_id = 0, size = 0;
};

struct Mount {
  std::string destination;
  std::string type;  // "" for a bind mount that says so in its options only
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;  // argv[0] included; empty: the path alone
  std::vector<std::string> env;
  std::optional<int32_t> timeout;  // seconds, more than 0
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
};

enum class NamespaceType { kPid, kNetwork, kMount, kIpc, kUts, kUser, kCgroup, kTime };

struct Namespace {
  NamespaceType type = NamespaceType::kPid;
  std::string path;  // "": a new one
};

struct Device {
  std::string path;
  char type = 0;  // 'b', 'c', 'u' or 'p'
  int64_t major = 0, minor = 0;
  std::optional<uint32_t> file_mode, uid, gid;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';                      // 'a', 'b' or 'c'
  std::optional<int64_t> major, minor;  // absent: all
  std::string access;                   // of "rwm"; empty: all three
};

struct MemoryResources {  // bytes; -1: no limit
  std::optional<int64_t> limit, reservation, swap, kernel, kernel_tcp;
  std::optional<uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
};

struct CpuResources {
  std::optional<uint64_t> shares;
  std::optional<int64_t> quota;             // microseconds a period; -1: no limit
  std::optional<uint64_t> burst, period;    // microseconds
  std::optional<int64_t> realtime_runtime;  // microseconds
  std::optional<uint64_t> realtime_period;  // microseconds
  std::string cpus, mems;                   // lists as of cpuset(7)
  std::optional<int64_t> idle;
};

struct WeightDevice {
  int64_t major = 0, minor = 0;
  std::optional<uint16_t> weight, leaf_weight;
};

struct ThrottleDevice {
  int64_t major = 0, minor = 0;
  uint64_t rate = 0;  // bytes or operations a second
};

struct BlockIoResources {
  std::optional<uint16_t> weight, leaf_weight;
  std::vector<WeightDevice> weight_devices;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  uint64_t limit = 0;     // bytes
};

struct NetworkPriority {
  std::string name;
  uint32_t priority = 0;
};

struct NetworkResources {
  std::optional<uint32_t> class_id;
  std::vector<NetworkPriority> priorities;
};

struct RdmaLimit {
  std::optional<uint32_t> hca_handles, hca_objects;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<MemoryResources> memory;
  std::optional<CpuResources> cpu;
  std::optional<int64_t> pids_limit;  // -1: no limit
  std::optional<BlockIoResources> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<NetworkResources> network;
  std::map<std::string, RdmaLimit> rdma;
  std::map<std::string, std::string> unified;
};

struct SeccompArg {
  uint32_t index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ", …
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;
  std::optional<uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;
  std::vector<std::string> flags;
  std::string listener_path, listener_metadata;
  std::vector<SeccompSyscall> syscalls;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  std::vector<std::string> schemata;  // version 1.3's: lines of that file
  bool enable_cmt = false, enable_mbm = false;
};

struct Personality {
  std::string domain;
  std::vector<std::string> flags;
};

struct TimeOffset {
  int64_t secs = 0;
  uint32_t nanosecs = 0;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<Device> devices;
  std::string cgroups_path;
  Resources resources;
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string rootfs_propagation;  // "", "shared", "slave", "private", "unbindable"; r… for recursive
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;

  // The namespace of that type that the container is to have; null: the runtime's own.
  const Namespace* FindNamespace(NamespaceType type) const;
};

struct Spec {
  std::string oci_version;
  std::optional<Process> process;  // may be absent until `start`
  Root root;
  std::vector<Mount> mounts;
  std::string hostname, domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux;
  bool has_vm = false;
};

// config.json's text. `file` names it in the error, which is one line: "config.json: FIELD: what is wrong".
absl::StatusOr<Spec> ParseSpec(std::string_view text, const std::string& file = "config.json");
// BUNDLE/config.json.
absl::StatusOr<Spec> LoadSpec(const std::string& bundle);
// The process of `exec --process FILE`.
absl::StatusOr<Process> ParseProcess(std::string_view text, const std::string& file);
absl::StatusOr<Process> LoadProcess(const std::string& file);
// linux.resources alone, as `update -r FILE` takes it.
absl::StatusOr<Resources> ParseResources(std::string_view text, const std::string& file);

// What is asked for and cannot be done, as "config.json: FIELD: …"; Ok if all can.
absl::Status CheckSupported(const Spec& spec, const std::string& file = "config.json");

// The root filesystem's absolute path; `bundle` is absolute.
std::string RootPath(const Spec& spec, const std::string& bundle);

// The warning that config.md asks for: "ignoring unknown … capabilities: […]"; "" if all are known.
std::string UnknownCapabilities(const Process& process);
// "pid", "network", …
std::string_view NamespaceName(NamespaceType type);
// "CAP_CHOWN" or "chown", in any case, as its number; nothing if Linux has none by that name.
std::optional<int> CapabilityNumber(std::string_view name);
std::string_view CapabilityName(int number);  // "CAP_CHOWN"; "" if there is none
inline constexpr int kLastCapability = 40;    // CAP_CHECKPOINT_RESTORE
// As of ioprio_set(2).
int IoPriorityNumber(const IoPriority& priority);
// "SCHED_BATCH" as its number, and "SCHED_FLAG_RECLAIM" as its bit for sched_setattr(2).
std::optional<int> SchedulingPolicyNumber(std::string_view name);
std::optional<uint64_t> SchedulingFlag(std::string_view name);
// "RLIMIT_NOFILE" as its number.
std::optional<int> RlimitNumber(std::string_view name);

}  // namespace runsc::oci

#endif  // RUNSC_OCI_SPEC_H_
