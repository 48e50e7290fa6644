#include "sentry/fsimpl/sys.h"

#include <fmt/format.h>
#include <linux/magic.h>

#include <algorithm>

#include "sentry/fsimpl/kernfs.h"

namespace runsc {
namespace {

class SysFilesystem final : public Filesystem {
 public:
  std::string_view type_name() const override { return "sysfs"; }
  Result<FilesystemStats> Stats() override {
    FilesystemStats stats;
    stats.type = SYSFS_MAGIC;
    return stats;
  }
};

// Adds files with fixed texts to directories of a tree.
class TreeBuilder {
 public:
  TreeBuilder(Filesystem& filesystem, StaticDirectory& root) : filesystem_(filesystem), root_(root) {}
  void Directory(std::string_view path) { root_.Subdirectory(path); }
  void Text(std::string_view directory, std::string_view name, std::string_view text, uint32_t mode = 0444) {
    root_.Subdirectory(directory).Add(name, MakeTextInode(filesystem_, fmt::format("{}\n", text), mode));
  }
  void Link(std::string_view directory, std::string_view name, std::string_view target) {
    root_.Subdirectory(directory).Add(name, MakeRef<SymlinkInode>(filesystem_, std::string(target)));
  }

 private:
  Filesystem& filesystem_;
  StaticDirectory& root_;
};

// "3": the first two of 32-bit groups, the highest first, as cpumask_pr_args() prints them.
std::string CpuMask(unsigned first, unsigned last) {
  unsigned groups = last / 32 + 1;
  std::string text;
  for (unsigned group = groups; group-- > 0;) {
    uint32_t bits = 0;
    for (unsigned bit = 0; bit < 32; ++bit) {
      unsigned cpu = group * 32 + bit;
      if (cpu >= first && cpu <= last) bits |= uint32_t{1} << bit;
    }
    if (!text.empty()) {
      text += fmt::format(",{:08x}", bits);
    } else {
      text = fmt::format("{:x}", bits);
    }
  }
  return text;
}

void AddProcessors(TreeBuilder& tree, unsigned count) {
  std::string all = count == 1 ? "0" : fmt::format("0-{}", count - 1);
  std::string all_mask = CpuMask(0, count - 1);
  constexpr const char* kCpu = "devices/system/cpu";
  for (const char* name : {"online", "possible", "present"}) tree.Text(kCpu, name, all);
  tree.Text(kCpu, "offline", "");
  tree.Text(kCpu, "isolated", "");
  tree.Text(kCpu, "kernel_max", "8191");
  tree.Text("devices/system/cpu/smt", "active", "0");
  tree.Text("devices/system/cpu/smt", "control", "notsupported");
  for (unsigned cpu = 0; cpu < count; ++cpu) {
    std::string directory = fmt::format("{}/cpu{}", kCpu, cpu);
    std::string topology = directory + "/topology";
    std::string own = fmt::format("{}", cpu), own_mask = CpuMask(cpu, cpu);
    if (cpu != 0) tree.Text(directory, "online", "1");
    tree.Text(topology, "core_id", own);
    tree.Text(topology, "physical_package_id", "0");
    tree.Text(topology, "die_id", "0");
    tree.Text(topology, "cluster_id", "65535");
    for (const char* name : {"thread_siblings", "core_cpus"}) {
      tree.Text(topology, name, own_mask);
      tree.Text(topology, fmt::format("{}_list", name), own);
    }
    for (const char* name : {"core_siblings", "package_cpus", "die_cpus"}) {
      tree.Text(topology, name, all_mask);
      tree.Text(topology, fmt::format("{}_list", name), all);
    }
  }
  constexpr const char* kNode = "devices/system/node";
  for (const char* name : {"online", "possible", "has_cpu", "has_memory", "has_normal_memory"})
    tree.Text(kNode, name, "0");
  tree.Text("devices/system/node/node0", "cpulist", all);
  tree.Text("devices/system/node/node0", "cpumap", all_mask);
  tree.Text("devices/system/node/node0", "distance", "10");
}

void AddLoopback(TreeBuilder& tree) {
  constexpr const char* kLo = "devices/virtual/net/lo";
  static constexpr const char* kFiles[][2] = {{"address", "00:00:00:00:00:00"},
                                              {"broadcast", "00:00:00:00:00:00"},
                                              {"addr_len", "6"},
                                              {"ifindex", "1"},
                                              {"iflink", "1"},
                                              {"mtu", "65536"},
                                              {"operstate", "unknown"},
                                              {"flags", "0x9"},
                                              {"type", "772"},
                                              {"carrier", "1"},
                                              {"tx_queue_len", "1000"},
                                              {"dev_id", "0x0"},
                                              {"ifalias", ""},
                                              {"link_mode", "0"},
                                              {"dormant", "0"}};
  for (const auto& [name, text] : kFiles) tree.Text(kLo, name, text);
  static constexpr const char* kCounters[] = {"rx_bytes",   "rx_packets", "rx_errors", "rx_dropped",
                                              "tx_bytes",   "tx_packets", "tx_errors", "tx_dropped",
                                              "collisions", "multicast"};
  for (const char* name : kCounters) tree.Text("devices/virtual/net/lo/statistics", name, "0");
  tree.Link("class/net", "lo", "../../devices/virtual/net/lo");
}

class SysType final : public FilesystemType {
 public:
  explicit SysType(Kernel& kernel) : kernel_(kernel) {}
  std::string_view name() const override { return "sysfs"; }
  // Whoever may administer the network, which is the sandbox's.
  bool may_be_mounted_by_all() const override { return true; }
  RefPtr<UserNamespace> Owner() const override { return RefPtr<UserNamespace>(&UserNamespace::Initial()); }
  bool may_reveal() const override { return true; }
  Result<NewFilesystem> Make(const FilesystemSource& source) override { return MakeSys(kernel_); }

 private:
  Kernel& kernel_;
};

}  // namespace

NewFilesystem MakeSys(Kernel& kernel) {
  auto filesystem = MakeRef<SysFilesystem>();
  auto root = MakeRef<StaticDirectory>(*filesystem, 0755u, Uid{0}, Gid{0}, uint64_t{1});
  TreeBuilder tree(*filesystem, *root);
  for (const char* path : {"block", "bus", "class/net", "class/block", "class/mem", "class/tty", "dev/block",
                           "dev/char", "devices", "firmware", "fs/cgroup", "hypervisor",
                           "kernel/mm/hugepages", "kernel/debug", "kernel/security", "module", "power"})
    tree.Directory(path);
  AddProcessors(tree, std::max(1u, kernel.cpu_count()));
  AddLoopback(tree);
  constexpr const char* kHugePages = "kernel/mm/transparent_hugepage";
  tree.Text(kHugePages, "enabled", "always madvise [never]");
  tree.Text(kHugePages, "defrag", "always defer defer+madvise [madvise] never");
  tree.Text(kHugePages, "shmem_enabled", "always within_size advise [never] deny force");
  tree.Text(kHugePages, "hpage_pmd_size", "2097152");
  auto dentry = MakeRef<Dentry>(*filesystem, std::move(root), "/");
  return {std::move(filesystem), std::move(dentry)};
}

std::unique_ptr<FilesystemType> MakeSysType(Kernel& kernel) { return std::make_unique<SysType>(kernel); }

}  // namespace runsc
