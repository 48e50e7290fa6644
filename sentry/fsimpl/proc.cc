#include "sentry/fsimpl/proc.h"

#include <dirent.h>
#include <linux/magic.h>

#include <charconv>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/kernel/ptrace_access.h"

namespace runsc {
namespace {

// "self" and "thread-self": whoever looks.
class SelfInode final : public SymlinkInode {
 public:
  SelfInode(ProcFilesystem& filesystem, bool thread)
      : SymlinkInode(filesystem, ""), proc_(filesystem), thread_(thread) {}
  Result<std::string> ReadLink(const Credentials& creds) override {
    Task* task = Task::CurrentOrNull();
    if (task == nullptr) return Errno(ENOENT);
    pid_t pid = proc_.pid_namespace().IdOf(task->thread_group());
    if (pid == 0) return Errno(ENOENT);
    if (!thread_) return fmt::format("{}", pid);
    return fmt::format("{}/task/{}", pid, proc_.pid_namespace().IdOf(*task));
  }

 private:
  ProcFilesystem& proc_;
  const bool thread_;
};

class ProcRoot final : public SyntheticDirectory {
 public:
  explicit ProcRoot(ProcFilesystem& filesystem)
      : SyntheticDirectory(filesystem, 0555, 0, 0, 1),
        proc_(filesystem),
        files_(MakeRef<StaticDirectory>(filesystem)) {}
  StaticDirectory& files() { return *files_; }

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    if (name.empty() || name[0] < '0' || name[0] > '9') return files_->Lookup(dir, name);
    pid_t id = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc() || end != name.data() + name.size() || name[0] == '0') return Errno(ENOENT);
    // A thread's number finds its process too, though it is not listed.
    RefPtr<Task> task = proc_.pid_namespace().FindTask(id);
    if (!task) return Errno(ENOENT);
    return RefPtr<Inode>(MakeTaskDirectory(proc_, std::move(task), true));
  }

  Result<std::vector<SyntheticEntry>> Entries() override {
    constexpr uint64_t kFirstPidPosition = 256;
    // Whoever lists processes time and again would keep those that have gone, by the names of their files.
    proc_.ShrinkDentryCache();
    ASSIGN_OR_RETURN(std::vector<SyntheticEntry> entries, files_->Entries());
    for (const RefPtr<ThreadGroup>& group : proc_.pid_namespace().ThreadGroups()) {
      pid_t pid = proc_.pid_namespace().IdOf(*group);
      if (pid == 0) continue;
      entries.push_back({fmt::format("{}", pid), TaskFileIno(pid, 0, 0), DT_DIR,
                         kFirstPidPosition + static_cast<uint64_t>(pid)});
    }
    return entries;
  }

  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, files_->Attributes());
    attributes.ino = ino();
    attributes.nlink += proc_.pid_namespace().task_count();
    return attributes;
  }

 private:
  ProcFilesystem& proc_;
  const RefPtr<StaticDirectory> files_;
};

class ProcType final : public FilesystemType {
 public:
  explicit ProcType(Kernel& kernel) : kernel_(kernel) {}
  std::string_view name() const override { return "proc"; }
  bool may_be_mounted_by_all() const override { return true; }
  RefPtr<UserNamespace> Owner() const override {
    Task* task = Task::CurrentOrNull();
    return task != nullptr ? task->pid_namespace().user_ns() : kernel_.root_pid_namespace()->user_ns();
  }
  bool may_reveal() const override { return true; }
  Result<NewFilesystem> Make(const FilesystemSource& source) override {
    Task* task = Task::CurrentOrNull();
    return MakeProc(kernel_, task != nullptr ? RefPtr<PidNamespace>(&task->pid_namespace())
                                             : kernel_.root_pid_namespace());
  }

 private:
  Kernel& kernel_;
};

}  // namespace

Result<FilesystemStats> ProcFilesystem::Stats() {
  FilesystemStats stats;
  stats.type = PROC_SUPER_MAGIC;
  return stats;
}

bool ProcFilesystem::Revalidate(Dentry& dir, Dentry& child) {
  Inode* inode = child.borrow_inode();
  return inode != nullptr && !static_cast<SyntheticInode*>(inode)->IsStale();
}

bool ProcFilesystem::IsCurrent(const Task& task) const {
  pid_t id = pid_namespace_->IdOf(task);
  return id != 0 && pid_namespace_->FindTask(id).get() == &task;
}

NewFilesystem MakeProc(Kernel& kernel, RefPtr<PidNamespace> pid_namespace) {
  auto filesystem = MakeRef<ProcFilesystem>(kernel, std::move(pid_namespace));
  auto root = MakeRef<ProcRoot>(*filesystem);
  filesystem->set_net(MakeNetDirectory(*filesystem));
  StaticDirectory& files = root->files();
  files.Add("self", MakeRef<SelfInode>(*filesystem, false));
  files.Add("thread-self", MakeRef<SelfInode>(*filesystem, true));
  files.Add("mounts", MakeRef<SymlinkInode>(*filesystem, "self/mounts"));
  files.Add("net", MakeRef<SymlinkInode>(*filesystem, "self/net"));
  AddSystemFiles(*filesystem, files);
  AddSysctls(*filesystem, files);
  AddUserSysctls(*filesystem, files);
  AddIpcFiles(*filesystem, files);
  AddKeyFiles(*filesystem, files);
  RefPtr<Dentry> dentry = MakeRef<Dentry>(*filesystem, std::move(root), "/");
  return {std::move(filesystem), std::move(dentry)};
}

std::unique_ptr<FilesystemType> MakeProcType(Kernel& kernel) { return std::make_unique<ProcType>(kernel); }

Result<void> CheckTaskAccess(const Credentials& creds, const Task& target) {
  Task* reader = Task::CurrentOrNull();
  if (reader != nullptr && &reader->thread_group() == &target.thread_group()) return Ok();
  return MayLookInto(creds, creds.fsuid, creds.fsgid, target) ? Ok() : Result<void>(Errno(EACCES));
}

}  // namespace runsc
