// Random system calls with arguments that make some sense (descriptors that are open, structures that are
// filled in, flags of the call's own kind, addresses in use), from several processes of several threads
// that share memory and descriptors. Where hostile_syscalls tries each call's bad arguments by itself, this
// looks for what calls do to each other. A plain static program: the sandbox's init, never run natively.
//
// Usage: syscall_fuzzer [SEED [SECONDS [PROCESSES [THREADS]]]]
// The kernel has done well if the last line is printed. With one process and one thread a seed always gives
// the same calls.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "test/fuzz/syscalls/memory.h"
#include "test/fuzz/syscalls/process.h"

namespace {

constexpr int kMaxProcesses = 8;
constexpr uint64_t kSliceMilliseconds = 700;  // how long a process may live

int slice_processes, slice_threads;

uint64_t Milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

// A slice is some processes that live for a moment, each replaced when it dies early; then everything is
// killed, whatever it has become. Returns the next seed.
uint64_t RunSlice(uint64_t seed) {
  uint64_t end = Milliseconds() + kSliceMilliseconds;
  pid_t children[kMaxProcesses] = {};
  auto start = [&](pid_t* child) {
    *child = fork();
    if (*child == 0) ProcessMain(seed, slice_threads);
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

void MapMemory() {
  int flags = MAP_SHARED | MAP_ANONYMOUS;
  counters = static_cast<Counters*>(mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, flags, -1, 0));
  arena = static_cast<char*>(mmap(nullptr, kArena + kPage, PROT_READ | PROT_WRITE, flags, -1, 0));
  munmap(arena + kArena, kPage);
  scratch = static_cast<char*>(
      mmap(nullptr, kScratch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 0) : 1;
  uint64_t seconds = argc > 2 ? strtoull(argv[2], nullptr, 0) : 10;
  slice_processes = argc > 3 ? std::min(atoi(argv[3]), kMaxProcesses) : 2;
  slice_threads = argc > 4 ? std::min(atoi(argv[4]), kMaxThreads) : 3;
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
  MapMemory();
  uint64_t end = Milliseconds() + seconds * 1000;
  uint64_t slices = 0;
  while (Milliseconds() < end) {
    printf("seed %lu\n", seed);
    seed = RunSlice(seed);
    ++slices;
  }
  uint64_t kinds = 0;
  for (auto& count : counters->per_call) kinds += count.load() != 0 ? 1 : 0;
  printf("%lu calls of %lu kinds in %lu slices: the kernel is still there\n", counters->calls.load(), kinds,
         slices);
  return 0;
}
