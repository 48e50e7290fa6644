#include "platform/host/confinement.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "platform/host/sanitizer.h"

namespace runsc {

Result<void> EnterEmptyRoot() {
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return HostErrno();
  // Any directory does as the place; /proc is the one that is known to exist.
  const char* place = "/proc";
  if (::mount("runsc", place, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=4k,nr_inodes=2,mode=555") != 0)
    return HostErrno();
  if (::chdir(place) != 0) return HostErrno();
  if (::syscall(SYS_pivot_root, ".", ".") == 0) {
    if (::umount2(".", MNT_DETACH) != 0) return HostErrno();
  } else if (errno == EINVAL) {
    // The root is the initial ramfs, which cannot be pivoted away from.
    if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return HostErrno();
    if (::chroot(".") != 0) return HostErrno();
  } else {
    return HostErrno();
  }
  if (::chdir("/") != 0) return HostErrno();
  return Ok();
}

const char* AdviceOnMounts(Errno error) {
  if (error != EPERM && error != EACCES && error != ENOSYS) return "";
  return " (runsc needs mount(2) and namespaces here: in a container, give it CAP_SYS_ADMIN and a seccomp "
         "and "
         "AppArmor profile that let it use them)";
}

void CloseAllFdsBut(std::span<const int> keep) {
  std::vector<int> sorted(keep.begin(), keep.end());
  sorted.push_back(kSanitizerReportFd);
  KeepSanitizerReport();
  std::sort(sorted.begin(), sorted.end());
  unsigned from = 0;
  for (int fd : sorted) {
    if (fd < 0) continue;
    unsigned kept = static_cast<unsigned>(fd);
    if (kept > from) ::syscall(SYS_close_range, from, kept - 1, 0);
    from = std::max(from, kept + 1);
  }
  ::syscall(SYS_close_range, from, ~0u, 0);
}

Result<void> KeepCapabilities(uint64_t keep) {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // EPERM of these two: the process may not, and then has nothing to give to anyone either.
  ::prctl(PR_SET_SECUREBITS,
          SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
              SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
          0, 0, 0);
  for (int capability = 0; capability < 64; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    // EINVAL: the kernel knows no more capabilities.
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno == EINVAL) break;
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return HostErrno();
  for (int half = 0; half < 2; ++half) {
    data[half].permitted &= static_cast<uint32_t>(keep >> (32 * half));
    data[half].effective = data[half].permitted;
    data[half].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, data) != 0) return HostErrno();
  return Ok();
}

Result<void> SetNoNewPrivileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return HostErrno();
  return Ok();
}

uint64_t RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  uint64_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

void SetProcessName(const char* name) { ::prctl(PR_SET_NAME, name, 0, 0, 0); }

}  // namespace runsc
