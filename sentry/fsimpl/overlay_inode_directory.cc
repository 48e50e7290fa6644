// OverlayInode's operations on directory entries.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "absl/container/flat_hash_set.h"
#include "sentry/fsimpl/overlay_inode.h"
#include "sentry/fsimpl/overlay_layer.h"

namespace runsc {
namespace {

OverlayInode& InodeOf(Dentry& dentry) { return static_cast<OverlayInode&>(*dentry.borrow_inode()); }

class Collector final : public DirectoryEmitter {
 public:
  explicit Collector(std::vector<OverlayInode::Entry>& entries) : entries_(entries) {}
  bool Emit(const DirectoryEntry& entry) override {
    if (entry.name != "." && entry.name != "..")
      entries_.push_back({std::string(entry.name), entry.ino, entry.type});
    return true;
  }

 private:
  std::vector<OverlayInode::Entry>& entries_;
};

Result<std::vector<OverlayInode::Entry>> ListLayer(Inode& directory) {
  std::vector<OverlayInode::Entry> entries;
  Collector collector(entries);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, OverlayInode::OpenLayer(directory, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(file->GetDents(collector));
  return entries;
}

}  // namespace

Result<RefPtr<Inode>> OverlayInode::Lookup(Dentry& dir, std::string_view name) {
  ASSIGN_OR_RETURN(std::vector<LookupEntry> entries, LookupMany(dir, std::span(&name, 1)));
  if (!entries[0].inode) return Errno(ENOENT);
  return std::move(entries[0].inode);
}

Result<std::vector<LookupEntry>> OverlayInode::LookupMany(Dentry& dir,
                                                          std::span<const std::string_view> names) {
  if (!IsDirectory()) return Errno(ENOTDIR);
  std::vector<LookupEntry> entries;
  RefPtr<Inode> in_upper;
  if (Inode* upper_dir = upper()) {
    UpperDirectoryLock lock(*upper_dir);
    ASSIGN_OR_RETURN(in_upper, LookupInLayer(*upper_dir, names[0]));
  }
  if (in_upper && IsWhiteout(*in_upper)) return std::vector<LookupEntry>(1);
  if (!in_upper) {
    if (lower() == nullptr) return std::vector<LookupEntry>(1);
    // What is not in the upper layer has nothing there below it either.
    RefPtr<Dentry> lower_dentry = LayerDentry(*lower());
    ASSIGN_OR_RETURN(std::vector<LookupEntry> found, lower()->LookupMany(*lower_dentry, names));
    for (LookupEntry& entry : found) {
      LookupEntry& added = entries.emplace_back();
      if (!entry.inode) break;
      ASSIGN_OR_RETURN(added.inode, overlay_.InodeFor(nullptr, std::move(entry.inode)));
    }
    return entries;
  }
  RefPtr<Inode> in_lower;
  if (lower() != nullptr && in_upper->IsDirectory()) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, in_upper->Attributes());
    if (!overlay_.IsOpaque(attributes.ino)) {
      ASSIGN_OR_RETURN(in_lower, LookupInLayer(*lower(), names[0]));
      if (in_lower && !in_lower->IsDirectory()) in_lower = nullptr;
    }
  }
  ASSIGN_OR_RETURN(RefPtr<OverlayInode> inode, overlay_.InodeFor(std::move(in_upper), std::move(in_lower)));
  entries.push_back({std::move(inode)});
  return entries;
}

Result<RefPtr<Inode>> OverlayInode::MakeEntry(Dentry& dir, std::string_view name, UpperOperation make) {
  RETURN_IF_ERROR(CopyUp(dir));
  Inode& upper_dir = *upper();
  RefPtr<Dentry> upper_dentry = LayerDentry(upper_dir);
  RefPtr<Inode> made;
  {
    UpperDirectoryLock lock(upper_dir);
    ASSIGN_OR_RETURN(RefPtr<Inode> there, LookupInLayer(upper_dir, name));
    if (there) {
      if (!IsWhiteout(*there)) return Errno(EEXIST);
      RefPtr<Dentry> whiteout = LayerDentry(*there, name);
      RETURN_IF_ERROR(upper_dir.Unlink(*upper_dentry, *whiteout));
    }
    auto result = make(upper_dir, *upper_dentry);
    if (!result.ok()) {
      if (there) {
        // The lower name must not show again.
        (void)upper_dir.Mknod(*upper_dentry, name, CreateAttributes{.mode = S_IFCHR});
      }
      return result.error();
    }
    made = *std::move(result);
  }
  if (!made) return made;
  if (made->IsDirectory()) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, made->Attributes());
    overlay_.MarkOpaque(attributes.ino);
  }
  ASSIGN_OR_RETURN(RefPtr<OverlayInode> inode, overlay_.InodeFor(std::move(made), nullptr));
  return RefPtr<Inode>(std::move(inode));
}

Result<RefPtr<Inode>> OverlayInode::Create(Dentry& dir, std::string_view name,
                                           const CreateAttributes& attributes) {
  return MakeEntry(dir, name,
                   [&](Inode& upper, Dentry& dentry) { return upper.Create(dentry, name, attributes); });
}

Result<RefPtr<Inode>> OverlayInode::Mkdir(Dentry& dir, std::string_view name,
                                          const CreateAttributes& attributes) {
  return MakeEntry(dir, name,
                   [&](Inode& upper, Dentry& dentry) { return upper.Mkdir(dentry, name, attributes); });
}

Result<RefPtr<Inode>> OverlayInode::Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                            const CreateAttributes& attributes) {
  return MakeEntry(dir, name, [&](Inode& upper, Dentry& dentry) {
    return upper.Symlink(dentry, name, target, attributes);
  });
}

Result<RefPtr<Inode>> OverlayInode::Mknod(Dentry& dir, std::string_view name,
                                          const CreateAttributes& attributes) {
  // It would be taken for a whiteout.
  if ((attributes.mode & S_IFMT) == S_IFCHR && attributes.rdev == 0) return Errno(EPERM);
  return MakeEntry(dir, name,
                   [&](Inode& upper, Dentry& dentry) { return upper.Mknod(dentry, name, attributes); });
}

Result<RefPtr<Inode>> OverlayInode::CreateUnnamed(Dentry& dir, const CreateAttributes& attributes) {
  RETURN_IF_ERROR(CopyUp(dir));
  RefPtr<Dentry> upper_dentry = LayerDentry(*upper());
  UpperDirectoryLock lock(*upper());
  ASSIGN_OR_RETURN(RefPtr<Inode> made, upper()->CreateUnnamed(*upper_dentry, attributes));
  ASSIGN_OR_RETURN(RefPtr<OverlayInode> inode, overlay_.InodeFor(std::move(made), nullptr));
  return RefPtr<Inode>(std::move(inode));
}

Result<void> OverlayInode::Link(Dentry& dir, std::string_view name, Dentry& target) {
  RETURN_IF_ERROR(CopyUp(target));
  Inode& linked = *InodeOf(target).upper();
  RefPtr<Dentry> linked_dentry = LayerDentry(linked, target.name());
  RETURN_IF_ERROR(MakeEntry(dir, name, [&](Inode& upper, Dentry& dentry) -> Result<RefPtr<Inode>> {
    RETURN_IF_ERROR(upper.Link(dentry, name, *linked_dentry));
    return RefPtr<Inode>();
  }));
  return Ok();
}

Result<bool> OverlayInode::LowerHas(Dentry& dir, std::string_view name) {
  if (lower() == nullptr) return false;
  ASSIGN_OR_RETURN(RefPtr<Inode> found, LookupInLayer(*lower(), name));
  return static_cast<bool>(found);
}

Result<void> OverlayInode::RemoveEntry(Dentry& dir, Dentry& child, bool is_directory) {
  std::string name = child.name();
  OverlayInode& victim = InodeOf(child);
  ASSIGN_OR_RETURN(bool hides, LowerHas(dir, name));
  RETURN_IF_ERROR(CopyUp(dir));
  Inode& upper_dir = *upper();
  RefPtr<Dentry> upper_dentry = LayerDentry(upper_dir);
  // A copy-up of the victim would bring its name back.
  MutexLock copy_up(victim.copy_up_mu_);
  UpperDirectoryLock lock(upper_dir);
  ASSIGN_OR_RETURN(RefPtr<Inode> there, LookupInLayer(upper_dir, name));
  if (there) {
    RefPtr<Dentry> there_dentry = LayerDentry(*there, name);
    RETURN_IF_ERROR(is_directory ? upper_dir.Rmdir(*upper_dentry, *there_dentry)
                                 : upper_dir.Unlink(*upper_dentry, *there_dentry));
  }
  if (hides) RETURN_IF_ERROR(upper_dir.Mknod(*upper_dentry, name, CreateAttributes{.mode = S_IFCHR}));
  if (victim.upper() == nullptr)
    victim.hidden_links_.fetch_add(is_directory ? 2 : 1, std::memory_order_relaxed);
  return Ok();
}

Result<void> OverlayInode::Unlink(Dentry& dir, Dentry& child) { return RemoveEntry(dir, child, false); }

Result<void> OverlayInode::Rmdir(Dentry& dir, Dentry& child) {
  OverlayInode& victim = InodeOf(child);
  RETURN_IF_ERROR(victim.CheckEmpty());
  RETURN_IF_ERROR(victim.ClearWhiteouts());
  return RemoveEntry(dir, child, true);
}

Result<void> OverlayInode::CheckEmpty() {
  ASSIGN_OR_RETURN(std::vector<Entry> entries, List());
  return entries.empty() ? Ok() : Result<void>(Errno(ENOTEMPTY));
}

Result<void> OverlayInode::ClearWhiteouts() {
  Inode* upper_dir = upper();
  if (upper_dir == nullptr) return Ok();
  ASSIGN_OR_RETURN(std::vector<Entry> entries, ListLayer(*upper_dir));
  RefPtr<Dentry> upper_dentry = LayerDentry(*upper_dir);
  UpperDirectoryLock lock(*upper_dir);
  for (const Entry& entry : entries) {
    ASSIGN_OR_RETURN(RefPtr<Inode> inode, LookupInLayer(*upper_dir, entry.name));
    if (!inode || !IsWhiteout(*inode)) continue;
    RefPtr<Dentry> whiteout = LayerDentry(*inode, entry.name);
    RETURN_IF_ERROR(upper_dir->Unlink(*upper_dentry, *whiteout));
  }
  return Ok();
}

Result<void> OverlayInode::Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                                  Dentry* replaced, uint32_t flags) {
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if ((flags & RENAME_WHITEOUT) != 0) return Errno(EINVAL);
  OverlayInode& moved = InodeOf(child);
  OverlayInode* other = replaced != nullptr && !replaced->IsNegative() ? &InodeOf(*replaced) : nullptr;
  OverlayInode& target = InodeOf(new_dir);
  if (moved.IsDirectory() && moved.lower() != nullptr) return Errno(EXDEV);
  if (exchange && other->IsDirectory() && other->lower() != nullptr) return Errno(EXDEV);
  if (!exchange && other != nullptr && other->IsDirectory()) {
    RETURN_IF_ERROR(other->CheckEmpty());
    RETURN_IF_ERROR(other->ClearWhiteouts());
  }
  std::string old_name = child.name();
  ASSIGN_OR_RETURN(bool hides, LowerHas(old_dir, old_name));
  RETURN_IF_ERROR(CopyUp(child));
  RETURN_IF_ERROR(CopyUp(new_dir));
  if (exchange) RETURN_IF_ERROR(CopyUp(*replaced));

  Inode& old_upper = *upper();
  Inode& new_upper = *target.upper();
  RefPtr<Dentry> old_dentry = LayerDentry(old_upper);
  RefPtr<Dentry> new_dentry = LayerDentry(new_upper);
  RefPtr<Dentry> moved_dentry = LayerDentry(*moved.upper(), old_name);
  UpperDirectoryLock lock(old_upper, new_upper);
  ASSIGN_OR_RETURN(RefPtr<Inode> there, LookupInLayer(new_upper, new_name));
  RefPtr<Dentry> there_dentry;
  bool hid_lower = there && IsWhiteout(*there);
  if (there) there_dentry = LayerDentry(*there, new_name);
  if (hid_lower) {
    // The moved file takes the whiteout's part of hiding what is below.
    RETURN_IF_ERROR(new_upper.Unlink(*new_dentry, *there_dentry));
    there_dentry.reset();
  }
  Result<void> renamed = old_upper.Rename(*old_dentry, *moved_dentry, *new_dentry, new_name,
                                          there_dentry.get(), flags & (RENAME_NOREPLACE | RENAME_EXCHANGE));
  if (!renamed.ok()) {
    if (hid_lower) (void)new_upper.Mknod(*new_dentry, new_name, CreateAttributes{.mode = S_IFCHR});
    return renamed;
  }
  if (other != nullptr && !exchange && other->upper() == nullptr)
    other->hidden_links_.fetch_add(other->IsDirectory() ? 2 : 1, std::memory_order_relaxed);
  if (hides && !exchange)
    RETURN_IF_ERROR(old_upper.Mknod(*old_dentry, old_name, CreateAttributes{.mode = S_IFCHR}));
  return Ok();
}

Result<std::vector<OverlayInode::Entry>> OverlayInode::List() {
  std::vector<Entry> all;
  absl::flat_hash_set<std::string> hidden;
  if (Inode* upper_dir = upper()) {
    ASSIGN_OR_RETURN(std::vector<Entry> in_upper, ListLayer(*upper_dir));
    all.reserve(in_upper.size());
    for (Entry& entry : in_upper) {
      if (lower() != nullptr) hidden.insert(entry.name);
      if (entry.type == DT_CHR) {
        UpperDirectoryLock lock(*upper_dir);
        auto inode = LookupInLayer(*upper_dir, entry.name);
        if (!inode.ok() || !*inode || IsWhiteout(**inode)) continue;
      }
      entry.number = overlay_.NumberOfUpper(entry.number);
      all.push_back(std::move(entry));
    }
  }
  if (lower() != nullptr) {
    ASSIGN_OR_RETURN(std::vector<Entry> in_lower, ListLayer(*lower()));
    if (all.empty() && hidden.empty()) return in_lower;
    for (Entry& entry : in_lower) {
      if (!hidden.contains(entry.name)) all.push_back(std::move(entry));
    }
  }
  return all;
}

}  // namespace runsc
