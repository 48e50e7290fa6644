// The host system calls that the Gofer may make once it serves, each with its reason.
// Everything else kills the process.
#ifndef GOFER_SERVER_SECCOMP_RULES_H_
#define GOFER_SERVER_SECCOMP_RULES_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdint>

namespace runsc::gofer {

// One argument: (value & mask) == wanted.
struct GoferArgument {
  int index = -1;  // -1: no condition
  uint64_t mask = 0;
  uint64_t wanted = 0;
};

struct GoferSyscall {
  long number;
  GoferArgument first, second;
  const char* reason;
};

inline constexpr GoferArgument kAnyArgument{};
inline constexpr GoferArgument NotExecutable(int index) { return {index, PROT_EXEC, 0}; }

inline constexpr GoferSyscall kGoferSyscalls[] = {
    {SYS_recvmsg, kAnyArgument, kAnyArgument, "receive a request"},
    {SYS_sendmsg, kAnyArgument, kAnyArgument, "send a reply and donate a descriptor"},
    {SYS_poll, kAnyArgument, kAnyArgument, "wait for requests of several connections"},
    {SYS_ppoll, kAnyArgument, kAnyArgument, "the same where the C library has no poll"},

    {SYS_openat2, kAnyArgument, kAnyArgument, "look up or create one component beneath a root"},
    {SYS_openat,
     {2, O_CREAT | O_EXCL, 0},
     kAnyArgument,
     "open a held file through /proc/self/fd; never creates"},
    {SYS_close, kAnyArgument, kAnyArgument, "forget a node"},
    {SYS_fcntl, {1, ~uint64_t{0}, F_DUPFD_CLOEXEC}, kAnyArgument, "attach to a root"},
    {SYS_statx, kAnyArgument, kAnyArgument, "attributes"},
    {SYS_fstatfs, kAnyArgument, kAnyArgument, "statfs, and to recognise the kernel's own filesystems"},
    {SYS_readlinkat, kAnyArgument, kAnyArgument, "the target of a symlink"},
    {SYS_getdents64, kAnyArgument, kAnyArgument, "list a directory"},
    {SYS_lseek, kAnyArgument, kAnyArgument, "continue a listing"},

    {SYS_fchownat, {4, AT_EMPTY_PATH, AT_EMPTY_PATH}, kAnyArgument, "change the owner of a held file"},
    {SYS_fchmodat, kAnyArgument, kAnyArgument, "change the mode of a held file"},
    {SYS_utimensat, {3, AT_EMPTY_PATH, AT_EMPTY_PATH}, kAnyArgument, "change the times of a held file"},
    {SYS_ftruncate, kAnyArgument, kAnyArgument, "change the size of a held file"},
    {SYS_fgetxattr, kAnyArgument, kAnyArgument, "extended attributes"},
    {SYS_fsetxattr, kAnyArgument, kAnyArgument, "extended attributes"},
    {SYS_flistxattr, kAnyArgument, kAnyArgument, "extended attributes"},
    {SYS_fremovexattr, kAnyArgument, kAnyArgument, "extended attributes"},
    {SYS_fsync, kAnyArgument, kAnyArgument, "sync a directory"},

    {SYS_mkdirat, kAnyArgument, kAnyArgument, "make a directory"},
    {SYS_symlinkat, kAnyArgument, kAnyArgument, "make a symlink"},
    {SYS_mknodat, {2, 0170000, S_IFREG}, kAnyArgument, "make a regular file"},
    {SYS_mknodat, {2, 0170000, S_IFIFO}, kAnyArgument, "make a fifo"},
    {SYS_mknodat, {2, 0170000, S_IFSOCK}, kAnyArgument, "make a socket"},
    {SYS_linkat,
     {4, ~uint64_t{0}, AT_SYMLINK_FOLLOW},
     kAnyArgument,
     "link a held file through /proc/self/fd"},
    {SYS_unlinkat, kAnyArgument, kAnyArgument, "remove a file or directory"},
    {SYS_renameat2, kAnyArgument, kAnyArgument, "rename"},

    {SYS_mmap, NotExecutable(2), kAnyArgument, "memory allocator"},
    {SYS_mprotect, NotExecutable(2), kAnyArgument, "memory allocator"},
    {SYS_munmap, kAnyArgument, kAnyArgument, "memory allocator"},
    {SYS_mremap, kAnyArgument, kAnyArgument, "memory allocator"},
    {SYS_madvise, kAnyArgument, kAnyArgument, "memory allocator"},
    {SYS_brk, kAnyArgument, kAnyArgument, "memory allocator"},
    {SYS_futex, kAnyArgument, kAnyArgument, "C library locks"},
    {SYS_write, kAnyArgument, kAnyArgument, "the log; no other descriptor is open for writing"},
    {SYS_clock_gettime, kAnyArgument, kAnyArgument, "time of a log line where the vDSO cannot tell"},
    {SYS_gettid, kAnyArgument, kAnyArgument, "abort(3) after a failed check"},
    {SYS_getpid, kAnyArgument, kAnyArgument, "abort(3), log lines"},
    {SYS_tgkill, kAnyArgument, kAnyArgument, "abort(3)"},
    {SYS_rt_sigprocmask, kAnyArgument, kAnyArgument, "abort(3)"},
    {SYS_rt_sigaction, kAnyArgument, kAnyArgument, "abort(3)"},
    {SYS_rt_sigreturn, kAnyArgument, kAnyArgument, "return of a signal handler"},
    {SYS_restart_syscall, kAnyArgument, kAnyArgument, "a wait that a stop signal interrupted"},
    {SYS_exit_group, kAnyArgument, kAnyArgument, "end"},
};

// Added where host unix sockets may be connected to.
inline constexpr GoferSyscall kGoferConnectSyscalls[] = {
    {SYS_socket, {0, ~uint64_t{0}, AF_UNIX}, kAnyArgument, "a socket to donate"},
    {SYS_connect, kAnyArgument, kAnyArgument, "connect it to a held unix socket"},
};

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_SECCOMP_RULES_H_
