// /proc/<pid>/{fd,fdinfo,ns}.
#include <dirent.h>
#include <linux/magic.h>

#include <algorithm>
#include <charconv>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/namespace_handle.h"
#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

constexpr unsigned kPartFd = 1, kPartFdInfo = 2;

Result<int> ParseFd(std::string_view name) {
  int fd = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), fd);
  if (error != std::errc() || end != name.data() + name.size() || fd < 0) return Errno(ENOENT);
  if (name.size() > 1 && name[0] == '0') return Errno(ENOENT);
  return fd;
}

Result<RefPtr<FileDescription>> FileOf(Task& task, int fd, bool* close_on_exec = nullptr) {
  RefPtr<FDTable> table = task.GetFDTable();
  if (!table) return Errno(ENOENT);
  Result<RefPtr<FileDescription>> file = table->Get(fd, close_on_exec);
  if (!file.ok()) return Errno(ENOENT);
  return file;
}

uint32_t LinkMode(const FileDescription& file) {
  uint32_t mode = S_IFLNK;
  if (file.readable()) mode |= 0500;
  if (file.writable()) mode |= 0300;
  return mode;
}

class FdLinkInode final : public TaskInode<SyntheticInode> {
 public:
  FdLinkInode(ProcFilesystem& filesystem, RefPtr<Task> task, int fd, uint32_t mode, uint64_t ino)
      : TaskInode<SyntheticInode>(filesystem, std::move(task), mode, Uid{0}, Gid{0}, ino), fd_(fd) {}
  bool IsStale() override {
    if (TaskInode<SyntheticInode>::IsStale()) return true;
    Result<RefPtr<FileDescription>> file = FileOf(*task_, fd_);
    return !file.ok() || LinkMode(**file) != mode();
  }
  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, TaskInode<SyntheticInode>::Attributes());
    attributes.size = 64;
    return attributes;
  }
  Result<std::string> ReadLink(const Credentials& creds) override {
    ASSIGN_OR_RETURN(VfsPath path, FollowLink(creds));
    return ShownPath(*task_, path);
  }
  Result<VfsPath> FollowLink(const Credentials& creds) override {
    RETURN_IF_ERROR(CheckTaskAccess(creds, *task_));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, FileOf(*task_, fd_));
    return file->path();
  }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    return Errno(ELOOP);
  }

 private:
  const int fd_;
};

class FdInfoInode final : public TaskInode<TextInode> {
 public:
  FdInfoInode(ProcFilesystem& filesystem, RefPtr<Task> task, int fd, uint64_t ino)
      : TaskInode<TextInode>(filesystem, std::move(task), 0444u, Uid{0}, Gid{0}, ino), fd_(fd) {}
  bool IsStale() override { return TaskInode<TextInode>::IsStale() || !FileOf(*task_, fd_).ok(); }
  Result<void> CheckOpen(const OpenOptions& options) override {
    return CheckTaskAccess(*options.creds, *task_);
  }
  Result<std::string> Generate() override {
    bool close_on_exec = false;
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, FileOf(*task_, fd_, &close_on_exec));
    TextBuilder text;
    uint64_t ino = 0;
    Result<InodeAttributes> attributes = file->inode()->Attributes();
    if (attributes.ok()) ino = attributes->ino;
    text.Add("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n", file->Seek(0, SEEK_CUR).value_or(0),
             file->flags() | (close_on_exec ? O_CLOEXEC : 0),
             file->path().mount ? file->path().mount->id() : 0, ino);
    RefPtr<FDTable> table = task_->GetFDTable();
    if (table) AddFileDetails(text, *file, *table, proc_.pid_namespace());
    return text.Take();
  }

 private:
  const int fd_;
};

class FdDirectory final : public TaskInode<SyntheticDirectory> {
 public:
  FdDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool info, uint64_t ino)
      : TaskInode<SyntheticDirectory>(filesystem, std::move(task), info ? 0555u : 0500u, Uid{0}, Gid{0}, ino),
        info_(info) {}

  // A process may always look at its own, whatever it has become (proc_fd_permission).
  Result<void> CheckAccess(const Credentials& creds, int mask) override {
    // Linux: proc_fdinfo_permission().
    if (info_ && !CheckTaskAccess(creds, *task_).ok()) return Errno(EACCES);
    Result<void> normal = Inode::CheckAccess(creds, mask);
    if (normal.ok()) return normal;
    Task* reader = Task::CurrentOrNull();
    if (reader != nullptr && &reader->thread_group() == &task_->thread_group()) return Ok();
    return normal;
  }

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    ASSIGN_OR_RETURN(int fd, ParseFd(name));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, FileOf(*task_, fd));
    uint64_t ino = TaskFileIno(task_->root_tid(), info_ ? kPartFdInfo : kPartFd, fd);
    if (info_) return RefPtr<Inode>(MakeRef<FdInfoInode>(proc_, task_, fd, ino));
    return RefPtr<Inode>(MakeRef<FdLinkInode>(proc_, task_, fd, LinkMode(*file), ino));
  }

  Result<std::vector<SyntheticEntry>> Entries() override {
    std::vector<SyntheticEntry> entries;
    RefPtr<FDTable> table = task_->GetFDTable();
    if (!table) return entries;
    for (int fd : table->Numbers()) {
      entries.push_back({fmt::format("{}", fd),
                         TaskFileIno(task_->root_tid(), info_ ? kPartFdInfo : kPartFd, fd),
                         static_cast<uint8_t>(info_ ? DT_REG : DT_LNK), static_cast<uint64_t>(fd)});
    }
    return entries;
  }

  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, TaskInode<SyntheticDirectory>::Attributes());
    // Linux 6.2: st_size is the number of open files.
    if (!info_) {
      if (RefPtr<FDTable> table = task_->GetFDTable()) attributes.size = table->Numbers().size();
    }
    return attributes;
  }

 private:
  const bool info_;
};

// --- ns ---

struct NamespaceKind {
  const char* link;  // the entry's name
  const char* text;  // before ":[…]"
  uint64_t initial;  // Linux's number of the first namespace
  int type;          // CLONE_NEW*
  // The namespace of a task; null: there is one only.
  RefPtr<RefCounted> (*object)(Task& task);
};

RefPtr<RefCounted> MountsOf(Task& task) {
  RefPtr<FsContext> fs = task.GetFs();
  return fs ? fs->Get().mounts : nullptr;
}
RefPtr<RefCounted> PidNamespaceOf(Task& task) { return RefPtr<RefCounted>(&task.pid_namespace()); }
RefPtr<RefCounted> UserNamespaceOf(Task& task) {
  RefPtr<const Credentials> creds = task.GetCreds();
  return creds ? creds->user_ns : nullptr;
}

constexpr NamespaceKind kNamespaces[] = {
    {"cgroup", "cgroup", 4026531835, CLONE_NEWCGROUP,
     [](Task& task) -> RefPtr<RefCounted> { return task.cgroup_namespace(); }},
    {"ipc", "ipc", 4026531839, CLONE_NEWIPC, [](Task& task) -> RefPtr<RefCounted> { return task.ipc(); }},
    {"mnt", "mnt", 4026531841, CLONE_NEWNS, MountsOf},
    {"net", "net", 4026531840, CLONE_NEWNET, nullptr},
    {"pid", "pid", 4026531836, CLONE_NEWPID, PidNamespaceOf},
    {"pid_for_children", "pid", 4026531836, CLONE_NEWPID, PidNamespaceOf},
    {"time", "time", 4026531834, CLONE_NEWTIME,
     [](Task& task) -> RefPtr<RefCounted> { return task.GetTimeNamespace(); }},
    {"time_for_children", "time", 4026531834, CLONE_NEWTIME,
     [](Task& task) -> RefPtr<RefCounted> { return task.GetTimeNamespace(true); }},
    {"user", "user", 4026531837, CLONE_NEWUSER, UserNamespaceOf},
    {"uts", "uts", 4026531838, CLONE_NEWUTS, [](Task& task) -> RefPtr<RefCounted> { return task.uts(); }},
};

class NamespaceFilesystem final : public Filesystem {
 public:
  // Never destroyed: open files hold on to no mount of it.
  static NamespaceFilesystem& Get() {
    static NamespaceFilesystem* filesystem = MakeRef<NamespaceFilesystem>().release();
    return *filesystem;
  }
  std::string_view type_name() const override { return "nsfs"; }
  Result<FilesystemStats> Stats() override {
    FilesystemStats stats;
    stats.type = NSFS_MAGIC;
    return stats;
  }
};

// The object behind a namespace link; it can be opened and compared by its number.
class NamespaceInode final : public SyntheticInode {
 public:
  NamespaceInode(uint64_t ino, NamespaceHandle handle)
      : SyntheticInode(NamespaceFilesystem::Get(), S_IFREG | 0444, 0, 0, ino), handle_(std::move(handle)) {}
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    return RefPtr<FileDescription>(MakeRef<NamespaceFile>(path, options.flags, handle_));
  }
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override { return Errno(EPERM); }

 private:
  const NamespaceHandle handle_;
};

uint64_t NumberOf(Kernel& kernel, const NamespaceKind& kind, const RefCounted* space) {
  if (space == nullptr) return kind.initial;
  RefPtr<Task> init = kernel.root_pid_namespace()->FindTask(1);
  if (!init || kind.object(*init).get() == space) return kind.initial;
  return kind.type == CLONE_NEWUSER ? static_cast<const UserNamespace*>(space)->number()
                                    : static_cast<const Namespace*>(space)->number();
}

std::string TextOf(Kernel& kernel, const NamespaceKind& kind, const RefCounted* space) {
  return fmt::format("{}:[{}]", kind.text, NumberOf(kernel, kind, space));
}

VfsPath PathOfNamespace(Kernel& kernel, const NamespaceKind& kind, const RefPtr<RefCounted>& space) {
  const std::string text = TextOf(kernel, kind, space.get());
  auto inode =
      MakeRef<NamespaceInode>(NumberOf(kernel, kind, space.get()), NamespaceHandle{kind.type, space});
  return AnonymousPath(text, std::move(inode));
}

class NamespaceLinkInode final : public TaskInode<SymlinkInode> {
 public:
  NamespaceLinkInode(ProcFilesystem& filesystem, RefPtr<Task> task, const NamespaceKind& kind)
      : TaskInode<SymlinkInode>(filesystem, std::move(task), ""), kind_(kind) {}
  Result<std::string> ReadLink(const Credentials& creds) override {
    RETURN_IF_ERROR(CheckHasNamespace(creds));
    return TextOf(proc_.kernel(), kind_, Object().get());
  }
  Result<VfsPath> FollowLink(const Credentials& creds) override {
    RETURN_IF_ERROR(CheckHasNamespace(creds));
    return PathOfNamespace(proc_.kernel(), kind_, Object());
  }

 private:
  // A task that has ended has only those namespaces left that its number and its credentials are from.
  Result<void> CheckHasNamespace(const Credentials& creds) const {
    RETURN_IF_ERROR(CheckTaskAccess(creds, *task_));
    const bool outlives_task = kind_.type == CLONE_NEWUSER || std::string_view(kind_.link) == "pid";
    if (!outlives_task && !task_->GetFs()) return Errno(ENOENT);
    return Ok();
  }
  RefPtr<RefCounted> Object() const { return kind_.object != nullptr ? kind_.object(*task_) : nullptr; }
  const NamespaceKind& kind_;
};

class NamespaceDirectory final : public TaskInode<SyntheticDirectory> {
 public:
  NamespaceDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino)
      : TaskInode<SyntheticDirectory>(filesystem, std::move(task), 0511u, Uid{0}, Gid{0}, ino) {}
  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    for (const NamespaceKind& kind : kNamespaces) {
      if (name == kind.link) return RefPtr<Inode>(MakeRef<NamespaceLinkInode>(proc_, task_, kind));
    }
    return Errno(ENOENT);
  }
  Result<std::vector<SyntheticEntry>> Entries() override {
    std::vector<SyntheticEntry> entries;
    for (const NamespaceKind& kind : kNamespaces)
      entries.push_back({kind.link, kind.initial, DT_LNK, entries.size()});
    return entries;
  }
};

}  // namespace

RefPtr<SyntheticInode> MakeFdDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool info,
                                       uint64_t ino) {
  return MakeRef<FdDirectory>(filesystem, std::move(task), info, ino);
}

RefPtr<FileDescription> OpenNamespace(Kernel& kernel, const NamespaceHandle& handle) {
  auto of_type = [&](const NamespaceKind& kind) { return kind.type == handle.type; };
  const NamespaceKind& kind = *std::find_if(std::begin(kNamespaces), std::end(kNamespaces), of_type);
  return MakeRef<NamespaceFile>(PathOfNamespace(kernel, kind, handle.object), O_RDONLY, handle);
}

RefPtr<SyntheticInode> MakeNamespaceDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino) {
  return MakeRef<NamespaceDirectory>(filesystem, std::move(task), ino);
}

}  // namespace runsc
