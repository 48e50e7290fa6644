// Random system calls with arguments that make some sense (descriptors that are open, structures that are
// filled in, flags of the call's own kind, addresses in use), from several processes of several threads
// that share memory and descriptors. Where hostile_syscalls tries each call's bad arguments by itself, this
// looks for what calls do to each other. A plain static program: the sandbox's init, never run natively.
//
// Usage: syscall_fuzzer [SEED [SECONDS [PROCESSES [THREADS]]]]
// The kernel has done well if the last line is printed. With one process and one thread a seed always gives
// the same calls.
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kArena = 64 * kPage;     // what structures are made in; shared by all processes
constexpr size_t kScratch = 256 * kPage;  // what mmap, munmap and the like are let loose on
constexpr int kFds = 40;
constexpr uint64_t kSliceMilliseconds = 700;  // how long a process may live

// What stands for an argument in a signature:
//   f descriptor  d directory descriptor  p path  P pid  b buffer  n length  c small count  i small number
//   F flags  o offset  a address of mappings  l length of mappings  t timespec  T timeval or itimerspec
//   s signal  S signal set  A socket address  L its length's pointer  m msghdr  M mmsghdr  v iovecs  u futex
//   word e epoll_event  w pollfds  O open flags  m mode  U user id  x anything  0 zero C clone flags  G
//   clone_args  z siginfo  R rlimit  Q sigaction  E enumerated (by the call)  k fd pair
struct Call {
  int number;
  const char* signature;
  uint8_t weight = 4;
};
constexpr Call kCalls[] = {
    {SYS_read, "fbn", 8},
    {SYS_write, "fbn", 8},
    {SYS_open, "pOm"},
    {SYS_close, "f", 2},
    {SYS_stat, "pb"},
    {SYS_fstat, "fb"},
    {SYS_lstat, "pb"},
    {SYS_poll, "wci"},
    {SYS_lseek, "foi"},
    {SYS_mmap, "alEFfo", 12},
    {SYS_mprotect, "alE", 8},
    {SYS_munmap, "al", 8},
    {SYS_brk, "a", 1},
    {SYS_rt_sigaction, "sQQ8"},
    {SYS_rt_sigprocmask, "iSS8"},
    {SYS_rt_sigreturn, "", 1},
    {SYS_ioctl, "fEb", 8},
    {SYS_pread64, "fbno"},
    {SYS_pwrite64, "fbno"},
    {SYS_readv, "fvc"},
    {SYS_writev, "fvc"},
    {SYS_access, "pi"},
    {SYS_pipe, "k"},
    {SYS_select, "ibbbT"},
    {SYS_sched_yield, ""},
    {SYS_mremap, "allFa", 8},
    {SYS_msync, "alF"},
    {SYS_mincore, "alb"},
    {SYS_madvise, "alE", 8},
    {SYS_dup, "f"},
    {SYS_dup2, "ff"},
    {SYS_pause, "", 1},
    {SYS_nanosleep, "tb"},
    {SYS_getitimer, "ib"},
    {SYS_alarm, "i", 1},
    {SYS_setitimer, "iTb"},
    {SYS_getpid, ""},
    {SYS_sendfile, "ffbn"},
    {SYS_socket, "EEi", 8},
    {SYS_connect, "fAi"},
    {SYS_accept, "fAL"},
    {SYS_sendto, "fbnFAi"},
    {SYS_recvfrom, "fbnFAL"},
    {SYS_sendmsg, "fMF", 10},
    {SYS_recvmsg, "fMF", 10},
    {SYS_shutdown, "fi"},
    {SYS_bind, "fAi"},
    {SYS_listen, "fi"},
    {SYS_getsockname, "fAL"},
    {SYS_getpeername, "fAL"},
    {SYS_socketpair, "EEik", 6},
    {SYS_setsockopt, "fiEbi"},
    {SYS_getsockopt, "fiEbL"},
    {SYS_clone, "Caaaa", 4},
    {SYS_fork, "", 2},
    {SYS_vfork, "", 1},
    {SYS_execve, "pXX", 1},
    {SYS_exit, "i", 1},
    {SYS_wait4, "PbFb"},
    {SYS_kill, "Ps"},
    {SYS_uname, "b"},
    {SYS_fcntl, "fEx", 8},
    {SYS_flock, "fF"},
    {SYS_fsync, "f"},
    {SYS_fdatasync, "f"},
    {SYS_truncate, "po"},
    {SYS_ftruncate, "fo", 6},
    {SYS_getdents, "fbn"},
    {SYS_getcwd, "bn"},
    {SYS_chdir, "p"},
    {SYS_fchdir, "f"},
    {SYS_rename, "pp"},
    {SYS_mkdir, "pm"},
    {SYS_rmdir, "p"},
    {SYS_creat, "pm"},
    {SYS_link, "pp"},
    {SYS_unlink, "p"},
    {SYS_symlink, "pp"},
    {SYS_readlink, "pbn"},
    {SYS_chmod, "pm"},
    {SYS_fchmod, "fm"},
    {SYS_chown, "pUU"},
    {SYS_fchown, "fUU"},
    {SYS_lchown, "pUU"},
    {SYS_umask, "m"},
    {SYS_gettimeofday, "bb"},
    {SYS_getrlimit, "ib"},
    {SYS_getrusage, "ib"},
    {SYS_sysinfo, "b"},
    {SYS_times, "b"},
    {SYS_ptrace, "iPaa"},
    {SYS_setuid, "U", 1},
    {SYS_setgid, "U", 1},
    {SYS_setpgid, "PP"},
    {SYS_getppid, ""},
    {SYS_setsid, "", 1},
    {SYS_setreuid, "UU", 1},
    {SYS_setregid, "UU", 1},
    {SYS_getgroups, "ib"},
    {SYS_setgroups, "ib", 1},
    {SYS_setresuid, "UUU", 1},
    {SYS_setresgid, "UUU", 1},
    {SYS_getpgid, "P"},
    {SYS_setfsuid, "U", 1},
    {SYS_getsid, "P"},
    {SYS_capget, "bb"},
    {SYS_capset, "bb", 1},
    {SYS_rt_sigpending, "b8"},
    {SYS_rt_sigtimedwait, "Szt8"},
    {SYS_rt_sigqueueinfo, "Psz"},
    {SYS_rt_sigsuspend, "S8", 1},
    {SYS_sigaltstack, "bb"},
    {SYS_utime, "pb"},
    {SYS_mknod, "pmx"},
    {SYS_personality, "x", 1},
    {SYS_statfs, "pb"},
    {SYS_fstatfs, "fb"},
    {SYS_getpriority, "iP"},
    {SYS_setpriority, "iPi"},
    {SYS_sched_setparam, "Pb"},
    {SYS_sched_getparam, "Pb"},
    {SYS_sched_setscheduler, "Pib"},
    {SYS_sched_getscheduler, "P"},
    {SYS_sched_rr_get_interval, "Pb"},
    {SYS_mlock, "al"},
    {SYS_munlock, "al"},
    {SYS_mlockall, "i", 1},
    {SYS_munlockall, ""},
    {SYS_pivot_root, "pp", 1},
    {SYS_prctl, "Exxxx", 6},
    {SYS_arch_prctl, "Ea", 1},
    {SYS_setrlimit, "iR", 1},
    {SYS_chroot, "p", 1},
    {SYS_sync, "", 1},
    {SYS_mount, "pppFp"},
    {SYS_umount2, "pF"},
    {SYS_sethostname, "bn"},
    {SYS_gettid, ""},
    {SYS_readahead, "fon"},
    {SYS_setxattr, "ppbni"},
    {SYS_lsetxattr, "ppbni"},
    {SYS_fsetxattr, "fpbni"},
    {SYS_getxattr, "ppbn"},
    {SYS_fgetxattr, "fpbn"},
    {SYS_listxattr, "pbn"},
    {SYS_flistxattr, "fbn"},
    {SYS_removexattr, "pp"},
    {SYS_fremovexattr, "fp"},
    {SYS_tkill, "Ps"},
    {SYS_time, "b"},
    {SYS_futex, "uFitui", 12},
    {SYS_sched_setaffinity, "Pnb"},
    {SYS_sched_getaffinity, "Pnb"},
    {SYS_epoll_create, "i"},
    {SYS_getdents64, "fbn"},
    {SYS_set_tid_address, "b"},
    {SYS_restart_syscall, ""},
    {SYS_fadvise64, "foni"},
    {SYS_timer_create, "ibb"},
    {SYS_timer_settime, "iiTb"},
    {SYS_timer_gettime, "ib"},
    {SYS_timer_getoverrun, "i"},
    {SYS_timer_delete, "i"},
    {SYS_clock_settime, "it"},
    {SYS_clock_gettime, "ib"},
    {SYS_clock_getres, "ib"},
    {SYS_clock_nanosleep, "iFtb"},
    {SYS_epoll_wait, "feci"},
    {SYS_epoll_ctl, "fife", 10},
    {SYS_tgkill, "PPs"},
    {SYS_utimes, "pT"},
    {SYS_mbind, "aliblF"},
    {SYS_set_mempolicy, "ibi"},
    {SYS_get_mempolicy, "bbiai"},
    {SYS_waitid, "iPbFb"},
    {SYS_ioprio_set, "iPi"},
    {SYS_inotify_add_watch, "fpx"},
    {SYS_inotify_rm_watch, "fi"},
    {SYS_openat, "dpOm", 10},
    {SYS_mkdirat, "dpm"},
    {SYS_mknodat, "dpmx"},
    {SYS_fchownat, "dpUUF"},
    {SYS_futimesat, "dpT"},
    {SYS_newfstatat, "dpbF"},
    {SYS_unlinkat, "dpF"},
    {SYS_renameat, "dpdp"},
    {SYS_linkat, "dpdpF"},
    {SYS_symlinkat, "pdp"},
    {SYS_readlinkat, "dpbn"},
    {SYS_fchmodat, "dpm"},
    {SYS_faccessat, "dpi"},
    {SYS_pselect6, "ibbbtb"},
    {SYS_ppoll, "wctS8"},
    {SYS_unshare, "C", 1},
    {SYS_set_robust_list, "bn"},
    {SYS_get_robust_list, "Pbb"},
    {SYS_splice, "fbfbnF", 8},
    {SYS_tee, "ffnF"},
    {SYS_sync_file_range, "fonF"},
    {SYS_vmsplice, "fvcF"},
    {SYS_move_pages, "PcbbbF", 1},
    {SYS_utimensat, "dpTF"},
    {SYS_epoll_pwait, "feciS8"},
    {SYS_signalfd, "fS8"},
    {SYS_timerfd_create, "iF"},
    {SYS_eventfd, "i"},
    {SYS_fallocate, "fFoo"},
    {SYS_timerfd_settime, "fFTb"},
    {SYS_timerfd_gettime, "fb"},
    {SYS_accept4, "fALF"},
    {SYS_signalfd4, "fS8F"},
    {SYS_eventfd2, "iF"},
    {SYS_epoll_create1, "F"},
    {SYS_dup3, "ffF"},
    {SYS_pipe2, "kF"},
    {SYS_inotify_init1, "F"},
    {SYS_preadv, "fvco0"},
    {SYS_pwritev, "fvco0"},
    {SYS_rt_tgsigqueueinfo, "PPsz"},
    {SYS_recvmmsg, "fMcFt"},
    {SYS_prlimit64, "PiRb"},
    {SYS_syncfs, "f"},
    {SYS_sendmmsg, "fMcF"},
    {SYS_setns, "fF"},
    {SYS_getcpu, "bb"},
    {SYS_process_vm_readv, "Pvcvc0"},
    {SYS_process_vm_writev, "Pvcvc0"},
    {SYS_kcmp, "PPiff"},
    {SYS_sched_setattr, "PbF"},
    {SYS_sched_getattr, "PbnF"},
    {SYS_renameat2, "dpdpF"},
    {SYS_seccomp, "iFb", 1},
    {SYS_getrandom, "bnF"},
    {SYS_memfd_create, "pF"},
    {SYS_execveat, "dpXXF", 1},
    {SYS_membarrier, "ii"},
    {SYS_mlock2, "alF"},
    {SYS_copy_file_range, "fbfbn0"},
    {SYS_preadv2, "fvco0F"},
    {SYS_pwritev2, "fvco0F"},
    {SYS_statx, "dpFxb"},
    {SYS_rseq, "aiix", 1},
    {SYS_pidfd_send_signal, "fsz0"},
    {SYS_pidfd_open, "PF"},
    {SYS_clone3, "Gn", 3},
    {SYS_close_range, "ffF", 1},
    {SYS_openat2, "dpbn"},
    {SYS_pidfd_getfd, "ff0"},
    {SYS_faccessat2, "dpiF"},
    {SYS_process_madvise, "fvcE0"},
    {SYS_epoll_pwait2, "fectS8"},
    {SYS_futex_waitv, "bcFti"},
    {SYS_mq_open, "pOmb"},
    {SYS_mq_unlink, "p"},
    {SYS_mq_timedsend, "fbnit"},
    {SYS_mq_timedreceive, "fbnbt"},
    {SYS_mq_notify, "fb"},
    {SYS_shmget, "ilF"},
    {SYS_shmat, "iaF"},
    {SYS_shmctl, "iib"},
    {SYS_shmdt, "a"},
    {SYS_semget, "iiF"},
    {SYS_semop, "ibc"},
    {SYS_semtimedop, "ibct"},
    {SYS_semctl, "iiib"},
    {SYS_msgget, "iF"},
    {SYS_msgsnd, "ibnF"},
    {SYS_msgrcv, "ibniF"},
    {SYS_msgctl, "iib"},
    {SYS_add_key, "EEbcE", 6},
    {SYS_request_key, "EEEE"},
    {SYS_keyctl, "EEEEE", 12},
    {SYS_modify_ldt, "ibn", 1},
    {SYS_io_setup, "ib", 1},
    {SYS_name_to_handle_at, "dpbbF", 1},
    {SYS_fsopen, "pF", 1},
    {SYS_open_tree, "dpF", 1},
};
constexpr size_t kCallCount = std::size(kCalls);

constexpr unsigned kIoctls[] = {TCGETS,   TCSETS,   TIOCGWINSZ, TIOCSWINSZ, FIONREAD,    FIONBIO,   FIOASYNC,
                                FIOCLEX,  TIOCGPTN, TIOCSPTLCK, TIOCSCTTY,  TIOCNOTTY,   TIOCGPGRP, TIOCSPGRP,
                                TIOCOUTQ, TCFLSH,   TIOCSTI,    TCXONC,     TIOCGSID,    TIOCPKT,   0x8933,
                                0x8912,   0x8913,   TCSETSF,    0x4028ae3f, TIOCGPTPEER, TIOCEXCL,  TIOCSETD};
constexpr int kPrctls[] = {1,  2,  3,  4,  7,  8,  15, 16, 21, 22, 23, 24, 25, 26,        29,
                           30, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 45, 47, 0x53564d41};
constexpr int kFamilies[] = {AF_UNIX, AF_UNIX, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 0};
constexpr int kTypes[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};
constexpr const char* kPaths[] = {"a",
                                  "b",
                                  "c",
                                  "d",
                                  "a/b",
                                  "a/c",
                                  "b/d",
                                  "../a",
                                  ".",
                                  "..",
                                  "/",
                                  "",
                                  "a/../b",
                                  "/tmp/a",
                                  "/proc/self/fd/5",
                                  "/proc/self/mem",
                                  "/proc/self/maps",
                                  "/proc/self/status",
                                  "/proc/self/ns/net",
                                  "/proc/1/stat",
                                  "/proc/self/task",
                                  "/proc/self/exe",
                                  "/proc/self/cwd",
                                  "/proc/self/root/tmp",
                                  "/proc/thread-self/comm",
                                  "/proc/self/oom_score_adj",
                                  "/proc/self/fdinfo/3",
                                  "/proc/self/mountinfo",
                                  "/proc/self/environ",
                                  "/proc/sys/kernel/hostname",
                                  "/proc/sys/fs/pipe-max-size",
                                  "/proc/self/uid_map",
                                  "/proc/meminfo",
                                  "/proc/self/coredump_filter",
                                  "/proc/self/smaps",
                                  "/proc/self/clear_refs",
                                  "/proc/net/unix",
                                  "/dev/null",
                                  "/dev/zero",
                                  "/dev/full",
                                  "/dev/ptmx",
                                  "/dev/pts/0",
                                  "/dev/tty",
                                  "/dev/urandom",
                                  "/dev/shm/x",
                                  "/sys",
                                  "/etc/passwd",
                                  "/usr/bin/true",
                                  "/bin/sh",
                                  "tmpfs",
                                  "proc",
                                  "overlay",
                                  "user.x",
                                  "security.capability",
                                  "trusted.y",
                                  "size=1m,mode=777",
                                  "nonexistent/x",
                                  "fifo",
                                  "sock",
                                  "link",
                                  "a/",
                                  "////tmp//",
                                  "/proc/self/attr"};

struct Shared {
  std::atomic<uint64_t> calls;
  std::atomic<uint64_t> per_call[512];
};
Shared* shared;
char* arena;
char* scratch;
int slice_processes, slice_threads;

struct Generator {
  uint64_t state;
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
  }
  uint64_t Below(uint64_t limit) { return (Next() >> 11) % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  T Pick(const T (&list)[N]) {
    return list[Below(N)];
  }
};

constexpr uint64_t kOddNumbers[] = {0,
                                    1,
                                    2,
                                    7,
                                    4095,
                                    4096,
                                    4097,
                                    65535,
                                    65536,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    uint64_t{1} << 32,
                                    uint64_t{1} << 47,
                                    (uint64_t{1} << 47) - 4096,
                                    INT64_MAX,
                                    INT64_MAX - 4095,
                                    uint64_t{1} << 63,
                                    UINT64_MAX,
                                    UINT64_MAX - 4095};

uint64_t Address(const void* p) { return reinterpret_cast<uint64_t>(p); }

// One thread's hands: makes arguments and calls.
class Fuzzer {
 public:
  explicit Fuzzer(uint64_t seed) : random_{seed * 0x9e3779b97f4a7c15 | 1} {}

  void Step() {
    const Call* call = nullptr;
    do {
      call = &kCalls[random_.Below(kCallCount)];
    } while (random_.Below(12) >= call->weight);
    int number = call->number;
    uint64_t arguments[6] = {};
    size_t count = strlen(call->signature);
    for (size_t i = 0; i < 6; ++i) {
      char kind = i < count ? call->signature[i] : 'x';
      if (random_.OneIn(40)) kind = 'x';
      arguments[i] = Make(kind, number, i);
    }
    if (random_.OneIn(400)) number = static_cast<int>(random_.Below(470));
    if (!Allowed(number, arguments)) return;
    shared->calls.fetch_add(1, std::memory_order_relaxed);
    shared->per_call[number].fetch_add(1, std::memory_order_relaxed);
    long result = Raw(number, arguments);
    bool makes_process =
        number == SYS_fork || number == SYS_vfork || number == SYS_clone || number == SYS_clone3;
    if (makes_process && result == 0) {
      // The child of a fork goes on for a while. One that shares memory is not seen here: Raw ends it.
      for (int i = 0; i < 30 && !in_child_; ++i) {
        in_child_ = i == 29;
        Step();
      }
      _exit(0);
    }
  }

 private:
  // The system call itself. A new thread, or a child in this memory, has no stack of its own to return on: it
  // makes a few harmless calls and ends.
  static long Raw(int number, const uint64_t* a) {
    long result = number;
    register uint64_t r10 asm("r10") = a[3];
    register uint64_t r8 asm("r8") = a[4];
    register uint64_t r9 asm("r9") = a[5];
    if (number == SYS_vfork || ((number == SYS_clone || number == SYS_clone3) && SharesMemory(number, a))) {
      asm volatile(
          "syscall\n"
          "test %%rax, %%rax\n"
          "jnz 1f\n"
          "mov $39, %%eax\n"
          "syscall\n"
          "mov $24, %%eax\n"
          "syscall\n"
          "mov $60, %%eax\n"
          "xor %%edi, %%edi\n"
          "syscall\n"
          "1:"
          : "+a"(result)
          : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
          : "rcx", "r11", "memory");
      return result;
    }
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
  }
  static bool SharesMemory(int number, const uint64_t* a) {
    if (number == SYS_clone) return (a[0] & CLONE_VM) != 0;
    return true;  // clone3: who knows what another thread writes into the structure
  }

  // The few calls that would end the run early without telling anything.
  bool Allowed(int number, const uint64_t* a) {
    if (number == SYS_exit_group || number == SYS_reboot)
      return random_.OneIn(50) && number == SYS_exit_group;
    if (number == SYS_kill) return static_cast<int>(a[0]) != -1 && static_cast<int>(a[0]) != 1;
    return true;
  }

  uint64_t Make(char kind, int number, size_t index) {
    switch (kind) {
      case 'f':
        return random_.OneIn(30) ? random_.Pick(kOddNumbers) : random_.Below(kFds);
      case 'd':
        return random_.OneIn(3) ? random_.Below(kFds) : static_cast<uint64_t>(AT_FDCWD);
      case 'p':
        return Path();
      case 'P': {
        uint64_t which = random_.Below(8);
        if (which == 0) return 0;
        if (which < 4) return static_cast<uint64_t>(getpid());
        if (which == 4) return static_cast<uint64_t>(Tid());
        if (which == 5) return random_.Pick(kOddNumbers);
        return static_cast<uint64_t>(Tid()) + random_.Below(10) - 5;
      }
      case 'b':
        return Buffer();
      case 'n':
        return random_.OneIn(8) ? random_.Pick(kOddNumbers) : random_.Below(3 * kPage);
      case 'c':
        return random_.OneIn(20) ? random_.Pick(kOddNumbers) : random_.Below(6);
      case 'i':
        return random_.OneIn(12) ? random_.Pick(kOddNumbers) : random_.Below(24);
      case 'F':
        return Flags();
      case 'o':
        return random_.OneIn(5) ? random_.Pick(kOddNumbers)
                                : random_.Below(64) * (random_.OneIn(2) ? kPage : 77);
      case 'a':
        if (random_.OneIn(12))
          return random_.OneIn(2) ? Address(arena) + random_.Below(64) * kPage : Buffer();
        return Address(scratch) + random_.Below(kScratch / kPage) * kPage + (random_.OneIn(20) ? 8 : 0);
      case 'l':
        return random_.OneIn(15) ? random_.Pick(kOddNumbers)
                                 : random_.Below(40) * kPage + (random_.OneIn(6) ? 1 : 0);
      case 't':
        return Timespecs(1);
      case 'T':
        return Timespecs(2);
      case 's':
        return random_.OneIn(10) ? random_.Below(70) : random_.OneIn(2) ? 32 + random_.Below(32) : SIGUSR1;
      case 'S':
        return Words(1);
      case 'A':
        return SocketAddress();
      case 'L':
        return Word32(random_.OneIn(6) ? random_.Pick(kOddNumbers) : random_.Below(130));
      case 'M':
        return Messages();
      case 'v':
        return Iovecs(6);
      case 'u':
        return random_.OneIn(10) ? Buffer() : Address(arena) + random_.Below(8) * 4;
      case 'e':
        return Words(8);
      case 'w':
        return PollFds();
      case 'O': {
        constexpr uint64_t kModes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
        uint64_t flags = random_.Pick(kModes) | (random_.OneIn(2) ? O_CREAT : 0) | O_NONBLOCK;
        return random_.OneIn(3) ? flags | Flags() : flags;
      }
      case 'm':
        if (random_.OneIn(4)) return (1 + random_.Below(14)) << 12 | 0666;
        return random_.Below(010000);
      case 'U':
        return random_.OneIn(2) ? 0 : random_.OneIn(2) ? 1000 : random_.Pick(kOddNumbers);
      case 'C':
        return CloneFlags();
      case 'G':
        return CloneArguments();
      case 'z':
        return Words(16);
      case 'R':
        return Words(2);
      case 'Q':
        return SignalAction();
      case 'X':
        return Strings();
      case 'k':
        return Buffer();
      case '8':
        return random_.OneIn(30) ? random_.Below(20) : 8;
      case '0':
        return 0;
      case 'E':
        return Enumerated(number, index);
      default:
        switch (random_.Below(5)) {
          case 0:
            return random_.Pick(kOddNumbers);
          case 1:
            return Buffer();
          case 2:
            return random_.Below(256);
          case 3:
            return Address(scratch) + random_.Below(kScratch);
          default:
            return random_.Next();
        }
    }
  }

  uint64_t KeyArgument(int number, size_t index) {
    static constexpr const char* kStrings[] = {"user", "keyring", "logon", "a", "b", "service:c", ".d", ""};
    if (number == SYS_keyctl && index == 0) return random_.Below(35);
    if (number != SYS_keyctl && index == 0) return Address(kStrings[random_.Below(4)]);
    if (number != SYS_keyctl && index < 3) return Address(kStrings[random_.Below(std::size(kStrings))]);
    switch (random_.Below(8)) {
      case 0:
        return Address(kStrings[random_.Below(std::size(kStrings))]);
      case 1:
        return random_.Pick(kOddNumbers);
      case 2:
        return Buffer();
      default:
        return 0 - random_.Below(10);  // KEY_SPEC_*
    }
  }

  uint64_t Enumerated(int number, size_t index) {
    switch (number) {
      case SYS_mmap:
      case SYS_mprotect:
        return random_.Below(8);
      case SYS_madvise:
      case SYS_process_madvise:
        return random_.OneIn(4) ? 100 + random_.Below(3) : random_.Below(26);
      case SYS_ioctl:
        return random_.OneIn(10) ? 0x5400 + random_.Below(0x80)
                                 : static_cast<uint64_t>(random_.Pick(kIoctls));
      case SYS_add_key:
      case SYS_request_key:
      case SYS_keyctl:
        return KeyArgument(number, index);
      case SYS_fcntl:
        return random_.OneIn(3) ? 1024 + random_.Below(18) : random_.Below(40);
      case SYS_socket:
      case SYS_socketpair:
        if (index == 0) return static_cast<uint64_t>(random_.Pick(kFamilies));
        return static_cast<uint64_t>(random_.Pick(kTypes)) | SOCK_NONBLOCK;
      case SYS_setsockopt:
      case SYS_getsockopt:
        return random_.Below(80);
      case SYS_prctl:
        return static_cast<uint64_t>(random_.Pick(kPrctls));
      case SYS_arch_prctl:
        return 0x1001 + random_.Below(0x20);
      default:
        return random_.Below(32);
    }
  }

  uint64_t Flags() {
    uint64_t flags = 0;
    for (uint64_t n = random_.Below(4); n > 0; --n)
      flags |= uint64_t{1} << random_.Below(random_.OneIn(9) ? 64 : 24);
    return flags;
  }
  uint64_t CloneFlags() {
    constexpr uint64_t kSets[] = {
        SIGCHLD,
        SIGCHLD,
        CLONE_VM | CLONE_VFORK | SIGCHLD,
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
        CLONE_FILES | SIGCHLD,
        CLONE_VM | CLONE_SIGHAND,
        CLONE_NEWPID | SIGCHLD,
        CLONE_NEWNS | SIGCHLD,
        CLONE_NEWUSER | SIGCHLD,
        CLONE_PARENT | SIGCHLD,
        CLONE_PIDFD | SIGCHLD};
    uint64_t flags = random_.Pick(kSets);
    return random_.OneIn(3) ? flags | (Flags() & 0xffffffff) : flags;
  }

  // --- memory ---

  char* Place(size_t size) {
    char* at = arena + kPage + random_.Below(kArena - 4 * kPage - size);
    return at - Address(at) % 8;
  }
  uint64_t Buffer() {
    switch (random_.Below(20)) {
      case 0:
        return 0;
      case 1:
        return random_.Pick(kOddNumbers);
      case 2:
        return Address(arena) + kArena - random_.Below(64);  // runs into a page that is not there
      case 3:
        return Address(scratch) + random_.Below(kScratch);
      case 4:
        return Address(&kCalls);  // read-only
      default:
        return Address(Place(64)) + (random_.OneIn(10) ? random_.Below(8) : 0);
    }
  }
  uint64_t Wrong(uint64_t right) { return random_.OneIn(25) ? Buffer() : right; }
  uint64_t Word32(uint64_t value) {
    char* at = Place(8);
    uint32_t word = static_cast<uint32_t>(value);
    memcpy(at, &word, sizeof(word));
    return Wrong(Address(at));
  }
  uint64_t Words(size_t count) {
    char* at = Place(8 * count);
    for (size_t i = 0; i < count; ++i) {
      uint64_t value = Make(random_.OneIn(2) ? 'x' : 'i', 0, 0);
      memcpy(at + 8 * i, &value, sizeof(value));
    }
    return Wrong(Address(at));
  }
  uint64_t Path() {
    char* at = Place(200);
    if (random_.OneIn(40)) {
      memset(at, 'a' + static_cast<int>(random_.Below(3)), 190);
      at[random_.Below(190)] = '/';
      at[190] = '\0';
    } else {
      strcpy(at, random_.Pick(kPaths));
      if (random_.OneIn(12)) strcat(strcat(at, "/"), random_.Pick(kPaths));
    }
    return Wrong(Address(at));
  }
  uint64_t Timespecs(int count) {
    int64_t values[4] = {};
    for (int i = 0; i < 2 * count; ++i)
      values[i] = i % 2 == 0 ? 0 : static_cast<int64_t>(random_.Below(3000000));
    if (random_.OneIn(8)) values[random_.Below(4)] = static_cast<int64_t>(random_.Pick(kOddNumbers));
    char* at = Place(sizeof(values));
    memcpy(at, values, sizeof(values));
    return random_.OneIn(10) ? 0 : Wrong(Address(at));
  }
  uint64_t Iovecs(size_t count) {
    iovec iov[6];
    for (size_t i = 0; i < count; ++i)
      iov[i] = {reinterpret_cast<void*>(Buffer()),
                random_.OneIn(15) ? random_.Pick(kOddNumbers) : random_.Below(5000)};
    char* at = Place(sizeof(iov));
    memcpy(at, iov, sizeof(iovec) * count);
    return Wrong(Address(at));
  }
  uint64_t PollFds() {
    pollfd fds[6];
    for (pollfd& entry : fds)
      entry = {static_cast<int>(random_.Below(kFds)), static_cast<short>(random_.Below(0x4000)), 0};
    char* at = Place(sizeof(fds));
    memcpy(at, fds, sizeof(fds));
    return Wrong(Address(at));
  }
  uint64_t SocketAddress() {
    char* at = Place(128);
    memset(at, 0, 128);
    switch (random_.Below(6)) {
      case 0:
      case 1: {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        strcpy(address.sun_path + (random_.OneIn(2) ? 1 : 0), random_.OneIn(2) ? "sock" : "a");
        memcpy(at, &address, sizeof(address));
        break;
      }
      case 2: {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<uint16_t>(random_.Below(10)));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(at, &address, sizeof(address));
        break;
      }
      case 3: {
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        memcpy(at, &address, sizeof(address));
        break;
      }
      default:
        at[0] = static_cast<char>(random_.Below(20));
    }
    return random_.OneIn(8) ? 0 : Wrong(Address(at));
  }
  uint64_t Messages() {
    mmsghdr messages[4] = {};
    for (mmsghdr& entry : messages) {
      msghdr& message = entry.msg_hdr;
      message.msg_name = reinterpret_cast<void*>(random_.OneIn(3) ? SocketAddress() : 0);
      message.msg_namelen =
          static_cast<socklen_t>(random_.OneIn(10) ? random_.Pick(kOddNumbers) : random_.Below(128));
      message.msg_iov = reinterpret_cast<iovec*>(Iovecs(3));
      message.msg_iovlen = random_.OneIn(20) ? random_.Pick(kOddNumbers) : random_.Below(4);
      if (random_.OneIn(2)) {
        message.msg_control = reinterpret_cast<void*>(Control());
        message.msg_controllen = random_.OneIn(10) ? random_.Pick(kOddNumbers) : 16 + 4 * random_.Below(24);
      }
    }
    char* at = Place(sizeof(messages));
    memcpy(at, messages, sizeof(messages));
    return Wrong(Address(at));
  }
  uint64_t Control() {
    char* at = Place(512);
    size_t offset = 0;
    for (uint64_t n = random_.Below(4); n > 0; --n) {
      size_t data = 4 * random_.Below(8);
      cmsghdr header{};
      header.cmsg_len = random_.OneIn(10) ? random_.Pick(kOddNumbers) : CMSG_LEN(data);
      header.cmsg_level = random_.OneIn(10) ? static_cast<int>(random_.Below(60)) : SOL_SOCKET;
      header.cmsg_type = random_.OneIn(5) ? static_cast<int>(random_.Below(50)) : SCM_RIGHTS;
      memcpy(at + offset, &header, sizeof(header));
      for (size_t i = 0; i < data; i += 4) {
        int fd = static_cast<int>(random_.Below(kFds));
        memcpy(at + offset + sizeof(header) + i, &fd, sizeof(fd));
      }
      offset += CMSG_SPACE(data);
    }
    return Wrong(Address(at));
  }
  uint64_t CloneArguments() {
    clone_args arguments{};
    arguments.flags = CloneFlags();
    arguments.exit_signal = random_.OneIn(4) ? random_.Below(70) : SIGCHLD;
    if (random_.OneIn(3)) {
      arguments.stack = Make('a', 0, 0);
      arguments.stack_size = Make('l', 0, 0);
      arguments.tls = Buffer();
      arguments.pidfd = Buffer();
      arguments.child_tid = Buffer();
      arguments.parent_tid = Buffer();
      arguments.set_tid = Buffer();
      arguments.set_tid_size = random_.Below(4);
    }
    char* at = Place(sizeof(arguments));
    memcpy(at, &arguments, sizeof(arguments));
    return Wrong(Address(at));
  }
  static void Handler(int) { shared->calls.fetch_add(1, std::memory_order_relaxed); }
  uint64_t SignalAction() {
    struct {
      uint64_t handler, flags, restorer, mask;
    } action = {};
    uint64_t choice = random_.Below(4);
    action.handler = choice == 0   ? 0
                     : choice == 1 ? 1
                     : choice > 2  ? Address(reinterpret_cast<void*>(&Handler))
                                   : Buffer();
    action.flags = 0x04000000 | (random_.OneIn(2) ? Flags() : SA_RESTART);
    action.restorer = Address(reinterpret_cast<void*>(&Restorer));
    action.mask = random_.OneIn(2) ? 0 : random_.Next();
    char* at = Place(sizeof(action));
    memcpy(at, &action, sizeof(action));
    return random_.OneIn(4) ? 0 : Wrong(Address(at));
  }
  __attribute__((naked)) static void Restorer() {
    asm volatile(
        "mov $15, %eax\n"
        "syscall");
  }
  uint64_t Strings() {
    uint64_t pointers[4] = {Path(), Path(), Path(), 0};
    if (random_.OneIn(20)) pointers[3] = Buffer();
    char* at = Place(sizeof(pointers));
    memcpy(at, pointers, sizeof(pointers));
    return Wrong(Address(at));
  }
  static int Tid() { return static_cast<int>(syscall(SYS_gettid)); }

  Generator random_;
  bool in_child_ = false;
};

// Descriptors of every kind, at known small numbers.
void OpenThings() {
  mkdir("/tmp/fuzz", 0777);
  if (chdir("/tmp/fuzz") != 0) return;
  mkdir("a", 0777);
  mkfifo("fifo", 0666);
  (void)!symlink("a/b", "link");
  int pair[2];
  for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET})
    socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair);
  for (int i = 0; i < 2; ++i) (void)!pipe2(pair, O_NONBLOCK);
  for (const char* name : {"/tmp/fuzz/b", "/tmp/fuzz/c", "/dev/null", "/dev/zero", "/dev/ptmx", "fifo"})
    open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0666);
  for (const char* name : {".", "a", "/proc/self", "/proc/self/mem", "/proc/self/maps", "/usr/bin/true", "/"})
    open(name, O_RDONLY | O_NONBLOCK);
  open(".", O_PATH);
  eventfd(0, EFD_NONBLOCK);
  timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  inotify_init1(IN_NONBLOCK);
  epoll_create1(0);
  epoll_create1(0);
  int memory = memfd_create("fuzz", MFD_ALLOW_SEALING);
  (void)!ftruncate(memory, 16 * kPage);
  socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
  socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  syscall(SYS_pidfd_open, getpid(), 0);
}

// A thread that fuzzes, as its watcher sees it.
struct Worker {
  uint64_t seed;
  std::atomic<int> tid;
  std::atomic<uint64_t> steps;
};
Worker workers[8];

thread_local sigjmp_buf again;
void ReturnFromFault(int) { siglongjmp(again, 1); }
void Nothing(int) {}

// Signals that would end the process only interrupt calls; a fault abandons the step that it happened in.
void InstallHandlers() {
  for (int number = 1; number < 65; ++number) {
    struct sigaction action {};
    bool fault =
        number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGTRAP;
    action.sa_handler = fault ? ReturnFromFault : Nothing;
    action.sa_flags = SA_ONSTACK | (fault ? SA_NODEFER : 0);
    if (number != SIGCHLD && number != SIGSTOP && number != SIGKILL) sigaction(number, &action, nullptr);
  }
}

void* ThreadMain(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  worker.tid = static_cast<int>(syscall(SYS_gettid));
  static thread_local char stack[32768];
  stack_t signal_stack{};
  signal_stack.ss_sp = stack;
  signal_stack.ss_size = sizeof(stack);
  Fuzzer fuzzer(worker.seed);
  for (;;) {
    sigset_t none;
    sigemptyset(&none);
    sigaltstack(&signal_stack, nullptr);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    (void)sigsetjmp(again, 0);
    for (int i = 0; i < 64; ++i) {
      worker.steps.fetch_add(1, std::memory_order_relaxed);
      fuzzer.Step();
    }
  }
}

// The process's first thread wakes those that have been in one call for long.
[[noreturn]] void Watch() {
  uint64_t seen[8] = {};
  for (;;) {
    usleep(5000);
    for (int i = 0; i < slice_threads; ++i) {
      uint64_t steps = workers[i].steps.load();
      if (steps == seen[i]) syscall(SYS_tgkill, getpid(), workers[i].tid.load(), SIGUSR2);
      seen[i] = steps;
    }
  }
}

[[noreturn]] void ProcessMain(uint64_t seed) {
  setsid();
  rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  for (int fd : {0, 1, 2}) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, fd);
    if (null > 2) close(null);
  }
  OpenThings();
  InstallHandlers();
  for (int i = 0; i < slice_threads; ++i) {
    pthread_t thread;
    workers[i].seed = seed * 1000 + static_cast<uint64_t>(i);
    pthread_create(&thread, nullptr, ThreadMain, &workers[i]);
  }
  Watch();
}

uint64_t Milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

// A slice is some processes that live for a moment, each replaced when it dies early; then everything is
// killed, whatever it has become. Returns the next seed.
uint64_t RunSlice(uint64_t seed) {
  uint64_t end = Milliseconds() + kSliceMilliseconds;
  pid_t children[8] = {};
  auto start = [&](pid_t* child) {
    *child = fork();
    if (*child == 0) ProcessMain(seed);
    ++seed;
  };
  for (int i = 0; i < slice_processes; ++i) start(&children[i]);
  while (Milliseconds() < end) {
    pid_t died = waitpid(-1, nullptr, WNOHANG);
    for (int i = 0; i < slice_processes; ++i) {
      if (died > 0 && children[i] == died) start(&children[i]);
    }
    if (died <= 0) usleep(5000);
  }
  kill(-1, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  return seed;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 0) : 1;
  uint64_t seconds = argc > 2 ? strtoull(argv[2], nullptr, 0) : 10;
  slice_processes = argc > 3 ? std::min(atoi(argv[3]), 8) : 2;
  slice_threads = argc > 4 ? std::min(atoi(argv[4]), 8) : 3;
  utsname name;
  uname(&name);
  if (getpid() != 1 || strstr(name.release, "runsc") == nullptr) {
    fprintf(stderr, "syscall_fuzzer: runs as the init of a sandbox only; it kills every process it can\n");
    return 77;
  }
  // In a PID namespace of its own, whose init is deaf to what the slices send.
  long inner = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (inner != 0) {
    int status = 0;
    bool ended = inner > 0 && waitpid(static_cast<pid_t>(inner), &status, 0) == inner;
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  setsid();
  int flags = MAP_SHARED | MAP_ANONYMOUS;
  shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, flags, -1, 0));
  arena = static_cast<char*>(mmap(nullptr, kArena + kPage, PROT_READ | PROT_WRITE, flags, -1, 0));
  munmap(arena + kArena, kPage);
  scratch = static_cast<char*>(
      mmap(nullptr, kScratch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  uint64_t end = Milliseconds() + seconds * 1000;
  uint64_t slices = 0;
  while (Milliseconds() < end) {
    printf("seed %lu\n", seed);
    seed = RunSlice(seed);
    ++slices;
  }
  uint64_t kinds = 0;
  for (auto& count : shared->per_call) kinds += count.load() != 0 ? 1 : 0;
  printf("%lu calls of %lu kinds in %lu slices: the kernel is still there\n", shared->calls.load(), kinds,
         slices);
  return 0;
}
