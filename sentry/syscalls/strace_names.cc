// The names of flag words and enumerations.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <span>

#include "sentry/syscalls/strace.h"

namespace runsc {
namespace {

struct Name {
  uint64_t value;
  const char* name;
};
#define N(constant) \
  Name { static_cast<uint64_t>(constant), #constant }

constexpr Name kOpenFlagNames[] = {
    N(O_CREAT),
    N(O_EXCL),
    N(O_NOCTTY),
    N(O_TRUNC),
    N(O_APPEND),
    N(O_NONBLOCK),
    N(O_SYNC),
    N(O_DSYNC),
    N(O_ASYNC),
    N(O_DIRECT),
    {0100000, "O_LARGEFILE"},
    N(O_TMPFILE),
    N(O_DIRECTORY),
    N(O_NOFOLLOW),
    N(O_NOATIME),
    N(O_CLOEXEC),
    N(O_PATH),
};
constexpr Name kAtFlagNames[] = {N(AT_SYMLINK_NOFOLLOW),
                                 {0x200, "AT_REMOVEDIR"},
                                 N(AT_SYMLINK_FOLLOW),
                                 N(AT_NO_AUTOMOUNT),
                                 N(AT_EMPTY_PATH),
                                 {0x2000, "AT_STATX_FORCE_SYNC"},
                                 {0x4000, "AT_STATX_DONT_SYNC"},
                                 {0x8000, "AT_RECURSIVE"}};
constexpr Name kProtectionNames[] = {N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC), N(PROT_GROWSDOWN),
                                     N(PROT_GROWSUP)};
constexpr Name kMapFlagNames[] = {N(MAP_FIXED),
                                  N(MAP_ANONYMOUS),
                                  N(MAP_32BIT),
                                  N(MAP_GROWSDOWN),
                                  {0x0800, "MAP_DENYWRITE"},
                                  {0x1000, "MAP_EXECUTABLE"},
                                  N(MAP_LOCKED),
                                  N(MAP_NORESERVE),
                                  N(MAP_POPULATE),
                                  N(MAP_NONBLOCK),
                                  N(MAP_STACK),
                                  N(MAP_HUGETLB),
                                  {0x80000, "MAP_SYNC"},
                                  N(MAP_FIXED_NOREPLACE)};
constexpr Name kCloneFlagNames[] = {N(CLONE_VM),
                                    N(CLONE_FS),
                                    N(CLONE_FILES),
                                    N(CLONE_SIGHAND),
                                    N(CLONE_PIDFD),
                                    N(CLONE_PTRACE),
                                    N(CLONE_VFORK),
                                    N(CLONE_PARENT),
                                    N(CLONE_THREAD),
                                    N(CLONE_NEWNS),
                                    N(CLONE_SYSVSEM),
                                    N(CLONE_SETTLS),
                                    N(CLONE_PARENT_SETTID),
                                    N(CLONE_CHILD_CLEARTID),
                                    N(CLONE_DETACHED),
                                    N(CLONE_UNTRACED),
                                    N(CLONE_CHILD_SETTID),
                                    N(CLONE_NEWCGROUP),
                                    N(CLONE_NEWUTS),
                                    N(CLONE_NEWIPC),
                                    N(CLONE_NEWUSER),
                                    N(CLONE_NEWPID),
                                    N(CLONE_NEWNET),
                                    N(CLONE_IO)};
constexpr Name kWhenceNames[] = {N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE)};
constexpr Name kFcntlNames[] = {
    N(F_DUPFD),         N(F_GETFD),      N(F_SETFD),      N(F_GETFL),     N(F_SETFL),
    N(F_GETLK),         N(F_SETLK),      N(F_SETLKW),     N(F_SETOWN),    N(F_GETOWN),
    N(F_SETSIG),        N(F_GETSIG),     N(F_SETOWN_EX),  N(F_GETOWN_EX), N(F_OFD_GETLK),
    N(F_OFD_SETLK),     N(F_OFD_SETLKW), N(F_SETLEASE),   N(F_GETLEASE),  N(F_NOTIFY),
    N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ), N(F_ADD_SEALS), N(F_GET_SEALS)};
constexpr Name kIoctlNames[] = {N(TCGETS),     N(TCSETS),    N(TCSETSW),    N(TCSETSF),     N(TIOCGWINSZ),
                                N(TIOCSWINSZ), N(TIOCGPGRP), N(TIOCSPGRP),  N(TIOCGSID),    N(TIOCSCTTY),
                                N(TIOCNOTTY),  N(FIONREAD),  N(FIONBIO),    N(FIOASYNC),    N(FIOCLEX),
                                N(FIONCLEX),   N(TIOCGPTN),  N(TIOCSPTLCK), N(TIOCGPTPEER), N(TIOCOUTQ),
                                N(TCSBRK),     N(TCXONC),    N(TCFLSH),     N(TIOCSTI)};
constexpr Name kClockNames[] = {N(CLOCK_REALTIME),
                                N(CLOCK_MONOTONIC),
                                N(CLOCK_PROCESS_CPUTIME_ID),
                                N(CLOCK_THREAD_CPUTIME_ID),
                                N(CLOCK_MONOTONIC_RAW),
                                N(CLOCK_REALTIME_COARSE),
                                N(CLOCK_MONOTONIC_COARSE),
                                N(CLOCK_BOOTTIME),
                                N(CLOCK_REALTIME_ALARM),
                                N(CLOCK_BOOTTIME_ALARM),
                                N(CLOCK_TAI)};
constexpr Name kFamilyNames[] = {N(AF_UNSPEC), N(AF_UNIX),  N(AF_INET), N(AF_INET6),    N(AF_NETLINK),
                                 N(AF_PACKET), N(AF_VSOCK), N(AF_ALG),  N(AF_BLUETOOTH)};
constexpr Name kSocketTypeNames[] = {N(SOCK_STREAM), N(SOCK_DGRAM),     N(SOCK_RAW),
                                     N(SOCK_RDM),    N(SOCK_SEQPACKET), N(SOCK_PACKET)};
constexpr Name kSocketFlagNames[] = {N(SOCK_CLOEXEC), N(SOCK_NONBLOCK)};
constexpr Name kMessageFlagNames[] = {N(MSG_OOB),        N(MSG_PEEK),     N(MSG_DONTROUTE),   N(MSG_CTRUNC),
                                      N(MSG_TRUNC),      N(MSG_DONTWAIT), N(MSG_EOR),         N(MSG_WAITALL),
                                      N(MSG_CONFIRM),    N(MSG_ERRQUEUE), N(MSG_NOSIGNAL),    N(MSG_MORE),
                                      N(MSG_WAITFORONE), N(MSG_FASTOPEN), N(MSG_CMSG_CLOEXEC)};
constexpr Name kWaitNames[] = {N(WNOHANG),
                               N(WUNTRACED),
                               N(WEXITED),
                               N(WCONTINUED),
                               N(WNOWAIT),
                               {0x20000000, "__WNOTHREAD"},
                               {0x40000000, "__WALL"},
                               {0x80000000, "__WCLONE"}};
constexpr Name kAccessNames[] = {N(X_OK), N(W_OK), N(R_OK)};
constexpr Name kMadviseNames[] = {
    N(MADV_NORMAL),      N(MADV_RANDOM),     N(MADV_SEQUENTIAL), N(MADV_WILLNEED), N(MADV_DONTNEED),
    N(MADV_FREE),        N(MADV_REMOVE),     N(MADV_DONTFORK),   N(MADV_DOFORK),   N(MADV_MERGEABLE),
    N(MADV_UNMERGEABLE), N(MADV_HUGEPAGE),   N(MADV_NOHUGEPAGE), N(MADV_DONTDUMP), N(MADV_DODUMP),
    N(MADV_WIPEONFORK),  N(MADV_KEEPONFORK), N(MADV_COLD),       N(MADV_PAGEOUT)};
constexpr Name kResourceNames[] = {
    N(RLIMIT_CPU),      N(RLIMIT_FSIZE), N(RLIMIT_DATA),   N(RLIMIT_STACK),
    N(RLIMIT_CORE),     N(RLIMIT_RSS),   N(RLIMIT_NPROC),  N(RLIMIT_NOFILE),
    N(RLIMIT_MEMLOCK),  N(RLIMIT_AS),    N(RLIMIT_LOCKS),  N(RLIMIT_SIGPENDING),
    N(RLIMIT_MSGQUEUE), N(RLIMIT_NICE),  N(RLIMIT_RTPRIO), N(RLIMIT_RTTIME)};
constexpr Name kPollNames[] = {N(POLLIN),     N(POLLPRI),    N(POLLOUT),    N(POLLERR),
                               N(POLLHUP),    N(POLLNVAL),   N(POLLRDNORM), N(POLLRDBAND),
                               N(POLLWRNORM), N(POLLWRBAND), N(POLLRDHUP)};
constexpr Name kMountNames[] = {N(MS_RDONLY),
                                N(MS_NOSUID),
                                N(MS_NODEV),
                                N(MS_NOEXEC),
                                N(MS_SYNCHRONOUS),
                                N(MS_REMOUNT),
                                N(MS_MANDLOCK),
                                N(MS_DIRSYNC),
                                N(MS_NOATIME),
                                N(MS_NODIRATIME),
                                N(MS_BIND),
                                N(MS_MOVE),
                                N(MS_REC),
                                N(MS_SILENT),
                                N(MS_POSIXACL),
                                N(MS_UNBINDABLE),
                                N(MS_PRIVATE),
                                N(MS_SLAVE),
                                {256, "MS_NOSYMFOLLOW"},
                                N(MS_SHARED),
                                N(MS_RELATIME),
                                N(MS_STRICTATIME),
                                N(MS_LAZYTIME)};
constexpr Name kUmountNames[] = {N(MNT_FORCE), N(MNT_DETACH), N(MNT_EXPIRE), N(UMOUNT_NOFOLLOW)};
// The two bits of the atime mode are one value: MOUNT_ATTR_RELATIME is 0.
constexpr Name kMountAttributeNames[] = {
    N(MOUNT_ATTR_RDONLY),     N(MOUNT_ATTR_NOSUID),  N(MOUNT_ATTR_NODEV),
    N(MOUNT_ATTR_NOEXEC),     N(MOUNT_ATTR_NOATIME), N(MOUNT_ATTR_STRICTATIME),
    N(MOUNT_ATTR_NODIRATIME), N(MOUNT_ATTR_IDMAP),   N(MOUNT_ATTR_NOSYMFOLLOW)};
constexpr Name kOpenTreeNames[] = {N(OPEN_TREE_CLONE), N(OPEN_TREE_CLOEXEC), N(AT_SYMLINK_NOFOLLOW),
                                   N(AT_NO_AUTOMOUNT), N(AT_EMPTY_PATH),     {0x8000, "AT_RECURSIVE"}};
constexpr Name kMoveMountNames[] = {N(MOVE_MOUNT_F_SYMLINKS),        N(MOVE_MOUNT_F_AUTOMOUNTS),
                                    N(MOVE_MOUNT_F_EMPTY_PATH),      N(MOVE_MOUNT_T_SYMLINKS),
                                    N(MOVE_MOUNT_T_AUTOMOUNTS),      N(MOVE_MOUNT_T_EMPTY_PATH),
                                    {0x100, "MOVE_MOUNT_SET_GROUP"}, {0x200, "MOVE_MOUNT_BENEATH"}};
constexpr Name kFsopenNames[] = {N(FSOPEN_CLOEXEC)};
constexpr Name kFsmountNames[] = {N(FSMOUNT_CLOEXEC)};
constexpr Name kFspickNames[] = {N(FSPICK_CLOEXEC), N(FSPICK_SYMLINK_NOFOLLOW), N(FSPICK_NO_AUTOMOUNT),
                                 N(FSPICK_EMPTY_PATH)};
constexpr Name kFsconfigNames[] = {N(FSCONFIG_SET_FLAG),   N(FSCONFIG_SET_STRING),     N(FSCONFIG_SET_BINARY),
                                   N(FSCONFIG_SET_PATH),   N(FSCONFIG_SET_PATH_EMPTY), N(FSCONFIG_SET_FD),
                                   N(FSCONFIG_CMD_CREATE), N(FSCONFIG_CMD_RECONFIGURE)};
constexpr Name kEpollNames[] = {N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD)};
constexpr Name kSignalHowNames[] = {N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK)};
constexpr Name kPrctlNames[] = {N(PR_SET_PDEATHSIG),
                                N(PR_GET_PDEATHSIG),
                                N(PR_GET_DUMPABLE),
                                N(PR_SET_DUMPABLE),
                                N(PR_GET_KEEPCAPS),
                                N(PR_SET_KEEPCAPS),
                                N(PR_SET_NAME),
                                N(PR_GET_NAME),
                                N(PR_GET_SECCOMP),
                                N(PR_SET_SECCOMP),
                                N(PR_CAPBSET_READ),
                                N(PR_CAPBSET_DROP),
                                N(PR_GET_SECUREBITS),
                                N(PR_SET_SECUREBITS),
                                N(PR_SET_TIMERSLACK),
                                N(PR_GET_TIMERSLACK),
                                N(PR_SET_MM),
                                N(PR_SET_CHILD_SUBREAPER),
                                N(PR_GET_CHILD_SUBREAPER),
                                N(PR_SET_NO_NEW_PRIVS),
                                N(PR_GET_NO_NEW_PRIVS),
                                N(PR_GET_TID_ADDRESS),
                                N(PR_SET_THP_DISABLE),
                                N(PR_CAP_AMBIENT),
                                N(PR_SET_VMA)};
constexpr Name kFutexNames[] = {N(FUTEX_WAIT),           N(FUTEX_WAKE),        N(FUTEX_FD),
                                N(FUTEX_REQUEUE),        N(FUTEX_CMP_REQUEUE), N(FUTEX_WAKE_OP),
                                N(FUTEX_LOCK_PI),        N(FUTEX_UNLOCK_PI),   N(FUTEX_TRYLOCK_PI),
                                N(FUTEX_WAIT_BITSET),    N(FUTEX_WAKE_BITSET), N(FUTEX_WAIT_REQUEUE_PI),
                                N(FUTEX_CMP_REQUEUE_PI), N(FUTEX_LOCK_PI2)};
#undef N

// The constant's name, or the number.
std::string One(std::span<const Name> names, uint64_t value, const char* prefix) {
  for (const Name& name : names) {
    if (name.value == value) return name.name;
  }
  return fmt::format("{:#x} /* {}??? */", value, prefix);
}

// Names of the bits, what is left over in hex; `zero` if there is none.
std::string Bits(std::span<const Name> names, uint64_t value, std::string text, const char* zero) {
  for (const Name& name : names) {
    if (name.value == 0 || (value & name.value) != name.value) continue;
    value &= ~name.value;
    if (!text.empty()) text += "|";
    text += name.name;
  }
  if (value != 0) text += fmt::format("{}{:#x}", text.empty() ? "" : "|", value);
  return text.empty() ? zero : text;
}

std::string SignalName(uint64_t value) {
  int signal = static_cast<int>(value);
  if (signal >= 32 && signal <= 64) return signal == 32 ? "SIGRTMIN" : fmt::format("SIGRT_{}", signal - 32);
  const char* name = signal > 0 ? ::sigabbrev_np(signal) : nullptr;
  return name != nullptr ? fmt::format("SIG{}", name) : std::to_string(signal);
}

std::string OpenFlagsText(uint64_t value) {
  constexpr const char* kModes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  value &= 0xffffffff;
  // O_SYNC and O_TMPFILE hold other flags' bits and are tried first by their place in the table.
  return Bits(kOpenFlagNames, value & ~uint64_t{O_ACCMODE}, kModes[value & O_ACCMODE], "");
}

std::string MapFlagsText(uint64_t value) {
  constexpr const char* kTypes[] = {"MAP_FILE", "MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE"};
  value &= 0xffffffff;
  std::string type = (value & 0xf) < 4 ? kTypes[value & 0xf] : fmt::format("{:#x}", value & 0xf);
  return Bits(kMapFlagNames, value & ~uint64_t{0xf}, type, "");
}

std::string FutexText(uint64_t value) {
  std::string text = One(kFutexNames, value & 0x7f, "FUTEX_");
  if ((value & FUTEX_PRIVATE_FLAG) != 0) text += "_PRIVATE";
  if ((value & FUTEX_CLOCK_REALTIME) != 0) text += "|FUTEX_CLOCK_REALTIME";
  return text;
}

std::string CloneText(uint64_t value) {
  std::string text = Bits(kCloneFlagNames, value & ~uint64_t{0xff}, "", "");
  uint64_t signal = value & 0xff;
  if (signal != 0) text += (text.empty() ? "" : "|") + SignalName(signal);
  return text.empty() ? "0" : text;
}

}  // namespace

std::string FormatNames(ArgumentFormat format, uint64_t value) {
  uint64_t low = value & 0xffffffff;
  switch (format) {
    case ArgumentFormat::kOpenFlags:
      return OpenFlagsText(value);
    case ArgumentFormat::kAtFlags:
      return Bits(kAtFlagNames, low, "", "0");
    case ArgumentFormat::kSignal:
      return SignalName(low);
    case ArgumentFormat::kProtection:
      return Bits(kProtectionNames, low, "", "PROT_NONE");
    case ArgumentFormat::kMapFlags:
      return MapFlagsText(value);
    case ArgumentFormat::kCloneFlags:
      return CloneText(value);
    case ArgumentFormat::kFutexOperation:
      return FutexText(low);
    case ArgumentFormat::kWhence:
      return One(kWhenceNames, low, "SEEK_");
    case ArgumentFormat::kFcntlCommand:
      return One(kFcntlNames, low, "F_");
    case ArgumentFormat::kIoctlRequest:
      return One(kIoctlNames, low, "");
    case ArgumentFormat::kClockId:
      return One(kClockNames, low, "CLOCK_");
    case ArgumentFormat::kSocketFamily:
      return One(kFamilyNames, low, "AF_");
    case ArgumentFormat::kSocketType:
      return Bits(kSocketFlagNames, low & ~uint64_t{0xf}, One(kSocketTypeNames, low & 0xf, "SOCK_"), "");
    case ArgumentFormat::kMessageFlags:
      return Bits(kMessageFlagNames, low, "", "0");
    case ArgumentFormat::kWaitOptions:
      return Bits(kWaitNames, low, "", "0");
    case ArgumentFormat::kAccessMode:
      return Bits(kAccessNames, low, "", "F_OK");
    case ArgumentFormat::kMadvise:
      return One(kMadviseNames, low, "MADV_");
    case ArgumentFormat::kResource:
      return One(kResourceNames, low, "RLIMIT_");
    case ArgumentFormat::kPollEvents:
      return Bits(kPollNames, low, "", "0");
    case ArgumentFormat::kMountFlags:
      return Bits(kMountNames, low, "", "0");
    case ArgumentFormat::kUmountFlags:
      return Bits(kUmountNames, low, "", "0");
    case ArgumentFormat::kMountAttributes:
      return Bits(kMountAttributeNames, low, "", "0");
    case ArgumentFormat::kOpenTreeFlags:
      return Bits(kOpenTreeNames, low, "", "0");
    case ArgumentFormat::kMoveMountFlags:
      return Bits(kMoveMountNames, low, "", "0");
    case ArgumentFormat::kFsopenFlags:
      return Bits(kFsopenNames, low, "", "0");
    case ArgumentFormat::kFsmountFlags:
      return Bits(kFsmountNames, low, "", "0");
    case ArgumentFormat::kFspickFlags:
      return Bits(kFspickNames, low, "", "0");
    case ArgumentFormat::kFsconfigCommand:
      return One(kFsconfigNames, low, "FSCONFIG_");
    case ArgumentFormat::kEpollOperation:
      return One(kEpollNames, low, "EPOLL_CTL_");
    case ArgumentFormat::kSignalHow:
      return One(kSignalHowNames, low, "SIG_");
    case ArgumentFormat::kPrctlOption:
      return One(kPrctlNames, low, "PR_");
    default:
      return "";
  }
}

}  // namespace runsc
