// GoferInode's operations on directory entries.
#include <fcntl.h>
#include <linux/fs.h>

#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/dentry.h"

namespace runsc {
namespace {

GoferInode& InodeOf(Dentry& dentry) { return static_cast<GoferInode&>(*dentry.borrow_inode()); }

}  // namespace

Result<RefPtr<Inode>> GoferInode::Lookup(Dentry& dir, std::string_view name) {
  ASSIGN_OR_RETURN(std::vector<LookupEntry> entries, LookupMany(dir, std::span(&name, 1)));
  if (!entries[0].inode) return Errno(ENOENT);
  return std::move(entries[0].inode);
}

Result<std::vector<LookupEntry>> GoferInode::LookupMany(Dentry& dir,
                                                        std::span<const std::string_view> names) {
  gofer::Walk walk{.parent = node_};
  for (std::string_view name : names.first(std::min(names.size(), gofer::kMaxWalk)))
    walk.names.emplace_back(name);
  ASSIGN_OR_RETURN(gofer::WalkReply reply, gofer_.Call(walk));
  // A broken Gofer may not make us think of more names than we asked for.
  if (reply.found.size() > walk.names.size()) return Errno(EIO);
  std::vector<LookupEntry> entries;
  for (size_t i = 0; i < reply.found.size(); ++i) {
    bool last = i + 1 == reply.found.size();
    entries.push_back({gofer_.InodeFor(reply.found[i], last ? std::move(reply.link_target) : std::string())});
  }
  if (reply.stop == ENOENT) entries.push_back({});
  if (entries.empty())
    return Errno(reply.stop != 0 && reply.stop < 4096 ? static_cast<int>(reply.stop) : EIO);
  return entries;
}

RefPtr<Inode> GoferInode::Adopt(const gofer::NodeReply& made, std::string link_target) {
  MarkStale();
  RefPtr<GoferInode> inode = gofer_.InodeFor(made, std::move(link_target));
  inode->StoreAttributes(made.attributes);
  return inode;
}

Result<RefPtr<Inode>> GoferInode::Create(Dentry& dir, std::string_view name,
                                         const CreateAttributes& attributes) {
  UniqueFd fd;
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Create{node_, std::string(name), O_RDWR, attributes.mode & 07777,
                                             attributes.uid, attributes.gid},
                               &fd));
  RefPtr<Inode> inode = Adopt(made);
  auto& file = static_cast<GoferInode&>(*inode);
  MutexLock lock(file.data_mu_);
  // The open that follows a create finds its descriptor here.
  if (!file.read_write_) file.read_write_ = MakeRef<HostBackingFile>(std::move(fd), /*writable=*/true);
  return inode;
}

Result<RefPtr<Inode>> GoferInode::Mkdir(Dentry& dir, std::string_view name,
                                        const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Mkdir{node_, std::string(name), attributes.mode & 07777, attributes.uid,
                                            attributes.gid}));
  return Adopt(made);
}

Result<RefPtr<Inode>> GoferInode::Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                          const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeReply made,
                   gofer_.Call(gofer::Symlink{node_, std::string(name), std::string(target), attributes.uid,
                                              attributes.gid}));
  return Adopt(made, std::string(target));
}

Result<RefPtr<Inode>> GoferInode::Mknod(Dentry& dir, std::string_view name,
                                        const CreateAttributes& attributes) {
  ASSIGN_OR_RETURN(gofer::NodeReply made, gofer_.Call(gofer::Mknod{node_, std::string(name), attributes.mode,
                                                                   attributes.uid, attributes.gid}));
  return Adopt(made);
}

Result<void> GoferInode::Link(Dentry& dir, std::string_view name, Dentry& target) {
  GoferInode& file = InodeOf(target);
  ASSIGN_OR_RETURN(gofer::AttributesReply reply,
                   gofer_.Call(gofer::Link{file.node_, node_, std::string(name)}));
  file.StoreAttributes(reply.attributes);
  MarkStale();
  return Ok();
}

Result<void> GoferInode::Unlink(Dentry& dir, Dentry& child) {
  RETURN_IF_ERROR(gofer_.Call(gofer::Unlink{node_, child.name(), 0}));
  InodeOf(child).MarkStale();
  MarkStale();
  return Ok();
}

Result<void> GoferInode::Rmdir(Dentry& dir, Dentry& child) {
  RETURN_IF_ERROR(gofer_.Call(gofer::Unlink{node_, child.name(), AT_REMOVEDIR}));
  InodeOf(child).MarkStale();
  MarkStale();
  return Ok();
}

Result<void> GoferInode::Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                                Dentry* replaced, uint32_t flags) {
  GoferInode& target = InodeOf(new_dir);
  RETURN_IF_ERROR(gofer_.Call(gofer::Rename{node_, child.name(), target.node_, std::string(new_name),
                                            flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)}));
  MarkStale();
  target.MarkStale();
  InodeOf(child).MarkStale();
  if (replaced != nullptr && !replaced->IsNegative()) InodeOf(*replaced).MarkStale();
  return Ok();
}

}  // namespace runsc
