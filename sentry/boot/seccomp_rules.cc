#include "sentry/boot/seccomp_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>

#include "platform/ptrace/seccomp_rules.h"
#include "platform/seccomp/sanitizer_rules.h"
#include "platform/stub/seccomp_rules.h"
#include "platform/systrap/seccomp_rules.h"

namespace runsc {
namespace {

constexpr uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

std::vector<SyscallRule> MemoryRules() {
  return {
      {SYS_mmap,
       "memory of the allocator, of threads and of files; never executable",
       {ArgHasNot(2, PROT_EXEC)}},
      {SYS_mprotect, "guard pages of threads; never executable", {ArgHasNot(2, PROT_EXEC)}},
      {SYS_munmap, "give memory and mappings of files back"},
      {SYS_mremap, "grow large allocations", {ArgHasNot(3, ~uint64_t{MREMAP_MAYMOVE})}},
      {SYS_brk, "the allocator"},
      // glibc looks at vm.overcommit_memory before it first gives part of a heap back, and does
      // without when it cannot.
      {SYS_openat,
       "nothing can be opened; the allocator may ask",
       {IntArgIs(0, AT_FDCWD), IntArgIs(2, O_RDONLY | O_CLOEXEC)},
       EACCES},
      {SYS_madvise,
       "stacks of threads that ended; code that was needed to start only",
       {IntArgIs(2, MADV_DONTNEED)}},
      {SYS_fallocate,
       "give pages of the memory file back to the host",
       {IntArgIs(1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)}},
      {SYS_fallocate,
       "have the host make many pages of the memory file at once",
       {IntArgIs(1, FALLOC_FL_KEEP_SIZE)}},
  };
}

std::vector<SyscallRule> ThreadRules() {
  return {
      {SYS_clone3, "its flags are out of the filter's sight; the C library then uses clone", {}, ENOSYS},
      {SYS_clone, "a thread for a guest thread; no process, no namespace", {ArgIs(0, kThreadFlags)}},
      {SYS_set_robust_list, "each new thread tries; no lock here is robust", {}, ENOSYS},
      {SYS_rseq, "each new thread"},
      {SYS_exit, "a thread ends"},
      {SYS_exit_group, "the sandbox ends"},
      {SYS_futex, "wait for a word of this process", {IntArgIs(1, FUTEX_WAIT_PRIVATE)}},
      {SYS_futex, "wake waiters of a word of this process", {IntArgIs(1, FUTEX_WAKE_PRIVATE)}},
      {SYS_futex, "wait until a point in time", {IntArgIs(1, FUTEX_WAIT_BITSET_PRIVATE)}},
      {SYS_futex,
       "wait until a point in time of the wall clock",
       {IntArgIs(1, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME)}},
      {SYS_futex, "join a thread", {IntArgIs(1, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME)}},
      {SYS_sched_yield, "a lock that is about to be free, a task that waits for its turn"},
      {SYS_sched_getaffinity, "how many CPUs there are"},
      {SYS_rt_sigprocmask, "new threads, abort(3)"},
      {SYS_rt_sigaction, "abort(3), fault handlers"},
      {SYS_rt_sigreturn, "a fault in a copy from or to guest memory was handled"},
      {SYS_sigaltstack, "new threads that handle faults"},
      {SYS_tgkill, "abort(3) after a failed check", {IntArgIs(2, SIGABRT)}},
      {SYS_gettid, "abort(3), and who a thread is to the platform"},
      {SYS_getpid, "abort(3)"},
      {SYS_prctl, "names of threads", {IntArgIs(0, PR_SET_NAME)}},
      {SYS_restart_syscall, "a wait that a stop from outside interrupted"},
  };
}

std::vector<SyscallRule> TimeRules() {
  return {
      {SYS_clock_gettime, "clocks of CPU time, and all of them where the vDSO cannot tell"},
      {SYS_clock_nanosleep, "timers", {IntArgIs(0, CLOCK_MONOTONIC)}},
      {SYS_getrandom, "random bytes for the guest"},
  };
}

// Files are host descriptors that were given; nothing here opens one. Of calls that do the same in two ways
// one is allowed, and the Sentry's code uses no other.
std::vector<SyscallRule> FileRules() {
  return {
      {SYS_read, "what a signalfd or an eventfd says"},
      {SYS_write, "the log, an eventfd"},
      {SYS_writev, "the C library's last words before abort(3)", {}, EPERM},
      {SYS_preadv2, "standard streams, donated files: every read of a file"},
      {SYS_pwritev2, "standard streams, donated files: every write of a file"},
      {SYS_lseek, "standard streams that are files; holes of donated files"},
      {SYS_fstat, "what kind of file a descriptor is; sizes of donated files"},
      {SYS_ftruncate, "sizes of donated files; the memory file grows"},
      {SYS_fallocate, "space of donated files", {ArgBelow(1, 4)}},
      {SYS_fsync, "donated files"},
      {SYS_fdatasync, "donated files"},
      {SYS_close, "descriptors that are not needed any more"},
      {SYS_fcntl, "flags of a standard stream", {IntArgIs(1, F_GETFL)}},
      {SYS_poll, "whether a standard stream is ready; messages of the caller"},
      {SYS_epoll_create1, "the poller of standard streams", {IntArgIs(0, EPOLL_CLOEXEC)}},
      {SYS_epoll_ctl, "the poller of standard streams"},
      {SYS_epoll_wait, "the poller of standard streams"},
      {SYS_sendmsg, "requests to the Gofer; messages to the caller; standard streams that are sockets"},
      {SYS_recvmsg, "replies of the Gofer with the descriptors that it donates; messages of the caller"},
      {SYS_shutdown, "standard streams that are sockets"},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, TCGETS)}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, TCSETS)}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, TCSETSW)}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, TCSETSF)}},
      // TCGETS2, TCSETS2, TCSETSW2, TCSETSF2: their names are in a header at odds with <termios.h>.
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, static_cast<int>(0x802c542a))}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, 0x402c542b)}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, 0x402c542c)}},
      {SYS_ioctl, "a terminal's settings", {IntArgIs(1, 0x402c542d)}},
      {SYS_ioctl, "wait until a terminal's output is sent", {IntArgIs(1, TCSBRKP)}},
      {SYS_ioctl, "a terminal's size", {IntArgIs(1, TIOCGWINSZ)}},
      {SYS_ioctl, "a terminal's size", {IntArgIs(1, TIOCSWINSZ)}},
      {SYS_ioctl, "how much can be read", {IntArgIs(1, FIONREAD)}},
      {SYS_ioctl, "how much is not sent yet", {IntArgIs(1, TIOCOUTQ)}},
      {SYS_ioctl, "wait until a terminal's output is sent", {IntArgIs(1, TCSBRK)}},
      {SYS_ioctl, "stop and start a terminal's output", {IntArgIs(1, TCXONC)}},
      {SYS_ioctl, "drop what a terminal holds", {IntArgIs(1, TCFLSH)}},
  };
}

// Added unless there are no internet sockets (--network=off). A socket's family is checked here a second
// time.
std::vector<SyscallRule> HostSocketRules() {
  return {
      {SYS_socket, "an internet socket of the guest", {IntArgIs(0, AF_INET)}},
      {SYS_socket, "an internet socket of the guest", {IntArgIs(0, AF_INET6)}},
      {SYS_bind, "sockets of the guest"},
      {SYS_connect, "sockets of the guest"},
      {SYS_listen, "sockets of the guest"},
      {SYS_accept4, "sockets of the guest"},
      {SYS_ioctl, "where a socket's urgent byte is", {IntArgIs(1, SIOCATMARK)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFNAME)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFINDEX)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFFLAGS)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFADDR)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFNETMASK)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFBRDADDR)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFDSTADDR)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFHWADDR)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFMTU)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFTXQLEN)}},
      {SYS_ioctl, "what a network interface is", {IntArgIs(1, SIOCGIFMETRIC)}},
      {SYS_ioctl, "which network interfaces there are", {IntArgIs(1, SIOCGIFCONF)}},
      {SYS_getsockname, "sockets of the guest"},
      {SYS_getpeername, "sockets of the guest"},
      {SYS_getsockopt, "sockets of the guest"},
      {SYS_setsockopt, "sockets of the guest; the Sentry passes on a list of options only"},
  };
}

}  // namespace

std::vector<SeccompPolicy> SentrySeccompPolicies() {
  std::vector<SeccompPolicy> policies;
  for (bool ptrace : {true, false}) {
    SeccompPolicy policy{ptrace ? "SentryPtrace" : "SentrySystrap", {}};
    AddRules(policy, MemoryRules());
    AddRules(policy, ThreadRules());
    AddRules(policy, TimeRules());
    AddRules(policy, FileRules());
    AddRules(policy, StubPlatformRules());
    AddRules(policy, ptrace ? PtracePlatformRules() : SystrapPlatformRules());
    AddRules(policy, SanitizerRules());
    policies.push_back(policy);
    policy.name += "HostSockets";
    AddRules(policy, HostSocketRules());
    policies.push_back(std::move(policy));
  }
  return policies;
}

}  // namespace runsc
