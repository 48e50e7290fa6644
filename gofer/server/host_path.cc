#include "gofer/server/host_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <climits>

namespace runsc::gofer {
namespace {

Timestamp ToTimestamp(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

}  // namespace

Result<void> CheckName(const std::string& name) {
  if (name.empty() || name == "." || name == "..") return Errno(EINVAL);
  if (name.size() > NAME_MAX) return Errno(ENAMETOOLONG);
  if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos) return Errno(EINVAL);
  return Ok();
}

Result<UniqueFd> OpenBeneath(int directory, const char* name, uint64_t flags, uint64_t mode) {
  open_how how{};
  how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: a rename elsewhere raced with the check for "..": try again, but not for ever.
  for (int attempt = 0;; ++attempt) {
    int fd = static_cast<int>(syscall(SYS_openat2, directory, name, &how, sizeof(how)));
    if (fd >= 0) return UniqueFd(fd);
    if ((errno != EAGAIN && errno != EINTR) || attempt == 100) return HostErrno();
  }
}

Result<UniqueFd> OpenPath(int directory, const std::string& name) {
  return OpenBeneath(directory, name.c_str(), O_PATH, 0);
}

Result<UniqueFd> Reopen(int proc_fds, int path, int flags) {
  int fd = -1;
  do {
    fd = openat(proc_fds, std::to_string(path).c_str(), flags | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return HostErrno();
  return UniqueFd(fd);
}

Result<UniqueFd> OpenProcFds() {
  int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return HostErrno();
  return UniqueFd(fd);
}

Result<PathStatus> Stat(int fd, const std::string& name) {
  struct statx stat {};
  if (statx(fd, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name.empty() ? AT_EMPTY_PATH : 0),
            STATX_BASIC_STATS | STATX_BTIME, &stat) < 0)
    return HostErrno();
  PathStatus status;
  Attributes& a = status.attributes;
  a.mode = stat.stx_mode;
  a.uid = stat.stx_uid;
  a.gid = stat.stx_gid;
  a.nlink = stat.stx_nlink;
  a.block_size = stat.stx_blksize;
  a.dev_major = stat.stx_dev_major;
  a.dev_minor = stat.stx_dev_minor;
  a.rdev_major = stat.stx_rdev_major;
  a.rdev_minor = stat.stx_rdev_minor;
  a.ino = stat.stx_ino;
  a.size = stat.stx_size;
  a.blocks = stat.stx_blocks;
  a.atime = ToTimestamp(stat.stx_atime);
  a.mtime = ToTimestamp(stat.stx_mtime);
  a.ctime = ToTimestamp(stat.stx_ctime);
  if ((stat.stx_mask & STATX_BTIME) != 0) a.btime = ToTimestamp(stat.stx_btime);
  status.mount_root = (stat.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return status;
}

bool IsKernelInterface(int fd) {
  struct statfs fs {};
  if (fstatfs(fd, &fs) < 0) return true;
  switch (static_cast<uint64_t>(fs.f_type)) {
    case 0x9fa0:      // proc
    case 0x62656572:  // sysfs
    case 0x27e0eb:    // cgroup
    case 0x63677270:  // cgroup2
    case 0x64626720:  // debugfs
    case 0x74726163:  // tracefs
    case 0x73636673:  // securityfs
    case 0x62656570:  // configfs
    case 0xcafe4a11:  // bpf
    case 0xde5e81e4:  // efivarfs
    case 0x6165676c:  // pstore
    case 0xf97cff8c:  // selinuxfs
    case 0x43415d53:  // smackfs
    case 0x19800202:  // mqueue
    case 0x1cd1:      // devpts
    case 0x42494e4d:  // binfmt_misc
    case 0x6e736673:  // nsfs
    case 0x50495045:  // pipefs
    case 0x187:       // autofs
    case 0x65735543:  // fusectl
    case 0x67596969:  // rpc_pipefs
      return true;
    default:
      return false;
  }
}

bool ChangesOnlyHere(int fd) {
  struct statfs fs {};
  if (fstatfs(fd, &fs) < 0) return false;
  switch (static_cast<uint64_t>(fs.f_type)) {
    case 0xef53:      // ext2, ext3, ext4
    case 0x58465342:  // xfs
    case 0x9123683e:  // btrfs
    case 0xf2f52010:  // f2fs
    case 0x2fc12fc1:  // zfs
    case 0x01021994:  // tmpfs
    case 0x858458f6:  // ramfs
    case 0x794c7630:  // overlayfs: what it does not show when changed below has no defined effect either
      return true;
    default:
      return false;
  }
}

}  // namespace runsc::gofer
