#include "gofer/server/seccomp_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "platform/seccomp/sanitizer_rules.h"

namespace runsc {

std::vector<SeccompPolicy> GoferSeccompPolicies() {
  SeccompPolicy files{
      "Gofer",
      {
          {SYS_recvmsg, "receive a request"},
          {SYS_sendmsg, "send a reply and donate a descriptor"},
          {SYS_poll, "wait for requests of several connections"},
          {SYS_openat2, "look up or create one component beneath a root"},
          {SYS_openat,
           "open a held file through /proc/self/fd; never creates",
           {ArgMaskedIs(2, O_CREAT | O_EXCL, 0)}},
          {SYS_close, "forget a node"},
          {SYS_fcntl, "attach to a root", {IntArgIs(1, F_DUPFD_CLOEXEC)}},
          {SYS_statx, "attributes"},
          {SYS_fstatfs, "statfs, and to recognise the kernel's own filesystems"},
          {SYS_readlinkat, "the target of a symlink"},
          {SYS_getdents64, "list a directory"},
          {SYS_lseek, "continue a listing"},
          {SYS_fchownat, "change the owner of a held file", {ArgMaskedIs(4, AT_EMPTY_PATH, AT_EMPTY_PATH)}},
          {SYS_fchmodat, "change the mode of a held file"},
          {SYS_utimensat, "change the times of a held file", {ArgMaskedIs(3, AT_EMPTY_PATH, AT_EMPTY_PATH)}},
          {SYS_ftruncate, "change the size of a held file"},
          {SYS_fgetxattr, "extended attributes"},
          {SYS_fsetxattr, "extended attributes"},
          {SYS_flistxattr, "extended attributes"},
          {SYS_fremovexattr, "extended attributes"},
          {SYS_fsync, "sync a directory"},
          {SYS_inotify_init1, "the queue of a root's changes", {IntArgIs(0, IN_NONBLOCK | IN_CLOEXEC)}},
          {SYS_inotify_add_watch, "hear of changes of a held file, by its number in /proc/self/fd"},
          {SYS_inotify_rm_watch, "a file that is held no more"},
          {SYS_mkdirat, "make a directory"},
          {SYS_symlinkat, "make a symlink"},
          {SYS_mknodat, "make a regular file", {ArgMaskedIs(2, 0170000, S_IFREG)}},
          {SYS_mknodat, "make a fifo", {ArgMaskedIs(2, 0170000, S_IFIFO)}},
          {SYS_mknodat, "make a socket", {ArgMaskedIs(2, 0170000, S_IFSOCK)}},
          {SYS_linkat, "link a held file through /proc/self/fd", {IntArgIs(4, AT_SYMLINK_FOLLOW)}},
          {SYS_unlinkat, "remove a file or directory"},
          {SYS_renameat2, "rename"},
          {SYS_mmap, "memory allocator", {ArgHasNot(2, PROT_EXEC)}},
          {SYS_munmap, "memory allocator"},
          {SYS_mremap, "the memory allocator may ask, and does without", {}, ENOMEM},
          {SYS_brk, "memory allocator"},
          {SYS_futex, "C library locks"},
          {SYS_write, "the log; no other descriptor is open for writing"},
          {SYS_clock_gettime, "time of a log line where the vDSO cannot tell"},
          {SYS_gettid, "abort(3) after a failed check"},
          {SYS_getpid, "abort(3), log lines"},
          {SYS_tgkill, "abort(3)"},
          {SYS_rt_sigprocmask, "abort(3)"},
          {SYS_rt_sigaction, "abort(3)"},
          {SYS_rt_sigreturn, "return of a signal handler"},
          {SYS_restart_syscall, "a wait that a stop signal interrupted"},
          {SYS_exit_group, "end"},
      }};
  AddRules(files, SanitizerRules());
  // Where host unix sockets may be connected to.
  SeccompPolicy with_connect = files;
  with_connect.name = "GoferConnect";
  AddRules(with_connect, {
                             {SYS_socket, "a socket to donate", {IntArgIs(0, AF_UNIX)}},
                             {SYS_connect, "connect it to a held unix socket"},
                         });
  return {files, with_connect};
}

}  // namespace runsc
