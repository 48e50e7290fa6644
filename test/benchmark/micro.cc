// The operations that a sandbox makes dear, each timed in batches: a plain static program
// that run.py starts natively, in runsc and in a peer. Prints "name min median", nanoseconds an operation.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

namespace {

int64_t Now() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000LL + ts.tv_nsec;
}

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

const char* g_filter = nullptr;

// `body(n)` does the operation n times. Seven batches of about 30 ms each.
void Measure(const char* name, const std::function<void(int)>& body, int first_batch = 16) {
  if (g_filter != nullptr && strstr(name, g_filter) == nullptr) return;
  int count = first_batch;
  for (;;) {
    int64_t start = Now();
    body(count);
    int64_t took = Now() - start;
    if (took > 20'000'000 || count > 1 << 20) break;
    count *= 2;
  }
  std::vector<double> batches;
  for (int i = 0; i < 7; i++) {
    int64_t start = Now();
    body(count);
    batches.push_back(double(Now() - start) / count);
  }
  std::sort(batches.begin(), batches.end());
  printf("%-22s %12.0f %12.0f\n", name, batches[0], batches[3]);
  fflush(stdout);
}

void PipePingPong() {
  int to[2], from[2];
  if (pipe(to) != 0 || pipe(from) != 0) Die("pipe");
  pid_t child = fork();
  if (child == 0) {
    close(to[1]);
    char byte;
    while (read(to[0], &byte, 1) == 1) {
      if (write(from[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }
  close(to[0]);
  Measure("pipe-ping-pong", [&](int n) {
    char byte = 0;
    for (int i = 0; i < n; i++) {
      if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1) Die("ping-pong");
    }
  });
  close(to[1]);
  waitpid(child, nullptr, 0);
  close(from[0]);
  close(from[1]);
}

void SocketPingPong() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) Die("socketpair");
  pid_t child = fork();
  if (child == 0) {
    close(fds[0]);
    char byte;
    while (read(fds[1], &byte, 1) == 1) {
      if (write(fds[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }
  close(fds[1]);
  Measure("socket-ping-pong", [&](int n) {
    char byte = 0;
    for (int i = 0; i < n; i++) {
      if (write(fds[0], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1) Die("ping-pong");
    }
  });
  close(fds[0]);
  waitpid(child, nullptr, 0);
}

std::atomic<uint32_t> g_turn{0};
void Futex(int operation, uint32_t value) {
  syscall(SYS_futex, &g_turn, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}
void FutexPingPong() {
  std::atomic<bool> stop{false};
  pthread_t thread;
  auto partner = [](void* argument) -> void* {
    auto* stop_flag = static_cast<std::atomic<bool>*>(argument);
    for (;;) {
      while (g_turn.load() != 1) {
        if (stop_flag->load()) return nullptr;
        Futex(FUTEX_WAIT, 0);
      }
      g_turn = 0;
      Futex(FUTEX_WAKE, 1);
    }
  };
  if (pthread_create(&thread, nullptr, partner, &stop) != 0) Die("pthread_create");
  Measure("futex-ping-pong", [&](int n) {
    for (int i = 0; i < n; i++) {
      g_turn = 1;
      Futex(FUTEX_WAKE, 1);
      while (g_turn.load() != 0) Futex(FUTEX_WAIT, 1);
    }
  });
  stop = true;
  g_turn = 2;
  Futex(FUTEX_WAKE, 1);
  pthread_join(thread, nullptr);
}

// The file operations in one directory: `place` names it in the rows.
void Files(const std::string& place, const std::string& directory) {
  auto row = [&](const char* operation) { return place + ":" + operation; };
  const std::string top = directory + "/runsc-benchmark";
  const std::string file = top + "/file";
  std::string deep = top;
  mkdir(top.c_str(), 0700);
  for (int i = 0; i < 16; i++) mkdir((deep += "/level" + std::to_string(i)).c_str(), 0700);
  int fd = open(file.c_str(), O_CREAT | O_RDWR, 0600);
  if (fd < 0) Die(file.c_str());
  static char buffer[65536];
  for (int i = 0; i < 16; i++) {
    if (pwrite(fd, buffer, sizeof buffer, i * sizeof buffer) != sizeof buffer) Die("pwrite");
  }
  auto stat_of = [](const std::string& path) {
    return [path](int n) {
      struct stat st;
      for (int i = 0; i < n; i++) {
        if (stat(path.c_str(), &st) != 0) Die("stat");
      }
    };
  };
  Measure(row("stat").c_str(), stat_of(file));
  Measure(row("deep-walk").c_str(), stat_of(deep));
  Measure(row("open+close").c_str(), [&](int n) {
    for (int i = 0; i < n; i++) close(open(file.c_str(), O_RDONLY));
  });
  Measure(row("pread-4k").c_str(), [&](int n) {
    for (int i = 0; i < n; i++) {
      if (pread(fd, buffer, 4096, (i & 255) * 4096) != 4096) Die("pread");
    }
  });
  Measure(row("pwrite-4k").c_str(), [&](int n) {
    for (int i = 0; i < n; i++) {
      if (pwrite(fd, buffer, 4096, (i & 255) * 4096) != 4096) Die("pwrite");
    }
  });
  close(fd);
  const std::string many = top + "/many";
  Measure(
      row("getdents-10k").c_str(),
      [&](int n) {
        if (mkdir(many.c_str(), 0700) == 0) {
          for (int i = 0; i < 10000; i++) {
            close(open((many + "/entry" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0600));
          }
        }
        for (int i = 0; i < n; i++) {
          int list = open(many.c_str(), O_RDONLY | O_DIRECTORY);
          while (syscall(SYS_getdents64, list, buffer, 32768) > 0) {
          }
          close(list);
        }
      },
      1);
}

// The whole of one thing, `rounds` times: for what takes too long for batches.
void MeasureOnce(const char* name, int rounds, const std::function<int64_t()>& body) {
  if (g_filter != nullptr && strstr(name, g_filter) == nullptr) return;
  std::vector<int64_t> took;
  for (int i = 0; i < rounds; i++) took.push_back(body());
  std::sort(took.begin(), took.end());
  printf("%-22s %12.0f %12.0f\n", name, double(took[0]), double(took[rounds / 2]));
  fflush(stdout);
}

char* Touch(size_t length) {
  auto* p =
      static_cast<char*>(mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (p == MAP_FAILED) Die("mmap");
  for (size_t i = 0; i < length; i += 4096) p[i] = 1;
  return p;
}

void BigMemory() {
  constexpr size_t kFaulted = 1 << 30, kForked = 500 << 20;
  MeasureOnce("faults-1GB", 3, [] {
    int64_t start = Now();
    char* p = Touch(kFaulted);
    int64_t took = Now() - start;
    munmap(p, kFaulted);
    return took;
  });
  if (g_filter != nullptr && strstr("fork-500MB", g_filter) == nullptr) return;
  char* p = Touch(kForked);
  MeasureOnce("fork-500MB", 5, [] {
    int64_t start = Now();
    pid_t child = fork();
    if (child == 0) _exit(0);
    int64_t took = Now() - start;
    waitpid(child, nullptr, 0);
    return took;
  });
  munmap(p, kForked);
}

pid_t Spawn(char* const* argv) {
  pid_t child = vfork();
  if (child != 0) return child;
  execv(argv[0], argv);
  _exit(127);
}

void Exec(const char* row, const std::vector<const char*>& argv) {
  Measure(
      row,
      [&](int n) {
        for (int i = 0; i < n; i++) {
          pid_t child = Spawn(const_cast<char* const*>(argv.data()));
          int status = 0;
          if (child < 0 || waitpid(child, &status, 0) != child || status != 0) Die(row);
        }
      },
      1);
}

}  // namespace

// micro [FILTER] [PLACE=DIRECTORY...]
int main(int argc, char** argv) {
  if (argc > 1 && *argv[1] != 0) g_filter = argv[1];
  if (argc > 2 && strcmp(argv[2], "exit") == 0) return 0;

  Measure("getpid", [](int n) {
    for (int i = 0; i < n; i++) syscall(SYS_getpid);
  });
  int zero = open("/dev/zero", O_RDONLY);
  if (zero >= 0) {
    Measure("read-dev-zero", [&](int n) {
      char byte;
      for (int i = 0; i < n; i++) {
        if (read(zero, &byte, 1) != 1) Die("read /dev/zero");
      }
    });
  }
  {
    int fds[2];
    if (pipe(fds) != 0) Die("pipe");
    Measure("pipe-write+read", [&](int n) {
      char byte = 0;
      for (int i = 0; i < n; i++) {
        if (write(fds[1], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1) Die("pipe");
      }
    });
  }
  Measure("stat", [](int n) {
    struct stat st;
    for (int i = 0; i < n; i++) {
      if (stat("/etc/passwd", &st) != 0) Die("stat");
    }
  });
  Measure("open+close", [](int n) {
    for (int i = 0; i < n; i++) {
      int fd = open("/etc/passwd", O_RDONLY);
      if (fd < 0) Die("open");
      close(fd);
    }
  });
  {
    int fd = open("/etc/passwd", O_RDONLY);
    char buffer[1024];
    Measure("pread-1k", [&](int n) {
      for (int i = 0; i < n; i++) {
        if (pread(fd, buffer, sizeof buffer, 0) <= 0) Die("pread");
      }
    });
    close(fd);
  }
  Measure("create+unlink", [](int n) {
    for (int i = 0; i < n; i++) {
      int fd = open("/tmp/runsc-benchmark-file", O_CREAT | O_WRONLY | O_EXCL, 0600);
      if (fd < 0) Die("create");
      close(fd);
      unlink("/tmp/runsc-benchmark-file");
    }
  });
  Measure("mmap+touch+munmap", [](int n) {
    for (int i = 0; i < n; i++) {
      auto* p = static_cast<char*>(
          mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      if (p == MAP_FAILED) Die("mmap");
      for (int page = 0; page < 4; page++) p[page * 4096] = 1;
      munmap(p, 16384);
    }
  });
  Measure("page-fault", [](int n) {
    size_t length = size_t(n) * 4096;
    auto* p =
        static_cast<char*>(mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (p == MAP_FAILED) Die("mmap");
    for (int i = 0; i < n; i++) p[size_t(i) * 4096] = 1;
    munmap(p, length);
  });
  Measure("thread-create+join", [](int n) {
    for (int i = 0; i < n; i++) {
      pthread_t thread;
      if (pthread_create(
              &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) != 0)
        Die("pthread_create");
      pthread_join(thread, nullptr);
    }
  });
  Measure(
      "fork+wait",
      [](int n) {
        for (int i = 0; i < n; i++) {
          pid_t child = fork();
          if (child == 0) _exit(0);
          if (child < 0 || waitpid(child, nullptr, 0) != child) Die("fork");
        }
      },
      1);
  Exec("fork+exec+wait", {"/proc/self/exe", "none", "exit", nullptr});
  if (access("/usr/bin/python3", X_OK) == 0) {
    Exec("exec-python3", {"/usr/bin/python3", "-I", "-S", "-c", "pass", nullptr});
  }
  BigMemory();
  for (int i = 2; i < argc; i++) {
    const std::string place = argv[i];
    size_t equals = place.find('=');
    if (equals != std::string::npos) Files(place.substr(0, equals), place.substr(equals + 1));
  }
  PipePingPong();
  SocketPingPong();
  FutexPingPong();
  Measure("cpu-bound", [](int n) {
    for (int i = 0; i < n; i++) {
      uint64_t x = 88172645463325252ULL;
      for (int j = 0; j < 100000; j++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
      }
      volatile uint64_t sink = x;
      (void)sink;
    }
  });
}
