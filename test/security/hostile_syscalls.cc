// Every system call with bad arguments: wild pointers, page edges, huge sizes, negative
// descriptors, random values. Run as the sandbox's init; never natively, for it would try
// all that on the host. The kernel has done well if the last line is printed.
//
// Usage: hostile_syscalls [SEED [ROUNDS]]; RUNSC_HOSTILE_ONLY=NUMBER for one system call.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace {

constexpr long kLast = 470;
constexpr int kFds = 26;
constexpr size_t kPage = 4096;
constexpr size_t kBuffer = 16 * kPage;

// What the parent sees of the child's progress.
struct Progress {
  std::atomic<uint64_t> calls;
  std::atomic<uint64_t> index;  // of the system call in `numbers`
  std::atomic<uint64_t> arguments[6];
};
Progress* progress;

uint64_t state;
uint64_t Random() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
uint64_t Random(uint64_t below) { return Random() % below; }
template <typename T>
T Pick(const std::vector<T>& from) {
  return from[Random(from.size())];
}

char* buffer;     // readable and writable, followed by a PROT_NONE page
char* read_only;  // one page
char* unmapped;   // a page that is not there
std::vector<uint64_t> bad_pointers, sizes, plausible;

void PrepareMemory() {
  char* area = static_cast<char*>(
      mmap(nullptr, kBuffer + 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  buffer = area;
  mprotect(area + kBuffer, kPage, PROT_NONE);
  read_only = area + kBuffer + kPage;
  mprotect(read_only, kPage, PROT_READ);
  unmapped = read_only + kPage;
  munmap(unmapped, kPage);
  auto u = [](const void* p) { return reinterpret_cast<uint64_t>(p); };
  bad_pointers = {0,
                  1,
                  8,
                  0xfff,
                  0x10000,
                  0x7fffffffffff,
                  0x7fffffffe000,
                  0x7ffffffff000,
                  0x7ffffffefff8,
                  0x800000000000,
                  0xffff800000000000,
                  0xffffffff81000000,
                  0xffffffffff600000,
                  0xfffffffffffff000,
                  ~uint64_t{0},
                  0x8000000000000000,
                  0xdead000000000000,
                  u(unmapped),
                  u(unmapped) - 1,
                  u(read_only),
                  u(read_only) + kPage - 1,
                  u(buffer) + kBuffer,
                  u(buffer) + kBuffer - 1,
                  u(buffer) + kBuffer - 4,
                  u(buffer) + kBuffer - 8,
                  u(buffer) + kBuffer - 15,
                  u(buffer) + kBuffer - 17};
  sizes = {~uint64_t{0},
           ~uint64_t{0} - 4095,
           0x7fffffff,
           0x80000000,
           0xffffffff,
           0x7ffff000,
           0x7fffffffffffffff,
           0x8000000000000000,
           0x100000000,
           0x7fffffffffff,
           uint64_t{1} << 40,
           static_cast<uint64_t>(-1),
           static_cast<uint64_t>(-100),
           65536,
           65537};
}

void Fill() {
  static const char* const kPaths[] = {
      "/tmp/h/file", "/tmp/h/dir",  "/proc/self/maps", ".",          "..",       "/",
      "/dev/null",   "/tmp/h/link", "/proc/self/fd/5", "/tmp/h/new", "/dev/shm", "/dev/ptmx"};
  // A few pages: random words, small words, pointers, paths.
  for (size_t i = 0; i < kBuffer / 8; ++i) {
    uint64_t value;
    switch (Random(6)) {
      case 0:
        value = Random();
        break;
      case 1:
        value = Random(32);
        break;
      case 2:
        value = reinterpret_cast<uint64_t>(buffer) + Random(kBuffer);
        break;
      case 3:
        value = Pick(bad_pointers);
        break;
      case 4:
        value = Pick(sizes);
        break;
      default:
        value = 0;
    }
    memcpy(buffer + 8 * i, &value, 8);
  }
  for (int i = 0; i < 12; ++i) strcpy(buffer + 256 * i, kPaths[i]);
  for (int i = 0; i < 4; ++i) strcpy(buffer + kBuffer - 20, "/tmp/h/file");
}

void PrepareFds() {
  auto put = [](int want, int fd) {
    if (fd < 0 || fd == want) return;
    dup2(fd, want);
    close(fd);
  };
  put(0, open("/dev/null", O_RDWR));
  put(1, open("/dev/null", O_RDWR));
  put(2, open("/dev/null", O_RDWR));
  int pair[2];
  if (pipe2(pair, Random(2) ? O_NONBLOCK : 0) == 0) put(5, pair[0]), put(6, pair[1]);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) put(7, pair[0]), put(8, pair[1]);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0) put(9, pair[0]), put(10, pair[1]);
  put(11, epoll_create1(0));
  put(12, timerfd_create(CLOCK_MONOTONIC, 0));
  put(13, open("/tmp/h", O_RDONLY | O_DIRECTORY));
  put(14, open("/dev/ptmx", O_RDWR | O_NOCTTY));
  put(15, static_cast<int>(syscall(SYS_memfd_create, "h", 2)));
  put(16, open("/proc/self/maps", O_RDONLY));
  put(17, open("/proc/self/mem", O_RDWR));
  put(18, open("/tmp/h/file", O_RDWR | O_CREAT, 0644));
  put(19, eventfd(1, 0));
  put(20, inotify_init1(IN_NONBLOCK));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  put(21, signalfd(-1, &set, SFD_NONBLOCK));
  put(22, socket(AF_UNIX, SOCK_DGRAM, 0));
  put(23, socket(AF_NETLINK, SOCK_RAW, 0));
  put(24, static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  put(25, open("/tmp/h", O_PATH));
}

bool IsSignalToPid(long number) {
  switch (number) {
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
      return true;
    default:
      return false;
  }
}

// Calls that can only end the child, or leave it unable to go on.
bool Skipped(long number) {
  return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn || number == SYS_vfork;
}

void OnSignal(int) {}

void Call(long number, uint64_t* a) {
  if (IsSignalToPid(number) && static_cast<int>(a[0]) < 2 && static_cast<int>(a[0]) > -100000)
    a[0] = static_cast<uint64_t>(getpid());
  if (number == SYS_clone && (a[0] & CLONE_VM) != 0)
    a[0] &= ~uint64_t{CLONE_VM | CLONE_SIGHAND | CLONE_THREAD};
  for (int i = 0; i < 6; ++i) progress->arguments[i].store(a[i], std::memory_order_relaxed);
  progress->calls.fetch_add(1, std::memory_order_relaxed);
  pid_t self = static_cast<pid_t>(syscall(SYS_getpid));
  syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (static_cast<pid_t>(syscall(SYS_getpid)) != self) syscall(SYS_exit_group, 0);
}

uint64_t Plausible() {
  switch (Random(8)) {
    case 0:
    case 1:
      return Random(kFds);
    case 2:
    case 3:
      return reinterpret_cast<uint64_t>(buffer) + 256 * Random(16);
    case 4:
      return reinterpret_cast<uint64_t>(buffer) + Random(kBuffer);
    case 5:
      return Random(9);
    case 6:
      return uint64_t{1} << Random(33);
    default:
      return kPage;
  }
}

uint64_t Anything() {
  switch (Random(8)) {
    case 0:
      return Pick(bad_pointers);
    case 1:
      return Pick(sizes);
    case 2:
      return Random();
    case 3:
      return Random() & 0xffff;
    default:
      return Plausible();
  }
}

void StartTimer() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  for (int signal = 1; signal < 32; ++signal) {
    if (signal != SIGSEGV && signal != SIGBUS && signal != SIGILL) sigaction(signal, &action, nullptr);
  }
  itimerval every = {{0, 3000}, {0, 3000}};
  setitimer(ITIMER_REAL, &every, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<long> Numbers() {
  std::vector<long> numbers;
  if (const char* only = getenv("RUNSC_HOSTILE_ONLY")) return {atol(only)};
  for (long number = 0; number <= kLast; ++number) {
    if (Skipped(number)) continue;
    const char* skip = getenv("RUNSC_HOSTILE_SKIP");  // "56,435,": while looking for one fault behind another
    char text[32];
    snprintf(text, sizeof(text), "%ld,", number);
    if (skip == nullptr || strstr(skip, text) == nullptr) numbers.push_back(number);
  }
  for (long number : {512L, 520L, 547L, 1000L, 0xffffL, -1L, -4096L, 0x40000000L, 0x40000001L, 0x7fffffffL,
                      long(0x80000000), long(0x100000000), long(0x8000000000000000), 0x7fffffffffffffffL})
    numbers.push_back(number);
  return numbers;
}

// The child: from `start` on, until the end or its own.
[[noreturn]] void Child(const std::vector<long>& numbers, size_t start, uint64_t seed, int round, bool root) {
  state = seed * 0x9e3779b97f4a7c15 + start * 7919 + static_cast<uint64_t>(round) + 1;
  setsid();
  mkdir("/tmp/h", 0777);
  mkdir("/tmp/h/dir", 0777);
  (void)!symlink("file", "/tmp/h/link");
  (void)!chdir("/tmp/h");
  PrepareFds();
  PrepareMemory();
  Fill();
  rlimit cpu = {2, 3}, size = {64 << 20, 64 << 20};
  setrlimit(RLIMIT_CPU, &cpu);
  setrlimit(RLIMIT_FSIZE, &size);
  unshare(CLONE_NEWNS | CLONE_NEWUTS);
  if (!root) (void)!syscall(SYS_setresuid, 65534, 65534, 65534);
  StartTimer();
  for (size_t i = start; i < numbers.size(); ++i) {
    progress->index.store(i, std::memory_order_relaxed);
    long number = numbers[i];
    if (round == 0) {
      for (int position = 0; position < 6; ++position) {
        std::vector<uint64_t> values = bad_pointers;
        values.insert(values.end(), sizes.begin(), sizes.end());
        for (uint64_t value : values) {
          uint64_t a[6];
          for (uint64_t& argument : a) argument = Plausible();
          a[position] = value;
          Call(number, a);
        }
      }
    } else {
      for (int turn = 0; turn < 40; ++turn) {
        uint64_t a[6];
        for (uint64_t& argument : a) argument = Anything();
        Call(number, a);
      }
    }
    if (Random(16) == 0) StartTimer();
    if (Random(32) == 0) PrepareFds();
  }
  syscall(SYS_exit_group, 0);
  __builtin_unreachable();
}

void KillAll() {
  kill(-1, SIGKILL);
  for (;;) {
    pid_t pid = waitpid(-1, nullptr, __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return;
  }
}

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

}  // namespace

int main(int argc, char** argv) {
  if (getpid() != 1) {
    puts("skipped: only as init of a sandbox");
    return 77;
  }
  uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 0) : 1;
  int rounds = argc > 2 ? atoi(argv[2]) : 3;
  progress =
      static_cast<Progress*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  bool verbose = getenv("RUNSC_HOSTILE_VERBOSE") != nullptr;
  std::vector<long> numbers = Numbers();
  int children = 0, stuck = 0, died = 0;
  for (int round = 0; round < rounds; ++round) {
    size_t start = 0;
    while (start < numbers.size()) {
      ++children;
      progress->index.store(start);
      pid_t child = fork();
      if (child == 0) Child(numbers, start, seed, round, round % 2 == 0);
      if (child < 0) {
        perror("fork");
        return 1;
      }
      uint64_t seen = progress->calls.load();
      int64_t since = Now();
      int status = 0;
      bool ended = false;
      while (!ended) {
        pid_t waited = waitpid(child, &status, WNOHANG | __WALL);
        ended = waited == child || waited < 0;
        if (ended) break;
        timespec pause = {0, 2'000'000};
        nanosleep(&pause, nullptr);
        if (progress->calls.load() != seen) {
          seen = progress->calls.load();
          since = Now();
        } else if (Now() - since > 400) {
          break;
        }
      }
      size_t at = progress->index.load();
      bool complete = ended && WIFEXITED(status) && at + 1 == numbers.size();
      if (!ended) ++stuck;
      if (ended && !complete) ++died;
      if (verbose && !complete) {
        printf("round %d: call %ld %s (status %#x), arguments", round, numbers[at],
               ended ? "ended it" : "blocks", status);
        for (auto& argument : progress->arguments) printf(" %#lx", argument.load());
        printf("\n");
        fflush(stdout);
      }
      KillAll();
      start = at + 1;
    }
    if (verbose) printf("round %d done\n", round), fflush(stdout);
  }
  printf("survived: %lu calls in %d processes, of which %d died and %d stayed blocked\n",
         static_cast<unsigned long>(progress->calls.load()), children, died, stuck);
  return 0;
}
