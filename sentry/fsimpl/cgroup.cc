#include "sentry/fsimpl/cgroup.h"

#include <fmt/format.h>
#include <linux/magic.h>

#include <string>
#include <string_view>

#include "sentry/fsimpl/kernfs.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {
namespace {

class CgroupFilesystem final : public Filesystem {
 public:
  std::string_view type_name() const override { return "cgroup2"; }
  Result<FilesystemStats> Stats() override {
    FilesystemStats stats;
    stats.type = CGROUP2_SUPER_MAGIC;
    return stats;
  }
};

std::string MaxOr(const std::optional<uint64_t>& limit) {
  return limit ? fmt::format("{}\n", *limit) : std::string("max\n");
}

// The kernel's tasks, as the first PID namespace numbers them.
std::string Ids(Kernel& kernel, bool threads) {
  std::string text;
  const PidNamespace& view = *kernel.root_pid_namespace();
  for (const RefPtr<ThreadGroup>& group : view.ThreadGroups()) {
    if (!threads) {
      text += fmt::format("{}\n", view.IdOf(*group));
      continue;
    }
    for (const RefPtr<Task>& task : group->Tasks()) text += fmt::format("{}\n", view.IdOf(*task));
  }
  return text;
}

std::string CpuStat(Kernel& kernel) {
  int64_t user = 0, system = 0;
  for (const RefPtr<ThreadGroup>& group : kernel.root_pid_namespace()->ThreadGroups()) {
    for (const CpuUsage& usage : {group->GetCpuUsage(), group->GetChildrenCpuUsage()}) {
      user += usage.user;
      system += usage.system;
    }
  }
  constexpr int64_t kMicrosecond = 1000;
  user /= kMicrosecond;
  system /= kMicrosecond;
  return fmt::format(
      "usage_usec {}\nuser_usec {}\nsystem_usec {}\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
      user + system, user, system);
}

// Guest memory is one file to the Sentry: what is anonymous and what caches a file is not told apart.
std::string MemoryStat(Kernel& kernel) {
  uint64_t used = kernel.memory_file().allocated_bytes();
  return fmt::format(
      "anon {}\nfile 0\nkernel 0\nshmem 0\nfile_mapped 0\nfile_dirty 0\ninactive_anon 0\nactive_anon {}\n"
      "inactive_file 0\nactive_file 0\nunevictable 0\nslab 0\n",
      used, used);
}

class TreeBuilder {
 public:
  TreeBuilder(Filesystem& filesystem, StaticDirectory& root) : filesystem_(filesystem), root_(root) {}
  void Text(std::string_view name, std::string text) {
    root_.Add(name, MakeTextInode(filesystem_, std::move(text)));
  }
  template <typename Reader>
  void Generated(std::string_view name, Reader reader) {
    root_.Add(name, MakeRef<FunctionInode>(filesystem_, 0444,
                                           [reader]() -> Result<std::string> { return reader(); }));
  }

 private:
  Filesystem& filesystem_;
  StaticDirectory& root_;
};

void AddCore(TreeBuilder& tree, Kernel& kernel) {
  tree.Text("cgroup.controllers", "cpuset cpu memory pids\n");
  tree.Text("cgroup.subtree_control", "");
  tree.Text("cgroup.type", "domain\n");
  tree.Text("cgroup.events", "populated 1\nfrozen 0\n");
  tree.Text("cgroup.freeze", "0\n");
  tree.Text("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n");
  tree.Text("cgroup.max.depth", "max\n");
  tree.Text("cgroup.max.descendants", "max\n");
  tree.Generated("cgroup.procs", [&kernel] { return Ids(kernel, false); });
  tree.Generated("cgroup.threads", [&kernel] { return Ids(kernel, true); });
}

void AddMemory(TreeBuilder& tree, Kernel& kernel, const CgroupSettings& settings) {
  tree.Generated("memory.max", [&settings] { return MaxOr(settings.Get().memory); });
  for (const char* name : {"memory.high", "memory.swap.high"}) tree.Text(name, "max\n");
  for (const char* name :
       {"memory.min", "memory.low", "memory.oom.group", "memory.swap.current", "memory.swap.max"})
    tree.Text(name, "0\n");
  tree.Text("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
  tree.Generated("memory.current",
                 [&kernel] { return fmt::format("{}\n", kernel.memory_file().allocated_bytes()); });
  tree.Generated("memory.stat", [&kernel] { return MemoryStat(kernel); });
}

void AddCpu(TreeBuilder& tree, Kernel& kernel, const CgroupSettings& settings) {
  tree.Generated("cpu.max", [&settings] {
    CgroupLimits limits = settings.Get();
    std::string quota = limits.cpu_quota ? fmt::format("{}", *limits.cpu_quota) : std::string("max");
    return fmt::format("{} {}\n", quota, limits.cpu_period);
  });
  tree.Generated("cpu.weight", [&settings] { return fmt::format("{}\n", settings.Get().cpu_weight); });
  tree.Generated("cpu.stat", [&kernel] { return CpuStat(kernel); });
  unsigned last = kernel.cpu_count() > 0 ? kernel.cpu_count() - 1 : 0;
  tree.Text("cpuset.cpus", "");
  tree.Text("cpuset.cpus.effective", last == 0 ? "0\n" : fmt::format("0-{}\n", last));
  tree.Text("cpuset.mems", "");
  tree.Text("cpuset.mems.effective", "0\n");
}

class CgroupType final : public FilesystemType {
 public:
  CgroupType(Kernel& kernel, const CgroupSettings& settings) : kernel_(kernel), settings_(settings) {}
  std::string_view name() const override { return "cgroup2"; }
  bool may_be_mounted_by_all() const override { return true; }
  RefPtr<UserNamespace> Owner() const override {
    Task* task = Task::CurrentOrNull();
    RefPtr<CgroupNamespace> space = task != nullptr ? task->cgroup_namespace() : nullptr;
    return space ? space->user_ns() : RefPtr<UserNamespace>(&UserNamespace::Initial());
  }
  Result<NewFilesystem> Make(const FilesystemSource& source) override {
    return MakeCgroup(kernel_, settings_);
  }

 private:
  Kernel& kernel_;
  const CgroupSettings& settings_;
};

}  // namespace

NewFilesystem MakeCgroup(Kernel& kernel, const CgroupSettings& settings) {
  auto filesystem = MakeRef<CgroupFilesystem>();
  auto root = MakeRef<StaticDirectory>(*filesystem, 0755u, Uid{0}, Gid{0}, uint64_t{1});
  TreeBuilder tree(*filesystem, *root);
  AddCore(tree, kernel);
  AddMemory(tree, kernel, settings);
  AddCpu(tree, kernel, settings);
  tree.Generated("pids.max", [&settings] { return MaxOr(settings.Get().tasks); });
  tree.Text("pids.events", "max 0\n");
  tree.Generated("pids.current", [&kernel] { return fmt::format("{}\n", kernel.task_count()); });
  auto dentry = MakeRef<Dentry>(*filesystem, std::move(root), "/");
  return {std::move(filesystem), std::move(dentry)};
}

std::unique_ptr<FilesystemType> MakeCgroupType(Kernel& kernel, const CgroupSettings& settings) {
  return std::make_unique<CgroupType>(kernel, settings);
}

}  // namespace runsc
