#include "sentry/syscalls/sys_xattr.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include "sentry/syscalls/path_argument.h"

namespace runsc {

namespace {

Result<VfsPath> Find(Task& task, UserPath path, bool follow) {
  WalkOptions options;
  options.follow_final = follow;
  return WalkArgument(task, AT_FDCWD, path, options);
}

Result<VfsPath> OfFile(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  return file->path();
}

Result<std::string> ReadName(Task& task, UserCString name) {
  ASSIGN_OR_RETURN(std::string text, task.memory().ReadString(name.addr, XATTR_NAME_MAX + 1, ERANGE));
  if (text.empty()) return Errno(ERANGE);
  return text;
}

Result<int64_t> Set(Task& task, Result<VfsPath> path, UserCString name, UserAddr value, size_t size,
                    int flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string text, ReadName(task, name));
  if (size > XATTR_SIZE_MAX) return Errno(E2BIG);
  std::string content(size, '\0');
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const char>(value), std::span(content.data(), size)));
  if (!path.ok()) return path.error();
  RETURN_IF_ERROR(VfsSetXattr(task.path_context(), *path, text, content, flags));
  return 0;
}

// `size` 0 asks how much there is.
Result<int64_t> CopyOutSized(Task& task, const std::string& content, UserAddr to, size_t size) {
  if (size == 0) return static_cast<int64_t>(content.size());
  if (content.size() > size) return Errno(ERANGE);
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(to), std::span<const char>(content)));
  return static_cast<int64_t>(content.size());
}

// The name is looked at before the file.
Result<int64_t> Get(Task& task, Result<VfsPath> path, UserCString name, UserAddr value, size_t size) {
  ASSIGN_OR_RETURN(std::string text, ReadName(task, name));
  if (!path.ok()) return path.error();
  ASSIGN_OR_RETURN(std::string content, VfsGetXattr(task.path_context(), *path, text));
  return CopyOutSized(task, content, value, size);
}

Result<int64_t> List(Task& task, Result<VfsPath> path, UserAddr list, size_t size) {
  if (!path.ok()) return path.error();
  ASSIGN_OR_RETURN(std::vector<std::string> names, VfsListXattrs(task.path_context(), *path));
  std::string joined;
  for (const std::string& name : names) joined.append(name).push_back('\0');
  if (joined.size() > XATTR_LIST_MAX) return Errno(E2BIG);
  return CopyOutSized(task, joined, list, size);
}

Result<int64_t> Remove(Task& task, Result<VfsPath> path, UserCString name) {
  ASSIGN_OR_RETURN(std::string text, ReadName(task, name));
  if (!path.ok()) return path.error();
  RETURN_IF_ERROR(VfsRemoveXattr(task.path_context(), *path, text));
  return 0;
}

}  // namespace

Result<int64_t> SysSetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size,
                            int flags) {
  return Set(task, Find(task, path, true), name, value, size, flags);
}
Result<int64_t> SysLsetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size,
                             int flags) {
  return Set(task, Find(task, path, false), name, value, size, flags);
}
Result<int64_t> SysFsetxattr(Task& task, Fd fd, UserCString name, UserAddr value, size_t size, int flags) {
  return Set(task, OfFile(task, fd), name, value, size, flags);
}
Result<int64_t> SysGetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size) {
  return Get(task, Find(task, path, true), name, value, size);
}
Result<int64_t> SysLgetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size) {
  return Get(task, Find(task, path, false), name, value, size);
}
Result<int64_t> SysFgetxattr(Task& task, Fd fd, UserCString name, UserAddr value, size_t size) {
  return Get(task, OfFile(task, fd), name, value, size);
}
Result<int64_t> SysListxattr(Task& task, UserPath path, UserAddr list, size_t size) {
  return List(task, Find(task, path, true), list, size);
}
Result<int64_t> SysLlistxattr(Task& task, UserPath path, UserAddr list, size_t size) {
  return List(task, Find(task, path, false), list, size);
}
Result<int64_t> SysFlistxattr(Task& task, Fd fd, UserAddr list, size_t size) {
  return List(task, OfFile(task, fd), list, size);
}
Result<int64_t> SysRemovexattr(Task& task, UserPath path, UserCString name) {
  return Remove(task, Find(task, path, true), name);
}
Result<int64_t> SysLremovexattr(Task& task, UserPath path, UserCString name) {
  return Remove(task, Find(task, path, false), name);
}
Result<int64_t> SysFremovexattr(Task& task, Fd fd, UserCString name) {
  return Remove(task, OfFile(task, fd), name);
}

}  // namespace runsc
