// The files of /proc's root that tell of the whole system.
#include <algorithm>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int64_t kTick = 10'000'000;  // ns; USER_HZ is 100

int64_t Uptime(const Kernel& kernel) {
  return std::max<int64_t>(0, MonotonicNow() - kernel.boot_time_monotonic());
}

struct Totals {
  int64_t user = 0, system = 0, idle = 0;
  uint64_t switches = 0;
  size_t running = 0;
};
Totals SumUp(Kernel& kernel) {
  Totals totals;
  for (const RefPtr<ThreadGroup>& group : kernel.root_pid_namespace()->ThreadGroups()) {
    for (const CpuUsage& usage : {group->GetCpuUsage(), group->GetChildrenCpuUsage()}) {
      totals.user += usage.user;
      totals.system += usage.system;
      totals.switches += usage.voluntary_switches;
    }
    for (const RefPtr<Task>& task : group->Tasks()) totals.running += task->StateLetter() == 'R' ? 1 : 0;
  }
  totals.idle = std::max<int64_t>(0, Uptime(kernel) * kernel.cpu_count() - totals.user - totals.system);
  return totals;
}

std::string StatText(Kernel& kernel) {
  Totals totals = SumUp(kernel);
  unsigned cpus = std::max(1u, kernel.cpu_count());
  TextBuilder text;
  text.Add("cpu  {} 0 {} {} 0 0 0 0 0 0\n", totals.user / kTick, totals.system / kTick, totals.idle / kTick);
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    text.Add("cpu{} {} 0 {} {} 0 0 0 0 0 0\n", cpu, totals.user / kTick / cpus, totals.system / kTick / cpus,
             totals.idle / kTick / cpus);
  }
  int64_t boot = (ClockNow(CLOCK_REALTIME) - Uptime(kernel) - ReadersBootOffset()) / kNanosecondsPerSecond;
  text.Add("intr 0\nctxt {}\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n", totals.switches,
           boot, kernel.total_forks(), std::max<size_t>(1, totals.running));
  text.Append("softirq 0 0 0 0 0 0 0 0 0 0 0\n");
  return text.Take();
}

std::string UptimeText(Kernel& kernel) {
  int64_t up = std::max<int64_t>(0, Uptime(kernel) + ReadersBootOffset()) / kTick;
  int64_t idle = SumUp(kernel).idle / kTick;
  return fmt::format("{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100);
}

std::string LoadText(ProcFilesystem& filesystem) {
  Totals totals = SumUp(filesystem.kernel());
  return fmt::format("0.00 0.00 0.00 {}/{} {}\n", totals.running, filesystem.kernel().task_count(),
                     filesystem.pid_namespace().last_pid());
}

std::string MeminfoText(Kernel& kernel) {
  uint64_t total = kernel.memory_file().limit();
  uint64_t used = std::min(total, kernel.memory_file().allocated_bytes());
  uint64_t free = total - used;
  TextBuilder text;
  auto line = [&text](const char* key, uint64_t bytes) {
    text.Add("{:<16}{:>8} kB\n", fmt::format("{}:", key), bytes >> 10);
  };
  line("MemTotal", total);
  line("MemFree", free);
  line("MemAvailable", free);
  line("Buffers", 0);
  line("Cached", 0);
  line("SwapCached", 0);
  line("Active", used);
  line("Inactive", 0);
  line("Active(anon)", used);
  line("Inactive(anon)", 0);
  line("Active(file)", 0);
  line("Inactive(file)", 0);
  line("Unevictable", 0);
  line("Mlocked", 0);
  line("SwapTotal", 0);
  line("SwapFree", 0);
  line("Dirty", 0);
  line("Writeback", 0);
  line("AnonPages", used);
  line("Mapped", used);
  line("Shmem", 0);
  line("KReclaimable", 0);
  line("Slab", 0);
  line("SReclaimable", 0);
  line("SUnreclaim", 0);
  line("KernelStack", 0);
  line("PageTables", 0);
  line("NFS_Unstable", 0);
  line("Bounce", 0);
  line("WritebackTmp", 0);
  line("CommitLimit", total / 2);
  line("Committed_AS", used);
  text.Add("VmallocTotal:   {} kB\n", 34359738367);
  line("VmallocUsed", 0);
  line("VmallocChunk", 0);
  line("Percpu", 0);
  line("AnonHugePages", 0);
  line("ShmemHugePages", 0);
  line("ShmemPmdMapped", 0);
  line("FileHugePages", 0);
  line("FilePmdMapped", 0);
  for (const char* key : {"HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"})
    text.Add("{:<16}{:>8}\n", fmt::format("{}:", key), 0);
  line("Hugepagesize", 2 << 20);
  line("Hugetlb", 0);
  return text.Take();
}

std::string VmstatText(Kernel& kernel) {
  uint64_t used = kernel.memory_file().allocated_bytes() / kPageSize;
  uint64_t total = kernel.memory_file().limit() / kPageSize;
  TextBuilder text;
  text.Add("nr_free_pages {}\n", total - std::min(total, used));
  text.Add("nr_zone_active_anon {}\nnr_active_anon {}\nnr_anon_pages {}\nnr_mapped {}\n", used, used, used,
           used);
  for (const char* key : {"nr_inactive_anon", "nr_inactive_file", "nr_active_file", "nr_unevictable",
                          "nr_mlock", "nr_file_pages", "nr_dirty", "nr_writeback", "nr_shmem",
                          "nr_slab_reclaimable", "nr_slab_unreclaimable", "pgpgin", "pgpgout", "pswpin",
                          "pswpout", "pgfault", "pgmajfault", "oom_kill"})
    text.Add("{} 0\n", key);
  return text.Take();
}

std::string FilesystemsText(Kernel& kernel) {
  std::string text;
  for (const FilesystemType* type : kernel.Filesystems())
    text += fmt::format("{}\t{}\n", type->needs_device() ? "" : "nodev", type->name());
  return text;
}

// proc(5), /proc/locks. Linux: lock_get_status().
std::string LocksText() {
  TextBuilder text;
  int number = 0;
  for (const RefPtr<Inode>& inode : FileLocks::LockedInodes()) {
    Result<InodeAttributes> attributes = inode->Attributes();
    if (!attributes.ok()) continue;
    for (const FileLocks::Info& info : inode->locks().List()) {
      AddLockLine(text, ++number, info, *attributes);
    }
    Leases* leases = inode->locks().leases_if_any();
    if (leases == nullptr) continue;
    for (const Leases::Info& info : leases->List()) AddLeaseLine(text, ++number, info, *attributes);
  }
  return text.Take();
}

constexpr const char* kDevices =
    "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n128 ptm\n136 pts\n\n"
    "Block devices:\n";

}  // namespace

void AddSystemFiles(ProcFilesystem& filesystem, StaticDirectory& root) {
  Kernel& kernel = filesystem.kernel();
  auto add = [&](const char* name, auto reader, uint32_t mode = 0444) {
    root.Add(name, MakeRef<FunctionInode>(filesystem, mode, std::move(reader)));
  };
  add("cpuinfo", [&kernel]() -> Result<std::string> { return CpuInfoText(kernel.cpu_count()); });
  add("meminfo", [&kernel]() -> Result<std::string> { return MeminfoText(kernel); });
  add("stat", [&kernel]() -> Result<std::string> { return StatText(kernel); });
  add("uptime", [&kernel]() -> Result<std::string> { return UptimeText(kernel); });
  add("loadavg", [&filesystem]() -> Result<std::string> { return LoadText(filesystem); });
  add("vmstat", [&kernel]() -> Result<std::string> { return VmstatText(kernel); });
  add("filesystems", [&kernel]() -> Result<std::string> { return FilesystemsText(kernel); });
  root.Add("version", MakeTextInode(filesystem, fmt::format("{} version {} (runsc) {}\n", kKernelName,
                                                            kKernelRelease, kKernelVersion)));
  root.Add("cmdline", MakeTextInode(filesystem, "\n"));
  root.Add("devices", MakeTextInode(filesystem, kDevices));
  root.Add("partitions", MakeTextInode(filesystem, "major minor  #blocks  name\n\n"));
  root.Add("diskstats", MakeTextInode(filesystem, ""));
  root.Add("swaps", MakeTextInode(filesystem, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"));
  root.Add("modules", MakeTextInode(filesystem, ""));
  root.Add("misc", MakeTextInode(filesystem, ""));
  root.Add("interrupts", MakeTextInode(filesystem, ""));
  root.Add("softirqs", MakeTextInode(filesystem, ""));
  add("locks", []() -> Result<std::string> { return LocksText(); });
  root.Add("cgroups", MakeTextInode(filesystem, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"));
  root.Add("zoneinfo", MakeTextInode(filesystem, ""));
  // A container's /proc/sysrq-trigger can be opened by root but does nothing here.
  root.Add("sysrq-trigger", MakeRef<FunctionInode>(filesystem, 0200, nullptr));
}

}  // namespace runsc
