#include "test/fuzz/syscalls/process.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>

#include "test/fuzz/syscalls/fuzzer.h"
#include "test/fuzz/syscalls/memory.h"

namespace {

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
Worker workers[kMaxThreads];

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
[[noreturn]] void Watch(int threads) {
  uint64_t seen[kMaxThreads] = {};
  for (;;) {
    usleep(5000);
    for (int i = 0; i < threads; ++i) {
      uint64_t steps = workers[i].steps.load();
      if (steps == seen[i]) syscall(SYS_tgkill, getpid(), workers[i].tid.load(), SIGUSR2);
      seen[i] = steps;
    }
  }
}

}  // namespace

void ProcessMain(uint64_t seed, int threads) {
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
  for (int i = 0; i < threads; ++i) {
    pthread_t thread;
    workers[i].seed = seed * 1000 + static_cast<uint64_t>(i);
    pthread_create(&thread, nullptr, ThreadMain, &workers[i]);
  }
  Watch(threads);
}
