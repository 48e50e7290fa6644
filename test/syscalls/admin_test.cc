// What an administrator asks of a machine, and advice on other processes' memory.
#include <fcntl.h>
#include <linux/quota.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/uio.h>

#include <fstream>

#include "test/syscalls/syscall_test.h"

namespace {

constexpr long kProcessMadvise = 440, kProcessMrelease = 448;

int Pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

TEST(TypesOfFilesystems) {
  long count = EXPECT_OK(syscall(SYS_sysfs, 3));
  EXPECT_GT(count, 2);
  long index = EXPECT_OK(syscall(SYS_sysfs, 1, "proc"));
  EXPECT_LT(index, count);
  char name[64] = {};
  EXPECT_OK(syscall(SYS_sysfs, 2, index, name));
  EXPECT_EQ(static_cast<const char*>(name), "proc");
  EXPECT_ERRNO(syscall(SYS_sysfs, 1, "no such type"), EINVAL);
  EXPECT_ERRNO(syscall(SYS_sysfs, 2, count, name), EINVAL);
  EXPECT_ERRNO(syscall(SYS_sysfs, 2, index, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_sysfs, 4), EINVAL);
}

TEST(Ustat) {
  struct {
    int free_blocks;
    unsigned long free_inodes;
    char name[6], pack[6];
  } stats;
  struct stat st;
  ASSERT_OK(stat("/proc", &st));
  memset(&stats, 0x55, sizeof(stats));
  EXPECT_OK(syscall(SYS_ustat, st.st_dev, &stats));
  EXPECT_EQ(stats.free_blocks, 0);
  EXPECT_EQ(stats.name[0], 0);
  EXPECT_ERRNO(syscall(SYS_ustat, st.st_dev, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_ustat, 0xfffff, &stats), EINVAL);
}

TEST(SwapSpace) {
  if (geteuid() != 0) SKIP("needs root");
  EXPECT_ERRNO(swapon("/no/such/file", 0), ENOENT);
  EXPECT_ERRNO(swapon("/etc/passwd", 0), EINVAL);
  EXPECT_ERRNO(swapoff("/no/such/file"), ENOENT);
  EXPECT_ERRNO(swapoff("/etc/passwd"), EINVAL);
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(swapon("/etc/passwd", 0), EPERM);
    EXPECT_ERRNO(swapoff("/etc/passwd"), EPERM);
    EXPECT_ERRNO(syscall(SYS_vhangup), EPERM);
    EXPECT_ERRNO(reboot(RB_AUTOBOOT), EPERM);
  });
}

TEST(Quotas) {
  constexpr unsigned kGet = QCMD(Q_GETQUOTA, 0);
  EXPECT_ERRNO(syscall(SYS_quotactl, kGet | 0xff, "/dev/null", 0, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_quotactl, kGet, "/no/such/file", 0, nullptr), ENOENT);
  EXPECT_ERRNO(syscall(SYS_quotactl, kGet, "/dev/null", 0, nullptr), ENOTBLK);
  EXPECT_ERRNO(syscall(SYS_quotactl, kGet, nullptr, 0, nullptr), ENODEV);
  EXPECT_OK(syscall(SYS_quotactl, QCMD(Q_SYNC, 0), nullptr, 0, nullptr));
}

TEST(ARestartNeedsItsMagic) {
  if (geteuid() != 0) SKIP("needs root");
  EXPECT_ERRNO(syscall(SYS_reboot, 0, 0, 0, 0), EINVAL);
}

TEST(ARestartEndsAPidNamespace) {
  if (geteuid() != 0) SKIP("needs root");
  for (auto [command, signal] :
       {std::pair{RB_AUTOBOOT, SIGHUP}, std::pair{static_cast<int>(RB_POWER_OFF), SIGINT}}) {
    pid_t init = static_cast<pid_t>(ASSERT_OK(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)));
    if (init == 0) {
      pid_t child = fork();
      if (child == 0) {
        reboot(command);
        _exit(3);
      }
      for (;;) pause();
    }
    int status = 0;
    EXPECT_EQ(waitpid(init, &status, 0), init);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
  }
}

TEST(LocalDescriptors) {
  char buffer[256];
  memset(buffer, 0x55, sizeof(buffer));
  EXPECT_EQ(syscall(SYS_modify_ldt, 0, buffer, sizeof(buffer)), 0);
  EXPECT_EQ(syscall(SYS_modify_ldt, 2, buffer, 64), 64);
  EXPECT_EQ(buffer[63], 0);
  EXPECT_EQ(buffer[64], 0x55);
  EXPECT_EQ(syscall(SYS_modify_ldt, 2, buffer, sizeof(buffer)), 128);
}

TEST(AdviceByPidfd) {
  size_t length = 8192;
  void* at = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  iovec vectors[2] = {{at, 4096}, {static_cast<char*>(at) + 4096, 4096}};
  int self = ASSERT_OK(Pidfd(getpid()));
  EXPECT_EQ(syscall(kProcessMadvise, self, vectors, 2, MADV_COLD, 0), 8192);
  EXPECT_ERRNO(syscall(kProcessMadvise, self, vectors, 2, MADV_COLD, 1), EINVAL);
  EXPECT_ERRNO(syscall(kProcessMadvise, self, vectors, 2, 9999, 0), EINVAL);
  EXPECT_ERRNO(syscall(kProcessMadvise, self, nullptr, 1, MADV_COLD, 0), EFAULT);
  EXPECT_ERRNO(syscall(kProcessMadvise, 777, vectors, 2, MADV_COLD, 0), EBADF);
  EXPECT_ERRNO(syscall(kProcessMadvise, 0, vectors, 2, MADV_COLD, 0), EBADF);
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  int other = ASSERT_OK(Pidfd(child));
  if (geteuid() == 0) EXPECT_EQ(syscall(kProcessMadvise, other, vectors, 1, MADV_PAGEOUT, 0), 4096);
  EXPECT_ERRNO(syscall(kProcessMadvise, other, vectors, 1, MADV_DONTNEED, 0), EINVAL);
  EXPECT_ERRNO(syscall(kProcessMrelease, other, 0), EINVAL);
  EXPECT_ERRNO(syscall(kProcessMrelease, other, 1), EINVAL);
  EXPECT_ERRNO(syscall(kProcessMrelease, 777, 0), EBADF);
  kill(child, SIGKILL);
  EXPECT_EQ(WaitFor(child), SIGKILL);
}

TEST(PrioritiesOfIo) {
  constexpr int kProcess = 1, kGroup = 2, kUser = 3;
  constexpr int kBestEffort = 2 << 13, kIdle = 3 << 13;
  EXPECT_EQ(syscall(SYS_ioprio_get, kProcess, 0), 0);
  EXPECT_OK(syscall(SYS_ioprio_set, kProcess, 0, kBestEffort | 6));
  EXPECT_EQ(syscall(SYS_ioprio_get, kProcess, 0), kBestEffort | 6);
  EXPECT_EQ(syscall(SYS_ioprio_get, kProcess, getpid()), kBestEffort | 6);
  EXPECT_CHILD_OK([] { EXPECT_EQ(syscall(SYS_ioprio_get, kProcess, 0), kBestEffort | 6); });
  ASSERT_OK(setpgid(0, 0));
  EXPECT_EQ(syscall(SYS_ioprio_get, kGroup, 0), kBestEffort | 6);
  EXPECT_OK(syscall(SYS_ioprio_set, kGroup, 0, kIdle));
  EXPECT_EQ(syscall(SYS_ioprio_get, kProcess, 0), kIdle);
  EXPECT_ERRNO(syscall(SYS_ioprio_set, kProcess, 0, 4 << 13), EINVAL);
  EXPECT_ERRNO(syscall(SYS_ioprio_set, kProcess, 0, 1), EINVAL);
  EXPECT_ERRNO(syscall(SYS_ioprio_set, 9, 0, kIdle), EINVAL);
  EXPECT_ERRNO(syscall(SYS_ioprio_get, 9, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_ioprio_get, kProcess, 4194303), ESRCH);
  EXPECT_ERRNO(syscall(SYS_ioprio_get, kUser, 1987654321), ESRCH);
  if (geteuid() != 0) return;
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(syscall(SYS_ioprio_set, kProcess, 0, 1 << 13), EPERM);
    EXPECT_ERRNO(syscall(SYS_ioprio_set, kProcess, 1, kIdle), EPERM);
  });
}
