// /proc/sys/fs/protected_hardlinks and protected_symlinks (proc(5)): whether links of others to files that
// one may not write are refused, and whether links of others in sticky directories are followed.
#ifndef SENTRY_VFS_LINK_PROTECTION_H_
#define SENTRY_VFS_LINK_PROTECTION_H_

#include <atomic>
#include <cstdint>

namespace runsc {

inline std::atomic<int64_t> protected_hardlinks{1}, protected_symlinks{1};

}  // namespace runsc

#endif  // SENTRY_VFS_LINK_PROTECTION_H_
