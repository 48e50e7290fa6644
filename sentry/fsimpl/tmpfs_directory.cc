#include <linux/fs.h>

#include "sentry/fsimpl/tmpfs_inode.h"

namespace runsc {

namespace {

constexpr uint64_t kEntrySize = 20;  // what st_size counts for an entry (Linux: BOGO_DIRENT_SIZE)

// A tree whose last user goes is taken apart in a loop: its depth is the guest's choice.
thread_local std::vector<RefPtr<TmpfsInode>>* dying = nullptr;

void DropFlat(std::vector<RefPtr<TmpfsInode>> inodes) {
  if (dying != nullptr) {
    for (RefPtr<TmpfsInode>& inode : inodes) dying->push_back(std::move(inode));
    return;
  }
  dying = &inodes;
  while (!inodes.empty()) {
    RefPtr<TmpfsInode> inode = std::move(inodes.back());
    inodes.pop_back();
    inode.reset();
  }
  dying = nullptr;
}

}  // namespace

TmpfsDirectory::~TmpfsDirectory() {
  std::vector<RefPtr<TmpfsInode>> children;
  {
    MutexLock lock(data_mu_);
    children.reserve(entries_.size());
    for (auto& [name, entry] : entries_) children.push_back(std::move(entry->inode));
    entries_.clear();
    by_position_.clear();
  }
  DropFlat(std::move(children));
}

RefPtr<TmpfsInode> TmpfsDirectory::Find(std::string_view name) {
  MutexLock lock(data_mu_);
  auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second->inode;
}

bool TmpfsDirectory::IsEmpty() {
  MutexLock lock(data_mu_);
  return entries_.empty();
}

uint64_t TmpfsDirectory::Size() {
  MutexLock lock(data_mu_);
  return (entries_.size() + 2) * kEntrySize;
}

void TmpfsDirectory::Insert(std::string_view name, RefPtr<TmpfsInode> inode) {
  {
    MutexLock lock(data_mu_);
    auto entry = std::make_unique<Entry>(Entry{std::string(name), std::move(inode), next_position_++});
    by_position_.emplace(entry->position, entry.get());
    entries_.insert_or_assign(std::string(name), std::move(entry));
  }
  TouchModified();
}

RefPtr<TmpfsInode> TmpfsDirectory::Erase(std::string_view name) {
  RefPtr<TmpfsInode> inode;
  {
    MutexLock lock(data_mu_);
    auto it = entries_.find(name);
    if (it == entries_.end()) return nullptr;
    inode = std::move(it->second->inode);
    by_position_.erase(it->second->position);
    entries_.erase(it);
  }
  TouchModified();
  return inode;
}

uint64_t TmpfsDirectory::Iterate(uint64_t position, DirectoryEmitter& emitter) {
  MutexLock lock(data_mu_);
  for (auto it = by_position_.lower_bound(position); it != by_position_.end(); ++it) {
    const Entry& entry = *it->second;
    DirectoryEntry out{entry.name, entry.inode->ino(), DirentType(entry.inode->file_type()),
                       entry.position + 1};
    if (!emitter.Emit(out)) return entry.position;
    position = entry.position + 1;
  }
  return position;
}

Result<RefPtr<Inode>> TmpfsDirectory::Lookup(Dentry& dir, std::string_view name) {
  RefPtr<TmpfsInode> found = Find(name);
  if (!found) return Errno(ENOENT);
  return RefPtr<Inode>(std::move(found));
}

Result<RefPtr<Inode>> TmpfsDirectory::Add(std::string_view name, RefPtr<TmpfsInode> inode) {
  Insert(name, inode);
  return RefPtr<Inode>(std::move(inode));
}

Result<RefPtr<Inode>> TmpfsDirectory::Create(Dentry& dir, std::string_view name,
                                             const CreateAttributes& attributes) {
  if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
  return Add(name, MakeRef<TmpfsRegular>(tmpfs(), attributes));
}

Result<RefPtr<Inode>> TmpfsDirectory::Mkdir(Dentry& dir, std::string_view name,
                                            const CreateAttributes& attributes) {
  if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
  ChangeLinks(1);
  return Add(name, MakeRef<TmpfsDirectory>(tmpfs(), attributes));
}

Result<RefPtr<Inode>> TmpfsDirectory::Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                              const CreateAttributes& attributes) {
  if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
  return Add(name, MakeRef<TmpfsSymlink>(tmpfs(), attributes, target));
}

Result<RefPtr<Inode>> TmpfsDirectory::Mknod(Dentry& dir, std::string_view name,
                                            const CreateAttributes& attributes) {
  if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
  return Add(name, MakeRef<TmpfsInode>(tmpfs(), attributes));
}

Result<RefPtr<Inode>> TmpfsDirectory::CreateUnnamed(Dentry& dir, const CreateAttributes& attributes) {
  if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
  auto inode = MakeRef<TmpfsRegular>(tmpfs(), attributes);
  inode->ChangeLinks(-1);
  return RefPtr<Inode>(std::move(inode));
}

Result<void> TmpfsDirectory::Link(Dentry& dir, std::string_view name, Dentry& target) {
  RefPtr<TmpfsInode> inode(static_cast<TmpfsInode*>(target.borrow_inode()));
  inode->ChangeLinks(1);
  Insert(name, std::move(inode));
  return Ok();
}

Result<void> TmpfsDirectory::Unlink(Dentry& dir, Dentry& child) {
  RefPtr<TmpfsInode> inode = Erase(child.name());
  if (!inode) return Errno(ENOENT);
  inode->ChangeLinks(-1);
  return Ok();
}

Result<void> TmpfsDirectory::Rmdir(Dentry& dir, Dentry& child) {
  RefPtr<Inode> inode = child.inode();
  auto& directory = static_cast<TmpfsDirectory&>(*inode);
  if (!directory.IsEmpty()) return Errno(ENOTEMPTY);
  Erase(child.name());
  directory.ChangeLinks(-2);
  ChangeLinks(-1);
  return Ok();
}

Result<void> TmpfsDirectory::Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir,
                                    std::string_view new_name, Dentry* replaced, uint32_t flags) {
  auto& to = static_cast<TmpfsDirectory&>(*new_dir.borrow_inode());
  RefPtr<TmpfsInode> moved(static_cast<TmpfsInode*>(child.borrow_inode()));
  RefPtr<TmpfsInode> there(replaced != nullptr ? static_cast<TmpfsInode*>(replaced->borrow_inode())
                                               : nullptr);
  const std::string old_name = child.name();
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (there && !exchange && there->IsDirectory() && !static_cast<TmpfsDirectory&>(*there).IsEmpty())
    return Errno(ENOTEMPTY);
  RefPtr<TmpfsInode> whiteout;
  if ((flags & RENAME_WHITEOUT) != 0) {
    if (!tmpfs().ChargeInode()) return Errno(ENOSPC);
    whiteout = MakeRef<TmpfsInode>(tmpfs(), CreateAttributes{S_IFCHR, 0, 0, 0});
  }
  Erase(old_name);
  if (there) to.Erase(new_name);
  to.Insert(new_name, moved);
  if (moved->IsDirectory() && &to != this) {
    ChangeLinks(-1);
    to.ChangeLinks(1);
  }
  if (exchange) {
    if (there->IsDirectory() && &to != this) {
      to.ChangeLinks(-1);
      ChangeLinks(1);
    }
    Insert(old_name, there);
    there->ChangeLinks(0);
  } else if (there) {
    if (there->IsDirectory()) to.ChangeLinks(-1);
    there->ChangeLinks(there->IsDirectory() ? -2 : -1);
  }
  if (whiteout) Insert(old_name, std::move(whiteout));
  moved->ChangeLinks(0);
  return Ok();
}

Result<RefPtr<FileDescription>> TmpfsDirectory::Open(const VfsPath& path, const OpenOptions& options) {
  return RefPtr<FileDescription>(MakeRef<TmpfsDirectoryFile>(path, options.flags));
}

}  // namespace runsc
