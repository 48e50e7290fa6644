// /proc/<pid>/{mounts,mountinfo,mountstats}.
#include <sys/sysmacros.h>

#include "sentry/fsimpl/proc_internal.h"

namespace runsc {
namespace {

// mangle(): white space and backslashes in octal.
std::string Escape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\\' || c == '#') {
      out += fmt::format("\\{:03o}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

std::string MountFlags(const Mount& mount, bool read_only) {
  uint64_t flags = mount.flags();
  std::string text = read_only ? "ro" : "rw";
  if ((flags & MS_NOSUID) != 0) text += ",nosuid";
  if ((flags & MS_NODEV) != 0) text += ",nodev";
  if ((flags & MS_NOEXEC) != 0) text += ",noexec";
  if ((flags & MS_NOATIME) != 0) text += ",noatime";
  if ((flags & MS_NODIRATIME) != 0) text += ",nodiratime";
  if ((flags & MS_RELATIME) != 0) text += ",relatime";
  if ((flags & MS_NOSYMFOLLOW) != 0) text += ",nosymfollow";
  return text;
}

// The optional fields of mountinfo: a space before each.
std::string PropagationText(const MountNamespace::Entry& entry) {
  std::string text;
  if (entry.shared != 0) text += fmt::format(" shared:{}", entry.shared);
  if (entry.master != 0) text += fmt::format(" master:{}", entry.master);
  if (entry.propagate_from != 0) text += fmt::format(" propagate_from:{}", entry.propagate_from);
  if (entry.unbindable) text += " unbindable";
  return text;
}

std::string WithOptions(std::string text, const Filesystem& filesystem) {
  std::string options = filesystem.MountOptions();
  return options.empty() ? text : fmt::format("{},{}", text, options);
}

// Where a dentry stands in its own filesystem.
std::string PathInFilesystem(const RefPtr<Dentry>& dentry) {
  std::string path;
  for (RefPtr<Dentry> at = dentry; at && !at->IsRoot(); at = at->parent())
    path = fmt::format("/{}{}", at->name(), path);
  return path.empty() ? std::string("/") : path;
}

std::string Source(const Mount& mount) { return mount.source().empty() ? "none" : Escape(mount.source()); }

struct ShownMount {
  MountNamespace::Entry entry;
  std::string point;
};

// The mounts that can be seen from the task's root, where they are seen.
std::vector<ShownMount> ShownMounts(Task& task) {
  std::vector<ShownMount> shown;
  RefPtr<FsContext> fs = task.GetFs();
  if (!fs) return shown;
  FsContext::View view = fs->Get();
  for (MountNamespace::Entry& entry : view.mounts->Mounts(view.root)) {
    VfsPath place{entry.mount, entry.mount->root()};
    std::string point = MountNamespace::PathText(place, view.root);
    if (point.empty() || point[0] != '/') continue;
    shown.push_back({std::move(entry), std::move(point)});
  }
  return shown;
}

// Linux: mounts_poll().
class MountsFile final : public TextFile {
 public:
  MountsFile(VfsPath path, int flags, RefPtr<TextInode> inode, RefPtr<MountNamespace> mounts)
      : TextFile(std::move(path), flags, std::move(inode)),
        mounts_(std::move(mounts)),
        seen_(mounts_->changes()) {}
  EventMask Readiness(EventMask mask) override {
    EventMask ready = EPOLLIN | EPOLLRDNORM;
    if (mounts_->changes() != seen_.load()) ready |= EPOLLPRI | EPOLLERR;
    return ready & mask;
  }
  void OnReported(EventMask ready) override {
    if ((ready & (EPOLLPRI | EPOLLERR)) != 0) seen_.store(mounts_->changes());
  }
  WaitQueue* wait_queue() override { return &mounts_->change_queue(); }

 private:
  const RefPtr<MountNamespace> mounts_;
  std::atomic<uint64_t> seen_;
};

}  // namespace

Result<RefPtr<FileDescription>> OpenMounts(const VfsPath& path, int flags, Task& task,
                                           RefPtr<TextInode> inode) {
  RefPtr<FsContext> fs = task.GetFs();
  if (!fs) return Errno(EINVAL);
  return RefPtr<FileDescription>(MakeRef<MountsFile>(path, flags, std::move(inode), fs->Get().mounts));
}

Result<std::string> TaskMountsText(ProcFilesystem& filesystem, Task& task) {
  TextBuilder text;
  for (const ShownMount& shown : ShownMounts(task)) {
    Mount& mount = *shown.entry.mount;
    text.Add("{} {} {} {} 0 0\n", Source(mount), Escape(shown.point), mount.filesystem().type_name(),
             WithOptions(MountFlags(mount, mount.read_only()), mount.filesystem()));
  }
  return text.Take();
}

Result<std::string> TaskMountInfoText(ProcFilesystem& filesystem, Task& task) {
  TextBuilder text;
  for (const ShownMount& shown : ShownMounts(task)) {
    Mount& mount = *shown.entry.mount;
    uint64_t device = mount.filesystem().device();
    text.Add("{} {} {}:{} {} {} {}{} - {} {} {}\n", mount.id(),
             shown.entry.parent_id != 0 ? shown.entry.parent_id : mount.id(), major(device), minor(device),
             Escape(PathInFilesystem(mount.root())), Escape(shown.point),
             MountFlags(mount, (mount.flags() & MS_RDONLY) != 0), PropagationText(shown.entry),
             mount.filesystem().type_name(), Source(mount),
             WithOptions(mount.filesystem().is_read_only() ? "ro" : "rw", mount.filesystem()));
  }
  return text.Take();
}

Result<std::string> TaskMountStatsText(ProcFilesystem& filesystem, Task& task) {
  TextBuilder text;
  for (const ShownMount& shown : ShownMounts(task)) {
    Mount& mount = *shown.entry.mount;
    text.Add("device {} mounted on {} with fstype {}\n", Source(mount), Escape(shown.point),
             mount.filesystem().type_name());
  }
  return text.Take();
}

}  // namespace runsc
