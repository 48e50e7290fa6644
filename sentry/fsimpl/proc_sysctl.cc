// /proc/sys: sysctl values. Those that mean something here are live; the others have Linux's
// defaults and refuse to change, unless programs are known to set them, who are told that it worked.
#include <sys/random.h>

#include <array>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/leases.h"
#include "sentry/vfs/link_protection.h"

namespace runsc {
namespace {

std::string RandomUuid() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // RFC 4122: version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text + "\n";
}

// A value that cannot be changed, by nobody: sysctls ask their mode alone (Linux: test_perm()).
class FixedInode final : public TextInode {
 public:
  FixedInode(Filesystem& filesystem, std::string text)
      : TextInode(filesystem, 0444), text_(std::move(text)) {}
  Result<void> CheckOpen(const OpenOptions& options) override {
    return (options.flags & O_ACCMODE) == O_RDONLY ? Ok() : Result<void>(Errno(EACCES));
  }
  Result<std::string> Generate() override { return text_; }

 private:
  const std::string text_;
};

// A number that is kept and given back, between two bounds.
class NumberInode final : public TextInode {
 public:
  NumberInode(Filesystem& filesystem, int64_t value, int64_t minimum, int64_t maximum)
      : TextInode(filesystem, 0644), own_(value), value_(own_), minimum_(minimum), maximum_(maximum) {}
  // One that others use.
  NumberInode(Filesystem& filesystem, std::atomic<int64_t>& value, int64_t minimum, int64_t maximum)
      : TextInode(filesystem, 0644), value_(value), minimum_(minimum), maximum_(maximum) {}
  Result<std::string> Generate() override { return fmt::format("{}\n", value_.load()); }
  Result<void> WriteText(std::string_view text) override {
    ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
    if (value < minimum_ || value > maximum_) return Errno(EINVAL);
    value_.store(value);
    return Ok();
  }

 private:
  std::atomic<int64_t> own_{0};
  std::atomic<int64_t>& value_;
  const int64_t minimum_, maximum_;
};

class UtsNameInode final : public TextInode {
 public:
  UtsNameInode(ProcFilesystem& filesystem, bool domain)
      : TextInode(filesystem, 0644), kernel_(filesystem.kernel()), domain_(domain) {}
  Result<std::string> Generate() override {
    RefPtr<UtsNamespace> uts = kernel_.current_uts_namespace();
    if (!uts) return Errno(ESRCH);
    return (domain_ ? uts->domain_name() : uts->host_name()) + "\n";
  }
  Result<void> WriteText(std::string_view text) override {
    Task* task = Task::CurrentOrNull();
    RefPtr<UtsNamespace> uts = kernel_.current_uts_namespace();
    if (task == nullptr || !uts || !task->creds().HasCapabilityIn(*uts->user_ns(), CAP_SYS_ADMIN))
      return Errno(EPERM);
    constexpr size_t kMaxLength = 64;
    std::string name(text.substr(0, std::min(kMaxLength, text.find_first_of(std::string_view("\n\0", 2)))));
    if (domain_) {
      uts->SetDomainName(std::move(name));
    } else {
      uts->SetHostName(std::move(name));
    }
    return Ok();
  }

 private:
  Kernel& kernel_;
  const bool domain_;
};

struct FixedValue {
  const char* directory;
  const char* name;
  const char* value;
};
constexpr FixedValue kFixed[] = {
    {"kernel", "osrelease", kKernelRelease},
    {"kernel", "ostype", kKernelName},
    {"kernel", "version", kKernelVersion},
    {"kernel", "cap_last_cap", "40"},
    {"kernel", "ngroups_max", "65536"},
    {"kernel", "overflowuid", "65534"},
    {"kernel", "overflowgid", "65534"},
    {"kernel", "randomize_va_space", "2"},
    {"kernel", "tainted", "0"},
    {"kernel", "printk", "4\t4\t1\t7"},
    {"kernel", "dmesg_restrict", "1"},
    {"kernel", "kptr_restrict", "1"},
    {"kernel", "perf_event_paranoid", "4"},
    {"kernel", "unprivileged_bpf_disabled", "2"},
    {"kernel", "io_uring_disabled", "2"},
    {"kernel", "core_uses_pid", "0"},
    {"kernel", "core_pattern", "core"},
    {"kernel", "panic", "0"},
    {"kernel", "auto_msgmni", "0"},
    {"kernel", "modprobe", "/sbin/modprobe"},
    {"kernel", "arch", "x86_64"},
    {"kernel", "core_pipe_limit", "0"},
    {"kernel", "ctrl-alt-del", "0"},
    {"kernel", "nmi_watchdog", "0"},
    {"kernel", "numa_balancing", "0"},
    {"kernel", "printk_delay", "0"},
    {"kernel", "printk_devkmsg", "on"},
    {"kernel", "sched_deadline_period_max_us", "4194304"},
    {"kernel", "sched_deadline_period_min_us", "100"},
    {"kernel", "soft_watchdog", "0"},
    {"kernel", "watchdog", "0"},
    {"kernel", "watchdog_thresh", "10"},
    {"kernel", "sysctl_writes_strict", "1"},
    {"kernel", "timer_migration", "1"},
    {"kernel", "sched_rt_period_us", "1000000"},
    {"kernel", "sched_rt_runtime_us", "950000"},
    {"kernel/yama", "ptrace_scope", "0"},
    {"kernel/random", "entropy_avail", "256"},
    {"kernel/random", "poolsize", "256"},
    {"kernel/keys", "maxkeys", "200"},
    {"kernel/keys", "root_maxkeys", "1000000"},
    {"kernel/pty", "max", "4096"},
    {"kernel/pty", "reserve", "1024"},
    {"kernel/seccomp", "actions_avail", "kill_process kill_thread trap errno trace log allow"},
    {"vm", "nr_hugepages", "0"},
    {"vm", "panic_on_oom", "0"},
    {"vm", "min_free_kbytes", "67584"},
    {"vm", "overcommit_kbytes", "0"},
    {"vm", "page-cluster", "3"},
    {"vm", "legacy_va_layout", "0"},
    {"vm", "extfrag_threshold", "500"},
    {"vm", "hugetlb_shm_group", "0"},
    {"vm", "lowmem_reserve_ratio", "256\t256\t32\t0\t0"},
    {"vm", "memfd_noexec", "0"},
    {"vm", "mmap_rnd_bits", "28"},
    {"vm", "nr_overcommit_hugepages", "0"},
    {"vm", "numa_zonelist_order", "Node"},
    {"vm", "unprivileged_userfaultfd", "0"},
    {"vm", "user_reserve_kbytes", "131072"},
    {"vm", "admin_reserve_kbytes", "8192"},
    {"fs", "nr_open", "1048576"},
    {"fs", "overflowuid", "65534"},
    {"fs", "overflowgid", "65534"},
    {"fs", "protected_fifos", "0"},
    {"fs", "protected_regular", "0"},
    {"fs", "suid_dumpable", "0"},
    {"fs", "inode-nr", "1024\t0"},
    {"fs", "inode-state", "1024\t0\t0\t0\t0\t0\t0"},
    {"fs", "dir-notify-enable", "1"},
    {"fs", "mount-max", "100000"},
    {"fs", "dentry-state", "1024\t0\t45\t0\t0\t0"},
};

struct KeptNumber {
  const char* directory;
  const char* name;
  int64_t value, minimum, maximum;
};
constexpr int64_t kIntMax = INT32_MAX;
constexpr KeptNumber kNumbers[] = {
    {"kernel", "pid_max", 4194304, 301, 4194304},
    {"kernel", "panic_on_oops", 0, 0, kIntMax},
    {"kernel", "panic_on_warn", 0, 0, 1},
    {"kernel", "print-fatal-signals", 0, 0, 1},
    {"kernel", "printk_ratelimit", 5, 0, kIntMax},
    {"kernel", "printk_ratelimit_burst", 10, 0, kIntMax},
    {"kernel", "sched_autogroup_enabled", 0, 0, 1},
    {"kernel", "sched_cfs_bandwidth_slice_us", 5000, 1, kIntMax},
    {"kernel", "sched_rr_timeslice_ms", 100, -1, kIntMax},
    {"vm", "compaction_proactiveness", 20, 0, 100},
    {"vm", "dirty_bytes", 0, 0, INT64_MAX},
    {"vm", "dirty_background_bytes", 0, 0, INT64_MAX},
    {"vm", "dirtytime_expire_seconds", 43200, 0, kIntMax},
    {"vm", "laptop_mode", 0, 0, kIntMax},
    {"vm", "oom_dump_tasks", 1, 0, kIntMax},
    {"vm", "percpu_pagelist_high_fraction", 0, 0, kIntMax},
    {"vm", "stat_interval", 1, 0, kIntMax},
    {"vm", "watermark_boost_factor", 15000, 0, kIntMax},
    {"vm", "watermark_scale_factor", 10, 1, 3000},
    {"vm", "overcommit_memory", 0, 0, 2},
    {"vm", "overcommit_ratio", 50, 0, kIntMax},
    {"vm", "max_map_count", 65530, 0, kIntMax},
    {"vm", "swappiness", 60, 0, 200},
    {"vm", "dirty_ratio", 20, 0, 100},
    {"vm", "dirty_background_ratio", 10, 0, 100},
    {"vm", "dirty_expire_centisecs", 3000, 0, kIntMax},
    {"vm", "dirty_writeback_centisecs", 500, 0, kIntMax},
    {"vm", "vfs_cache_pressure", 100, 0, kIntMax},
    {"vm", "zone_reclaim_mode", 0, 0, kIntMax},
    {"vm", "oom_kill_allocating_task", 0, 0, kIntMax},
    {"vm", "drop_caches", 0, 0, 4},
    {"fs", "pipe-max-size", 1048576, 4096, kIntMax},
    {"fs", "pipe-user-pages-soft", 16384, 0, INT64_MAX},
    {"fs", "pipe-user-pages-hard", 0, 0, INT64_MAX},
    {"fs/inotify", "max_user_instances", InotifyFile::kMaxUserInstances, 0, kIntMax},
    {"fs/inotify", "max_user_watches", InotifyFile::kMaxWatches, 0, kIntMax},
    {"fs/inotify", "max_queued_events", InotifyFile::kMaxQueuedEvents, 0, kIntMax},
    {"fs/epoll", "max_user_watches", 1048576, 0, INT64_MAX},
    {"net/core", "somaxconn", 4096, 0, kIntMax},
    {"net/core", "rmem_default", 212992, 2304, kIntMax},
    {"net/core", "rmem_max", 212992, 2304, kIntMax},
    {"net/core", "wmem_default", 212992, 4608, kIntMax},
    {"net/core", "wmem_max", 212992, 4608, kIntMax},
    {"net/core", "netdev_max_backlog", 1000, 0, kIntMax},
    {"net/core", "optmem_max", 20480, 0, kIntMax},
    {"net/unix", "max_dgram_qlen", 10, 0, kIntMax},
    {"net/ipv4", "ip_forward", 0, 0, 1},
    {"net/ipv4", "ip_default_ttl", 64, 1, 255},
    {"net/ipv4", "ip_nonlocal_bind", 0, 0, 1},
    {"net/ipv4", "ip_unprivileged_port_start", 1024, 0, 65535},
    {"net/ipv4", "tcp_sack", 1, 0, 1},
    {"net/ipv4", "tcp_timestamps", 1, 0, 2},
    {"net/ipv4", "tcp_window_scaling", 1, 0, 1},
    {"net/ipv4", "tcp_fin_timeout", 60, 0, kIntMax},
    {"net/ipv4", "tcp_tw_reuse", 2, 0, 2},
    {"net/ipv4", "tcp_syncookies", 1, 0, 2},
    {"net/ipv4", "tcp_max_syn_backlog", 4096, 0, kIntMax},
    {"net/ipv4", "tcp_keepalive_time", 7200, 0, kIntMax},
    {"net/ipv4", "tcp_keepalive_intvl", 75, 0, kIntMax},
    {"net/ipv4", "tcp_keepalive_probes", 9, 0, 255},
    {"net/ipv4", "tcp_retries2", 15, 0, 255},
    {"net/ipv4", "tcp_fastopen", 1, 0, kIntMax},
    {"net/ipv4", "tcp_ecn", 2, 0, 2},
    {"net/ipv4", "tcp_moderate_rcvbuf", 1, 0, 1},
    {"net/ipv6/conf/all", "disable_ipv6", 0, 0, 1},
    {"net/ipv6/conf/default", "disable_ipv6", 0, 0, 1},
    {"net/ipv6/conf/lo", "disable_ipv6", 0, 0, 1},
    {"net/ipv6", "bindv6only", 0, 0, 1},
};

// Lists of numbers that are shown, and writing which changes nothing.
constexpr FixedValue kLists[] = {
    {"fs", "file-max", "9223372036854775807"},
    {"net/ipv4", "ip_local_port_range", "32768\t60999"},
    {"net/ipv4", "ping_group_range", "1\t0"},
    {"net/ipv4", "tcp_rmem", "4096\t131072\t6291456"},
    {"net/ipv4", "tcp_wmem", "4096\t16384\t4194304"},
    {"net/ipv4", "tcp_mem", "188319\t251092\t376638"},
    {"net/ipv4", "udp_mem", "376638\t502184\t753276"},
    {"net/ipv4", "tcp_congestion_control", "cubic"},
    {"net/ipv4", "tcp_available_congestion_control", "reno cubic"},
    {"net/ipv4", "tcp_allowed_congestion_control", "reno cubic"},
};

}  // namespace

void AddSysctls(ProcFilesystem& filesystem, StaticDirectory& root) {
  Kernel& kernel = filesystem.kernel();
  StaticDirectory& sys = root.Subdirectory("sys");
  for (const FixedValue& value : kFixed)
    sys.Subdirectory(value.directory)
        .Add(value.name, MakeRef<FixedInode>(filesystem, value.value + std::string("\n")));
  sys.Subdirectory("vm").Add("mmap_min_addr",
                             MakeTextInode(filesystem, fmt::format("{}\n", kernel.platform().min_address())));
  for (const KeptNumber& number : kNumbers) {
    sys.Subdirectory(number.directory)
        .Add(number.name, MakeRef<NumberInode>(filesystem, number.value, number.minimum, number.maximum));
  }
  for (const FixedValue& list : kLists) {
    std::string text = list.value + std::string("\n");
    sys.Subdirectory(list.directory)
        .Add(list.name, MakeRef<FunctionInode>(
                            filesystem, 0644, [text]() -> Result<std::string> { return text; },
                            [](std::string_view) { return Ok(); }));
  }
  StaticDirectory& kernel_directory = sys.Subdirectory("kernel");
  kernel_directory.Add("hostname", MakeRef<UtsNameInode>(filesystem, false));
  kernel_directory.Add("domainname", MakeRef<UtsNameInode>(filesystem, true));
  kernel_directory.Add("threads-max",
                       MakeTextInode(filesystem, fmt::format("{}\n", kernel.max_tasks()), 0644));
  kernel_directory.Add(
      "ns_last_pid", MakeRef<FunctionInode>(filesystem, 0444, [&filesystem] {
        return Result<std::string>(fmt::format("{}\n", filesystem.pid_namespace().last_pid()));
      }));
  StaticDirectory& random = sys.Subdirectory("kernel/random");
  random.Add("boot_id", MakeTextInode(filesystem, kernel.boot_id() + "\n"));
  random.Add("uuid",
             MakeRef<FunctionInode>(filesystem, 0444, []() -> Result<std::string> { return RandomUuid(); }));
  sys.Subdirectory("fs").Add("protected_hardlinks",
                             MakeRef<NumberInode>(filesystem, protected_hardlinks, 0, 1));
  sys.Subdirectory("fs").Add("protected_symlinks",
                             MakeRef<NumberInode>(filesystem, protected_symlinks, 0, 1));
  sys.Subdirectory("fs").Add("leases-enable",
                             MakeRef<NumberInode>(filesystem, Leases::enabled, INT32_MIN, kIntMax));
  sys.Subdirectory("fs").Add("lease-break-time",
                             MakeRef<NumberInode>(filesystem, Leases::break_seconds, INT32_MIN, kIntMax));
  sys.Subdirectory("fs").Add("file-nr", MakeTextInode(filesystem, "1024\t0\t9223372036854775807\n"));
  sys.Subdirectory("fs/binfmt_misc");
}

}  // namespace runsc
