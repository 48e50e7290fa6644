// What the files of procfs share among themselves. Not for others.
#ifndef SENTRY_FSIMPL_PROC_INTERNAL_H_
#define SENTRY_FSIMPL_PROC_INTERNAL_H_

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>

#include "sentry/fsimpl/kernfs.h"
#include "sentry/fsimpl/proc.h"
#include "sentry/vfs/file_locks.h"

namespace runsc {

class ProcFilesystem final : public Filesystem {
 public:
  ProcFilesystem(Kernel& kernel, RefPtr<PidNamespace> pid_namespace)
      : kernel_(kernel), pid_namespace_(std::move(pid_namespace)) {}
  Kernel& kernel() const { return kernel_; }
  PidNamespace& pid_namespace() const { return *pid_namespace_; }

  std::string_view type_name() const override { return "proc"; }
  Result<FilesystemStats> Stats() override;
  bool caches_negative() const override { return false; }
  bool needs_revalidation() const override { return true; }
  bool Revalidate(Dentry& dir, Dentry& child) override;

  // Whether the task is still what its number in this namespace means.
  bool IsCurrent(const Task& task) const;
  // /proc/<pid>/net, one for all.
  const RefPtr<SyntheticInode>& net() const { return net_; }
  void set_net(RefPtr<SyntheticInode> net) { net_ = std::move(net); }

 private:
  Kernel& kernel_;
  const RefPtr<PidNamespace> pid_namespace_;
  RefPtr<SyntheticInode> net_;
};

// The namespace whose ids whoever reads is shown.
inline const UserNamespace& ReaderNamespace() {
  const Task* reader = Task::CurrentOrNull();
  return reader != nullptr ? *reader->creds().user_ns : UserNamespace::Initial();
}

// A piece of text in the making.
class TextBuilder {
 public:
  template <typename... Args>
  TextBuilder& Add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    return *this;
  }
  void Append(std::string_view text) { text_ += text; }
  std::string Take() { return std::move(text_); }
  size_t size() const { return text_.size(); }
  void PadTo(size_t size) {
    if (text_.size() < size) text_.resize(size, ' ');
  }

 private:
  std::string text_;
};

// An inode that belongs to a task: its owner is the task's effective user, root if the task may not
// be dumped; gone with the task.
template <typename Base>
class TaskInode : public Base {
 public:
  template <typename... Args>
  TaskInode(ProcFilesystem& filesystem, RefPtr<Task> task, Args&&... args)
      : Base(filesystem, std::forward<Args>(args)...), proc_(filesystem), task_(std::move(task)) {}
  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, Base::Attributes());
    RefPtr<const Credentials> creds = task_->GetCreds();
    if (creds && (attributes.mode == (S_IFDIR | 0555) || IsDumpable())) {
      attributes.uid = creds->euid;
      attributes.gid = creds->egid;
    } else if (RefPtr<MemoryManager> memory = task_->GetMemory(); memory && !memory->user_ns().IsInitial()) {
      // Linux: task_dump_owner(). Root of the program's namespace, if it has one.
      const Uid uid = memory->user_ns().ToKernelUid(0);
      const Gid gid = memory->user_ns().ToKernelGid(0);
      if (uid != kNoId) attributes.uid = uid;
      if (gid != kNoId) attributes.gid = gid;
    }
    return attributes;
  }
  bool IsStale() override { return !proc_.IsCurrent(*task_); }

 protected:
  bool IsDumpable() const {
    RefPtr<MemoryManager> memory = task_->GetMemory();
    return memory && memory->dumpable() == 1;
  }
  ProcFilesystem& proc_;
  const RefPtr<Task> task_;
};

// Inode numbers of a task's files; `part` tells the directory, `index` the file in it.
inline uint64_t TaskFileIno(pid_t tid, unsigned part, unsigned index) {
  return uint64_t{static_cast<uint32_t>(tid)} << 32 | uint64_t{part} << 24 | (index + 1);
}

// Below the root.
RefPtr<SyntheticInode> MakeTaskDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool is_process);
RefPtr<SyntheticInode> MakeFdDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool info,
                                       uint64_t ino);
RefPtr<SyntheticInode> MakeNamespaceDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino);
// /proc/<pid>/uid_map and its like; without a kind: setgroups.
RefPtr<SyntheticInode> MakeIdMapInode(ProcFilesystem& filesystem, RefPtr<Task> task,
                                      std::optional<UserNamespace::Kind> kind, uint64_t ino);
void AddUserSysctls(ProcFilesystem& filesystem, StaticDirectory& root);
RefPtr<SyntheticInode> MakeMemInode(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino);
void AddSystemFiles(ProcFilesystem& filesystem, StaticDirectory& root);
void AddSysctls(ProcFilesystem& filesystem, StaticDirectory& root);
void AddIpcFiles(ProcFilesystem& filesystem, StaticDirectory& root);
void AddKeyFiles(ProcFilesystem& filesystem, StaticDirectory& root);
RefPtr<SyntheticInode> MakeNetDirectory(ProcFilesystem& filesystem);
// A lock as /proc/locks shows it.
void AddLockLine(TextBuilder& text, int number, const FileLocks::Info& info,
                 const InodeAttributes& attributes);
void AddLeaseLine(TextBuilder& text, int number, const Leases::Info& info, const InodeAttributes& attributes);
// What fdinfo shows of a file of this kind; `table` is the process's, `view` the reader's.
void AddFileDetails(TextBuilder& text, FileDescription& file, FDTable& table, const PidNamespace& view);
std::string CpuInfoText(unsigned cpu_count);

// What the reader's time namespace adds to the time since boot; nanoseconds.
inline int64_t ReadersBootOffset() {
  const Task* reader = Task::CurrentOrNull();
  return reader != nullptr ? reader->time_namespace().offsets().boottime : 0;
}

// Texts of a task's files.
using TaskText = Result<std::string> (*)(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskStatText(ProcFilesystem& filesystem, Task& task, bool is_process);
Result<std::string> TaskStatusText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskStatmText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskMapsText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskSmapsText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskSmapsRollupText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskMountsText(ProcFilesystem& filesystem, Task& task);
Result<std::string> TaskMountInfoText(ProcFilesystem& filesystem, Task& task);
// mounts and mountinfo, whose pollers are told of changes.
Result<RefPtr<FileDescription>> OpenMounts(const VfsPath& path, int flags, Task& task,
                                           RefPtr<TextInode> inode);
Result<std::string> TaskMountStatsText(ProcFilesystem& filesystem, Task& task);

// The text of a place as the reader sees it (readlink of exe, cwd, fd).
std::string ShownPath(const Task& target, const VfsPath& path);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PROC_INTERNAL_H_
