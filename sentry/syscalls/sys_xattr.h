// Extended attributes (xattr(7)).
#ifndef SENTRY_SYSCALLS_SYS_XATTR_H_
#define SENTRY_SYSCALLS_SYS_XATTR_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysSetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size,
                            int flags);
Result<int64_t> SysLsetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size,
                             int flags);
Result<int64_t> SysFsetxattr(Task& task, Fd fd, UserCString name, UserAddr value, size_t size, int flags);
Result<int64_t> SysGetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size);
Result<int64_t> SysLgetxattr(Task& task, UserPath path, UserCString name, UserAddr value, size_t size);
Result<int64_t> SysFgetxattr(Task& task, Fd fd, UserCString name, UserAddr value, size_t size);
Result<int64_t> SysListxattr(Task& task, UserPath path, UserAddr list, size_t size);
Result<int64_t> SysLlistxattr(Task& task, UserPath path, UserAddr list, size_t size);
Result<int64_t> SysFlistxattr(Task& task, Fd fd, UserAddr list, size_t size);
Result<int64_t> SysRemovexattr(Task& task, UserPath path, UserCString name);
Result<int64_t> SysLremovexattr(Task& task, UserPath path, UserCString name);
Result<int64_t> SysFremovexattr(Task& task, Fd fd, UserCString name);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_XATTR_H_
