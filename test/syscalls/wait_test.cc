// wait4(2), waitid(2), reparenting and pidfds.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "test/syscalls/syscall_test.h"

TEST(WaitReportsTheExitCode) {
  pid_t child = Fork([] { _exit(7); });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_ERRNO(waitpid(child, &status, 0), ECHILD);
  EXPECT_ERRNO(waitpid(-1, &status, 0x1000), EINVAL);
}

TEST(WaitidFillsSiginfoAndWnowaitKeeps) {
  pid_t child = Fork([] { raise(SIGKILL); });
  siginfo_t info = {};
  ASSERT_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
  EXPECT_EQ(info.si_signo, SIGCHLD);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_code, CLD_KILLED);
  EXPECT_EQ(info.si_status, SIGKILL);
  ASSERT_OK(waitid(P_ALL, 0, &info, WEXITED));
  EXPECT_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
  EXPECT_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
}

TEST(WnohangReturnsZeroWhileTheChildRuns) {
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  pid_t child = Fork([&] {
    close(pipe_fds[1]);
    char c;
    (void)!read(pipe_fds[0], &c, 1);
  });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);
  siginfo_t info;
  memset(&info, 0xff, sizeof(info));
  EXPECT_EQ(waitid(P_PID, child, &info, WEXITED | WNOHANG), 0);
  EXPECT_EQ(info.si_pid, 0);
  close(pipe_fds[1]);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(StopAndContinueAreReported) {
  pid_t child = Fork([] {
    for (;;) pause();
  });
  int status = 0;
  kill(child, SIGSTOP);
  EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  EXPECT_EQ(waitpid(child, &status, WUNTRACED | WNOHANG), 0);
  kill(child, SIGCONT);
  EXPECT_EQ(waitpid(child, &status, WCONTINUED), child);
  EXPECT_TRUE(WIFCONTINUED(status));
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(IgnoredSigchldReapsByItself) {
  signal(SIGCHLD, SIG_IGN);
  pid_t child = Fork([] { _exit(0); });
  EXPECT_ERRNO(waitpid(child, nullptr, 0), ECHILD);
}

TEST(OrphansGoToTheSubreaper) {
  ASSERT_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  pid_t self = getpid();
  pid_t child = Fork([&] {
    Fork([&] {
      char c;
      close(pipe_fds[1]);
      (void)!read(pipe_fds[0], &c, 1);  // until the parent is reaped
      _exit(getppid() == self ? 42 : 1);
    });
  });
  EXPECT_EQ(WaitFor(child), 0);
  close(pipe_fds[1]);
  int status = 0;
  EXPECT_GT(waitpid(-1, &status, 0), 0);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(PidfdBecomesReadableAndCanBeWaitedFor) {
  pid_t child = Fork([] { pause(); });
  int fd = ASSERT_OK(syscall(SYS_pidfd_open, child, 0));
  pollfd poll_fd = {fd, POLLIN, 0};
  EXPECT_EQ(poll(&poll_fd, 1, 0), 0);
  ASSERT_OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0));
  EXPECT_EQ(poll(&poll_fd, 1, 10000), 1);
  siginfo_t info = {};
  ASSERT_OK(waitid(static_cast<idtype_t>(3), fd, &info, WEXITED));
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, SIGTERM);
  EXPECT_ERRNO(syscall(SYS_pidfd_open, child, 0), ESRCH);
  EXPECT_ERRNO(syscall(SYS_pidfd_open, 0, 0), EINVAL);
}

TEST(DirectoryInProcStandsForItsProcess) {
  pid_t child = Fork([] { pause(); });
  std::string directory = "/proc/" + std::to_string(child);
  int fd = ASSERT_OK(open(directory.c_str(), O_DIRECTORY));
  ASSERT_OK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0), ESRCH);
  int other = ASSERT_OK(open("/proc", O_DIRECTORY));
  EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, other, 0, nullptr, 0), EBADF);
}

TEST(AZombieHasNothingToReportButItsEnd) {
  pid_t child = Fork([] {});
  siginfo_t info;
  ASSERT_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
  EXPECT_ERRNO(waitid(P_PID, child, &info, WSTOPPED | WNOHANG), ECHILD);
  EXPECT_ERRNO(waitid(P_PID, child, &info, WCONTINUED), ECHILD);
  EXPECT_EQ(WaitFor(child), 0);
}
