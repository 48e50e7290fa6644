// proc(5): what programs read of themselves, of others and of the system.
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <map>
#include <set>
#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

std::string ReadFile(const std::string& name) {
  int fd = open(name.c_str(), O_RDONLY);
  if (fd < 0) return "cannot open " + name;
  std::string text;
  char data[1000];
  ssize_t got;
  while ((got = read(fd, data, sizeof(data))) > 0) text.append(data, got);
  close(fd);
  return text;
}

std::string ReadLink(const std::string& name) {
  char data[4096];
  ssize_t got = readlink(name.c_str(), data, sizeof(data));
  return got < 0 ? "cannot read " + name : std::string(data, got);
}

std::set<std::string> List(const std::string& name) {
  std::set<std::string> names;
  DIR* directory = opendir(name.c_str());
  if (directory == nullptr) return names;
  while (dirent* entry = readdir(directory)) names.insert(entry->d_name);
  closedir(directory);
  return names;
}

// "Key:  value" lines.
std::map<std::string, std::string> Fields(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    size_t start = line.find_first_not_of(" \t", colon + 1);
    std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    fields[key] = start == std::string::npos ? "" : line.substr(start);
  }
  return fields;
}

std::string Pid() { return std::to_string(getpid()); }

TEST(self) {
  EXPECT_EQ(ReadLink("/proc/self"), Pid());
  EXPECT_EQ(ReadLink("/proc/thread-self"), Pid() + "/task/" + std::to_string(gettid()));
  std::string tid;
  std::thread([&tid] {
    tid = std::to_string(gettid());
    EXPECT_EQ(ReadLink("/proc/thread-self"), Pid() + "/task/" + tid);
    EXPECT_EQ(List("/proc/self/task").count(tid), 1u);
    EXPECT_EQ(ReadFile("/proc/" + tid + "/status").substr(0, 5), "Name:");
    EXPECT_EQ(List("/proc").count(tid), 0u);
  }).join();
  EXPECT_EQ(List("/proc").count(Pid()), 1u);
}

TEST(gone_with_the_process) {
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  pid_t child = Fork([&] {
    char byte;
    close(pipe_fds[1]);
    read(pipe_fds[0], &byte, 1);
  });
  std::string directory = "/proc/" + std::to_string(child);
  int fd = ASSERT_OK(open(directory.c_str(), O_RDONLY | O_DIRECTORY));
  int stat_fd = ASSERT_OK(openat(fd, "stat", O_RDONLY));
  EXPECT_OK(access(directory.c_str(), F_OK));
  close(pipe_fds[1]);
  siginfo_t info;
  EXPECT_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
  std::string text = ReadFile(directory + "/stat");
  EXPECT_NE(text.find(") Z "), std::string::npos);
  EXPECT_EQ(ReadFile(directory + "/cmdline"), "");
  WaitFor(child);
  EXPECT_ERRNO(access(directory.c_str(), F_OK), ENOENT);
  EXPECT_EQ(openat(fd, "comm", O_RDONLY), -1);
  EXPECT_TRUE(errno == ESRCH || errno == ENOENT);  // both are seen, by what is cached
  char byte;
  EXPECT_ERRNO(read(stat_fd, &byte, 1), ESRCH);
}

TEST(stat) {
  ASSERT_OK(prctl(PR_SET_NAME, "odd) name (x"));
  std::string text = ReadFile("/proc/self/stat");
  std::string head = Pid() + " (odd) name (x) R " + std::to_string(getppid()) + " " +
                     std::to_string(getpgrp()) + " " + std::to_string(getsid(0)) + " ";
  EXPECT_EQ(text.substr(0, head.size()), head);
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::vector<std::string> fields;
  std::string field;
  while (rest >> field) fields.push_back(field);
  ASSERT_EQ(fields.size(), 50u);
  EXPECT_EQ(fields[17], "1");              // threads
  EXPECT_EQ(fields[35], "17");             // exit signal
  EXPECT_NE(fields[20], "0");              // vsize
  EXPECT_GE(std::stoull(fields[21]), 1u);  // rss
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(ReadFile("/proc/self/comm"), "odd) name (x\n");
}

TEST(comm_can_be_written) {
  int fd = ASSERT_OK(open("/proc/self/comm", O_RDWR));
  EXPECT_EQ(write(fd, "a-name-that-is-too-long", 23), 23);
  char name[16];
  EXPECT_OK(prctl(PR_GET_NAME, name));
  EXPECT_EQ(std::string(name), "a-name-that-is-");
}

TEST(status) {
  std::map<std::string, std::string> status = Fields(ReadFile("/proc/self/status"));
  EXPECT_EQ(status["Pid"], Pid());
  EXPECT_EQ(status["Tgid"], Pid());
  EXPECT_EQ(status["PPid"], std::to_string(getppid()));
  EXPECT_EQ(status["TracerPid"], "0");
  EXPECT_EQ(status["State"], "R (running)");
  EXPECT_EQ(status["Threads"], "1");
  std::string uid = std::to_string(getuid());
  EXPECT_EQ(status["Uid"], uid + "\t" + uid + "\t" + uid + "\t" + uid);
  EXPECT_EQ(status["SigQ"].find('/') != std::string::npos, true);
  EXPECT_NE(status["VmRSS"].find(" kB"), std::string::npos);
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, [](int) {});
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  status = Fields(ReadFile("/proc/self/status"));
  EXPECT_EQ(std::stoull(status["SigBlk"], nullptr, 16), 1ull << (SIGTERM - 1));
  EXPECT_TRUE((std::stoull(status["SigIgn"], nullptr, 16) >> (SIGUSR1 - 1) & 1) != 0);
  EXPECT_TRUE((std::stoull(status["SigCgt"], nullptr, 16) >> (SIGUSR2 - 1) & 1) != 0);
}

TEST(command_line_and_environment) {
  std::string own = ReadFile("/proc/self/cmdline");
  EXPECT_EQ(own.back(), '\0');
  std::string environment = ReadFile("/proc/self/environ");
  EXPECT_EQ(environment.empty() || environment.back() == '\0', true);
  struct stat stat;
  EXPECT_OK(::stat("/proc/self/environ", &stat));
  EXPECT_EQ(stat.st_mode & 07777, 0400u);
}

TEST(links) {
  char cwd[4096];
  ASSERT_TRUE(getcwd(cwd, sizeof(cwd)) != nullptr);
  EXPECT_EQ(ReadLink("/proc/self/cwd"), cwd);
  EXPECT_EQ(ReadLink("/proc/self/root"), "/");
  std::string exe = ReadLink("/proc/self/exe");
  struct stat a, b;
  EXPECT_OK(stat(exe.c_str(), &a));
  EXPECT_OK(stat("/proc/self/exe", &b));
  EXPECT_EQ(a.st_ino, b.st_ino);
  EXPECT_EQ(a.st_dev, b.st_dev);
  EXPECT_OK(lstat("/proc/self/exe", &b));
  EXPECT_TRUE(S_ISLNK(b.st_mode));
  EXPECT_EQ(ReadLink("/proc/self/ns/pid").substr(0, 5), "pid:[");
  EXPECT_EQ(ReadLink("/proc/mounts"), "self/mounts");
  EXPECT_EQ(ReadLink("/proc/net"), "self/net");
}

// Of the namespaces of a task that has ended only those are left that its number and its credentials are
// from, and they are files like any other.
TEST(namespaces_of_a_zombie) {
  pid_t child = fork();
  ASSERT_OK(child);
  if (child == 0) _exit(0);
  siginfo_t info;
  ASSERT_OK(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));
  const std::string base = "/proc/" + std::to_string(child) + "/ns/";
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid_for_children", "time", "uts"}) {
    char data[100];
    EXPECT_ERRNO(readlink((base + name).c_str(), data, sizeof(data)), ENOENT);
    EXPECT_ERRNO(open((base + name).c_str(), O_RDONLY), ENOENT);
  }
  for (const char* name : {"pid", "user"}) {
    EXPECT_EQ(ReadLink(base + name), ReadLink(std::string("/proc/self/ns/") + name));
    int fd = open((base + name).c_str(), O_RDONLY);
    ASSERT_OK(fd);
    EXPECT_ERRNO(fchmod(fd, 0600), EPERM);
    EXPECT_ERRNO(futimens(fd, nullptr), EPERM);
    struct statfs filesystem;
    EXPECT_OK(fstatfs(fd, &filesystem));
    EXPECT_EQ(static_cast<long>(filesystem.f_type), NSFS_MAGIC);
    EXPECT_OK(syncfs(fd));
    close(fd);
  }
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST(descriptors) {
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  std::string base = "/proc/self/fd/";
  std::string read_end = base + std::to_string(pipe_fds[0]);
  struct stat stat, link;
  EXPECT_OK(fstat(pipe_fds[0], &stat));
  EXPECT_EQ(ReadLink(read_end), "pipe:[" + std::to_string(stat.st_ino) + "]");
  EXPECT_OK(lstat(read_end.c_str(), &link));
  EXPECT_EQ(link.st_mode, S_IFLNK | 0500);
  EXPECT_OK(lstat((base + std::to_string(pipe_fds[1])).c_str(), &link));
  EXPECT_EQ(link.st_mode, S_IFLNK | 0300);
  int sockets[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  EXPECT_OK(fstat(sockets[0], &stat));
  EXPECT_EQ(ReadLink(base + std::to_string(sockets[0])), "socket:[" + std::to_string(stat.st_ino) + "]");
  EXPECT_ERRNO(open((base + std::to_string(sockets[0])).c_str(), O_RDWR), ENXIO);
  // A pipe's end can be opened anew, in the other direction too.
  int writer = ASSERT_OK(open(read_end.c_str(), O_WRONLY));
  EXPECT_EQ(write(writer, "x", 1), 1);
  char byte;
  EXPECT_EQ(read(pipe_fds[0], &byte, 1), 1);
  close(writer);
  // Gone at once when closed.
  close(pipe_fds[0]);
  EXPECT_ERRNO(lstat(read_end.c_str(), &link), ENOENT);
  std::string name = "/tmp/runsc-test-proc-" + Pid();
  int file = ASSERT_OK(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(write(file, "12345", 5), 5);
  EXPECT_EQ(ReadLink(base + std::to_string(file)), name);
  unlink(name.c_str());
  EXPECT_EQ(ReadLink(base + std::to_string(file)), name + " (deleted)");
  // Opened through the link, though it has no name any more.
  int again = ASSERT_OK(open((base + std::to_string(file)).c_str(), O_RDONLY));
  EXPECT_EQ(read(again, &byte, 1), 1);
  EXPECT_EQ(byte, '1');
  std::map<std::string, std::string> info = Fields(ReadFile("/proc/self/fdinfo/" + std::to_string(file)));
  EXPECT_EQ(info["pos"], "5");
  EXPECT_EQ(std::stoul(info["flags"], nullptr, 8) & (O_ACCMODE | O_CLOEXEC), O_RDWR | O_CLOEXEC);
  std::set<std::string> names = List("/proc/self/fd");
  EXPECT_EQ(names.count(std::to_string(file)), 1u);
  EXPECT_EQ(names.count("9999"), 0u);
}

TEST(maps) {
  long page = sysconf(_SC_PAGESIZE);
  char* memory =
      static_cast<char*>(mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_TRUE(memory != MAP_FAILED);
  mprotect(memory + page, page, PROT_NONE);
  memory[0] = 1;
  char line[64];
  snprintf(line, sizeof(line), "%08lx-%08lx ---p 00000000 00:00 0 ",
           reinterpret_cast<unsigned long>(memory + page),
           reinterpret_cast<unsigned long>(memory + 2 * page));
  std::string maps = ReadFile("/proc/self/maps");
  EXPECT_NE(maps.find(line), std::string::npos);
  EXPECT_NE(maps.find("[stack]\n"), std::string::npos);
  EXPECT_NE(maps.find(" " + ReadLink("/proc/self/exe") + "\n"), std::string::npos);
  std::string first = maps.substr(0, maps.find('\n'));
  EXPECT_EQ(first.find('/'), 73u);
  std::string smaps = ReadFile("/proc/self/smaps");
  EXPECT_NE(smaps.find("\nVmFlags: rd"), std::string::npos);
  // /proc/self/mem reads at addresses.
  int fd = ASSERT_OK(open("/proc/self/mem", O_RDWR));
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, reinterpret_cast<off_t>(memory)), 1);
  EXPECT_EQ(byte, 1);
  byte = 9;
  EXPECT_EQ(pwrite(fd, &byte, 1, reinterpret_cast<off_t>(memory)), 1);
  EXPECT_EQ(memory[0], 9);
  EXPECT_ERRNO(pread(fd, &byte, 1, 16), EIO);
}

TEST(limits) {
  rlimit limit{123, 456};
  ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
  std::string text = ReadFile("/proc/self/limits");
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "Limit                     Soft Limit           Hard Limit           Units     ");
  EXPECT_NE(text.find("Max open files            123                  456                  files     \n"),
            std::string::npos);
}

TEST(auxv_and_io) {
  std::string auxv = ReadFile("/proc/self/auxv");
  ASSERT_EQ(auxv.size() % 16, 0u);
  bool found = false;
  for (size_t i = 0; i + 16 <= auxv.size(); i += 16) {
    unsigned long entry[2];
    memcpy(entry, auxv.data() + i, sizeof(entry));
    found = found || (entry[0] == AT_PAGESZ && entry[1] == 4096);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(Fields(ReadFile("/proc/self/io")).count("rchar"), 1u);
}

TEST(oom_score_adj) {
  int fd = ASSERT_OK(open("/proc/self/oom_score_adj", O_RDWR));
  EXPECT_EQ(write(fd, "500\n", 4), 4);
  EXPECT_EQ(ReadFile("/proc/self/oom_score_adj"), "500\n");
  EXPECT_ERRNO(write(fd, "1001", 4), EINVAL);
  EXPECT_ERRNO(write(fd, "x", 1), EINVAL);
}

TEST(mounts) {
  std::string mounts = ReadFile("/proc/self/mounts");
  EXPECT_NE(mounts.find(" / "), std::string::npos);
  EXPECT_NE(mounts.find(" /proc proc "), std::string::npos);
  std::string info = ReadFile("/proc/self/mountinfo");
  EXPECT_NE(info.find(" / /proc "), std::string::npos);
  EXPECT_NE(info.find(" - proc "), std::string::npos);
}

TEST(system) {
  std::map<std::string, std::string> memory = Fields(ReadFile("/proc/meminfo"));
  for (const char* key : {"MemTotal", "MemFree", "MemAvailable", "SwapTotal"})
    EXPECT_NE(memory[key].find(" kB"), std::string::npos);
  EXPECT_GT(std::stoull(memory["MemTotal"]), 0u);
  std::map<std::string, std::string> cpu = Fields(ReadFile("/proc/cpuinfo"));
  for (const char* key : {"processor", "vendor_id", "model name", "flags", "cpu MHz"})
    EXPECT_EQ(cpu.count(key), 1u);
  EXPECT_NE((" " + cpu["flags"] + " ").find(" sse2 "), std::string::npos);
  std::string stat = ReadFile("/proc/stat");
  EXPECT_EQ(stat.substr(0, 5), "cpu  ");
  EXPECT_NE(stat.find("\nbtime "), std::string::npos);
  EXPECT_NE(ReadFile("/proc/uptime").find('.'), std::string::npos);
  int running = 0, total = 0, last = 0;
  double loads[3];
  EXPECT_EQ(sscanf(ReadFile("/proc/loadavg").c_str(), "%lf %lf %lf %d/%d %d", &loads[0], &loads[1], &loads[2],
                   &running, &total, &last),
            6);
  EXPECT_EQ(ReadFile("/proc/version").substr(0, 14), "Linux version ");
  EXPECT_NE(ReadFile("/proc/filesystems").find("nodev\tproc\n"), std::string::npos);
  EXPECT_NE(ReadFile("/proc/net/dev").find("    lo:"), std::string::npos);
  EXPECT_EQ(ReadFile("/proc/net/unix").substr(0, 4), "Num ");
}

TEST(sysctls) {
  utsname names;
  ASSERT_OK(uname(&names));
  EXPECT_EQ(ReadFile("/proc/sys/kernel/osrelease"), std::string(names.release) + "\n");
  EXPECT_EQ(ReadFile("/proc/sys/kernel/hostname"), std::string(names.nodename) + "\n");
  EXPECT_EQ(ReadFile("/proc/sys/kernel/ostype"), "Linux\n");
  std::string boot_id = ReadFile("/proc/sys/kernel/random/boot_id");
  EXPECT_EQ(boot_id.size(), 37u);
  EXPECT_EQ(ReadFile("/proc/sys/kernel/random/boot_id"), boot_id);
  EXPECT_NE(ReadFile("/proc/sys/kernel/random/uuid"), ReadFile("/proc/sys/kernel/random/uuid"));
  for (const char* name : {"kernel/pid_max", "kernel/cap_last_cap", "kernel/ngroups_max", "vm/max_map_count",
                           "vm/overcommit_memory", "vm/mmap_min_addr", "fs/nr_open", "net/core/somaxconn"})
    EXPECT_GE(std::stoll(ReadFile(std::string("/proc/sys/") + name)), 0);
}

TEST(what_does_not_work) {
  EXPECT_ERRNO(mkdir("/proc/new", 0777), ENOENT);
  EXPECT_ERRNO(open("/proc/nothing", O_RDONLY), ENOENT);
  EXPECT_ERRNO(open("/proc/01", O_RDONLY), ENOENT);
  EXPECT_ERRNO(unlink("/proc/version"), EPERM);
  EXPECT_ERRNO(open("/proc/self", O_WRONLY), EISDIR);
  int fd = ASSERT_OK(open("/proc/version", O_RDONLY));
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0, EIO);
  EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
}

TEST(reading_in_pieces) {
  std::string whole = ReadFile("/proc/version");
  int fd = ASSERT_OK(open("/proc/version", O_RDONLY));
  std::string pieces;
  char byte;
  while (read(fd, &byte, 1) == 1) pieces += byte;
  EXPECT_EQ(pieces, whole);
  EXPECT_EQ(lseek(fd, 2, SEEK_SET), 2);
  EXPECT_EQ(read(fd, &byte, 1), 1);
  EXPECT_EQ(byte, whole[2]);
  EXPECT_EQ(pread(fd, &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'L');
}

TEST(others_are_protected) {
  if (geteuid() != 0) SKIP("needs root to become somebody else");
  pid_t root = getpid();
  EXPECT_CHILD_OK([root] {
    ASSERT_OK(setgid(12345));
    ASSERT_OK(setuid(12345));
    std::string directory = "/proc/" + std::to_string(root);
    EXPECT_ERRNO(open((directory + "/environ").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(open((directory + "/maps").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(open((directory + "/fd").c_str(), O_RDONLY), EACCES);
    char data[100];
    EXPECT_ERRNO(readlink((directory + "/exe").c_str(), data, sizeof(data)), EACCES);
    EXPECT_OK(open((directory + "/status").c_str(), O_RDONLY));
    EXPECT_OK(open((directory + "/cmdline").c_str(), O_RDONLY));
    // A change of identity makes its own files root's, but open to itself.
    EXPECT_OK(open("/proc/self/fd", O_RDONLY));
  });
}

}  // namespace

namespace {

std::string FdInfo(int fd) { return ReadFile("/proc/self/fdinfo/" + std::to_string(fd)); }
bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST(what_kind_of_file_a_descriptor_is) {
  int event = ASSERT_OK(eventfd(7, EFD_SEMAPHORE));
  EXPECT_TRUE(Contains(FdInfo(event), "eventfd-count:                7\n"));
  int timer = ASSERT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
  EXPECT_TRUE(Contains(FdInfo(timer), "clockid: 1\nticks: 0\nsettime flags: 00\nit_value: (0, 0)\n"));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT_TRUE(Contains(FdInfo(signalfd(-1, &set, 0)), "sigmask:\t0000000000000200\n"));
  int interest = ASSERT_OK(epoll_create1(0));
  epoll_event wanted{EPOLLIN, {.u64 = 0x1234}};
  ASSERT_OK(epoll_ctl(interest, EPOLL_CTL_ADD, event, &wanted));
  EXPECT_TRUE(Contains(FdInfo(interest), "tfd: "));
  EXPECT_TRUE(Contains(FdInfo(interest), " data:             1234 "));
  int process = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, getpid(), 0)));
  EXPECT_TRUE(Contains(FdInfo(process), "\nPid:\t" + std::to_string(getpid()) + "\nNSpid:\t"));
  char name[] = "/tmp/fdinfoXXXXXX";
  int file = ASSERT_OK(mkstemp(name));
  unlink(name);
  EXPECT_FALSE(Contains(FdInfo(file), "lock:"));
  ASSERT_OK(flock(file, LOCK_EX));
  EXPECT_TRUE(Contains(FdInfo(file), "lock:\t1: FLOCK  ADVISORY  WRITE " + std::to_string(getpid()) + " "));
}

int WriteFile(const std::string& name, std::string_view text) {
  int fd = ASSERT_OK(open(name.c_str(), O_WRONLY | O_CLOEXEC));
  ssize_t written = write(fd, text.data(), text.size());
  int error = errno;
  close(fd);
  errno = error;
  return written == static_cast<ssize_t>(text.size()) ? 0 : -1;
}

TEST(login_uid) {
  const std::string unset = "4294967295";
  if (ReadFile("/proc/self/loginuid") != unset) SKIP("somebody has logged in");
  EXPECT_EQ(ReadFile("/proc/self/sessionid"), unset);
  EXPECT_ERRNO(WriteFile("/proc/self/loginuid", "nobody"), EINVAL);
  EXPECT_ERRNO(WriteFile("/proc/self/loginuid", "-2"), EINVAL);
  EXPECT_CHILD_OK([] {
    EXPECT_ERRNO(WriteFile("/proc/" + std::to_string(getppid()) + "/loginuid", "5"), EPERM);
    EXPECT_OK(WriteFile("/proc/self/loginuid", "1234"));
    EXPECT_EQ(ReadFile("/proc/self/loginuid"), "1234");
    EXPECT_NE(ReadFile("/proc/self/sessionid"), "4294967295");
    std::string session = ReadFile("/proc/self/sessionid");
    EXPECT_CHILD_OK([&] {
      EXPECT_EQ(ReadFile("/proc/self/loginuid"), "1234");
      EXPECT_EQ(ReadFile("/proc/self/sessionid"), session);
      if (geteuid() != 0) return;
      EXPECT_OK(WriteFile("/proc/self/loginuid", "77\n"));
      EXPECT_EQ(ReadFile("/proc/self/loginuid"), "77");
      EXPECT_NE(ReadFile("/proc/self/sessionid"), session);
      EXPECT_OK(WriteFile("/proc/self/loginuid", "4294967295"));
      EXPECT_EQ(ReadFile("/proc/self/sessionid"), "4294967295");
      ASSERT_OK(WriteFile("/proc/self/loginuid", "78"));
      int fd = ASSERT_OK(open("/proc/self/loginuid", O_WRONLY));
      ASSERT_OK(setresuid(1000, 1000, 1000));
      EXPECT_ERRNO(write(fd, "79", 2), EPERM);  // without CAP_AUDIT_CONTROL only once
    });
  });
  EXPECT_EQ(ReadFile("/proc/self/loginuid"), unset);
}

TEST(what_cannot_be_written) {
  int fd = ASSERT_OK(open("/proc/self/clear_refs", O_WRONLY));
  EXPECT_EQ(write(fd, "1", 1), 1);
  EXPECT_ERRNO(write(fd, "9", 1), EINVAL);
  if (geteuid() != 0) return;
  int status = ASSERT_OK(open("/proc/self/status", O_WRONLY));
  EXPECT_ERRNO(write(status, "x", 1), EINVAL);
}
