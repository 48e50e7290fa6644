// PathWalker: one walk of a path, component by component, over cached dentries; what
// is missing is looked up in its filesystem under the directory's lock, with the
// components that follow, so that a far filesystem answers in one round trip.
//
// Internal to vfs; on the stack of one operation.
// Linux counterpart: struct nameidata and link_path_walk().
#ifndef SENTRY_VFS_PATH_WALKER_H_
#define SENTRY_VFS_PATH_WALKER_H_

#include <string>
#include <string_view>

#include "sentry/vfs/path_walk.h"

namespace runsc {

// The child of a directory, negative or not; never null. The caller has checked
// that `dir` is a directory and may be searched. `rest` is what follows the name in
// the path, a hint.
Result<RefPtr<Dentry>> LookupChild(const RefPtr<Dentry>& dir, std::string_view name, std::string_view rest);
// The same for a directory whose lock is held: what an operation on an entry begins with.
Result<RefPtr<Dentry>> LookupChildLocked(Dentry& dir, Inode& inode, std::string_view name);

class PathWalker {
 public:
  enum class Last { kName, kDot, kDotDot, kNone };  // kNone: "" or "/"

  PathWalker(const PathContext& context, const VfsPath& start, uint64_t resolve);

  // ENOENT for an empty path unless `allow_empty`; ENAMETOOLONG, EXDEV.
  Result<void> Begin(std::string_view path, bool allow_empty);
  // Walks all but the last component: at() is then its directory.
  Result<void> WalkToParent();
  // The last component: at() is then the file. `follow` symlinks there.
  Result<void> WalkLast(bool follow);
  // Follows the symlink `link`, found by the caller in at() as the last component; last()
  // and at() are then of the path it leads to. True if it was a magic link: at() is the file.
  Result<bool> FollowLast(const RefPtr<Dentry>& link);

  const VfsPath& at() const { return at_; }
  VfsPath TakePath() { return std::move(at_); }
  Last last() const { return last_; }
  std::string_view last_name() const { return last_name_; }
  bool trailing_slash() const { return trailing_slash_; }
  // Steps from at() onto its child and onto what is mounted there.
  Result<void> StepOnto(RefPtr<Dentry> child);

 private:
  Result<void> CheckSearch();
  Result<void> StepUp();
  Result<void> CrossMounts();
  // Reads where the link leads into text_ (with `rest` behind it) or, if magic, moves at_.
  // EACCES: a symlink of somebody else in a directory where everybody may put one.
  Result<void> CheckMayFollow(Inode& link);
  Result<bool> ReadLink(const RefPtr<Dentry>& link, std::string_view rest);
  Result<void> GoToRoot();

  const PathContext& context_;
  const uint64_t resolve_;
  VfsPath root_;  // the context's, or the start with RESOLVE_IN_ROOT
  VfsPath scope_;
  VfsPath at_;
  std::string text_;
  std::string_view rest_;  // of text_ or of the caller's path
  Last last_ = Last::kNone;
  std::string_view last_name_;
  bool trailing_slash_ = false;
  int links_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_VFS_PATH_WALKER_H_
