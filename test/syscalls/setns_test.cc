// setns(2) with a pidfd.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "test/syscalls/syscall_test.h"

namespace {

using namespace syscall_test;

std::string Link(const std::string& path) {
  char text[64] = {};
  EXPECT_OK(readlink(path.c_str(), text, sizeof(text) - 1));
  return text;
}

// A process in UTS, IPC and mount namespaces of its own, and its pidfd.
struct Other {
  Other() {
    if (geteuid() != 0) throw SkipTest{"not root"};
    int ready[2];
    ASSERT_OK(pipe(ready));
    pid = Fork([&] {
      ASSERT_OK(unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS));
      ASSERT_OK(sethostname("elsewhere", 9));
      ASSERT_OK(write(ready[1], "", 1));
      for (;;) pause();
    });
    close(ready[1]);
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    pidfd = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, pid, 0)));
  }
  ~Other() { End(); }
  void End() {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    WaitFor(pid);
    pid = 0;
  }
  std::string Namespace(const char* name) const {
    return Link("/proc/" + std::to_string(pid) + "/ns/" + name);
  }
  pid_t pid = 0;
  int pidfd = -1;
};
std::string Own(const char* name) { return Link(std::string("/proc/self/ns/") + name); }

TEST(setns_by_pidfd_enters_what_is_named) {
  Other other;
  std::string ipc = Own("ipc");
  ASSERT_OK(setns(other.pidfd, CLONE_NEWUTS));
  EXPECT_EQ(Own("uts"), other.Namespace("uts"));
  EXPECT_EQ(Own("ipc"), ipc);
  char name[64] = {};
  EXPECT_OK(gethostname(name, sizeof(name)));
  EXPECT_EQ(std::string(name), "elsewhere");
  ASSERT_OK(setns(other.pidfd, CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID));
  EXPECT_EQ(Own("ipc"), other.Namespace("ipc"));
  EXPECT_EQ(Own("mnt"), other.Namespace("mnt"));
  EXPECT_OK(setns(other.pidfd, CLONE_NEWNET | CLONE_NEWCGROUP));
}

TEST(setns_by_pidfd_checks_the_types) {
  Other other;
  EXPECT_ERRNO(setns(other.pidfd, 0), EINVAL);
  EXPECT_ERRNO(setns(other.pidfd, CLONE_FS), EINVAL);
  EXPECT_ERRNO(setns(other.pidfd, CLONE_NEWUTS | CLONE_VM), EINVAL);
  EXPECT_ERRNO(setns(other.pidfd, CLONE_NEWUSER), EINVAL);
  std::string uts = Own("uts");
  EXPECT_ERRNO(setns(other.pidfd, CLONE_NEWUSER | CLONE_NEWUTS), EINVAL);
  EXPECT_EQ(Own("uts"), uts);
  int file = ASSERT_OK(open("/proc/self/stat", O_RDONLY));
  EXPECT_ERRNO(setns(file, CLONE_NEWUTS), EINVAL);
  EXPECT_ERRNO(setns(-1, CLONE_NEWUTS), EBADF);
}

TEST(setns_by_pidfd_needs_rights) {
  Other other;
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresuid(65534, 65534, 65534));
    EXPECT_ERRNO(setns(other.pidfd, CLONE_NEWUTS), EPERM);
    EXPECT_ERRNO(setns(other.pidfd, CLONE_FS), EINVAL);
  });
}

TEST(setns_by_pidfd_of_one_that_has_ended) {
  Other other;
  other.End();
  EXPECT_ERRNO(setns(other.pidfd, CLONE_NEWUTS), ESRCH);
}

}  // namespace
