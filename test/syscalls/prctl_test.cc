// prctl(2), capabilities, changes of user ids.
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "test/syscalls/syscall_test.h"

TEST(NameIsCutTo15Bytes) {
  char name[16];
  ASSERT_OK(prctl(PR_SET_NAME, "a name that is far too long"));
  ASSERT_OK(prctl(PR_GET_NAME, name));
  EXPECT_EQ(name, "a name that is ");
  EXPECT_ERRNO(prctl(PR_SET_NAME, nullptr), EFAULT);
}

TEST(NoNewPrivsCannotBeTakenBack) {
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
  ASSERT_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  EXPECT_CHILD_OK([] { EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1); });
}

TEST(DeathSignalComesWhenTheParentDies) {
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  pid_t child = Fork([&] {
    int ready[2];
    (void)!pipe(ready);
    Fork([&] {
      close(pipe_fds[0]);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      (void)!write(ready[1], "x", 1);
      for (;;) pause();
    });
    char c;
    (void)!read(ready[0], &c, 1);
  });
  EXPECT_EQ(WaitFor(child), 0);
  close(pipe_fds[1]);
  char c;
  EXPECT_EQ(read(pipe_fds[0], &c, 1), 0);  // the grandchild held the other end
}

TEST(CapabilitiesFollowUserIds) {
  if (geteuid() != 0) SKIP("needs root");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  ASSERT_OK(syscall(SYS_capget, &header, data));
  EXPECT_NE(data[0].permitted, 0);
  ASSERT_OK(setgroups(0, nullptr));
  EXPECT_EQ(getgroups(0, nullptr), 0);
  ASSERT_OK(syscall(SYS_setresuid, 1000, 1000, 1000));
  ASSERT_OK(syscall(SYS_capget, &header, data));
  EXPECT_EQ(data[0].permitted, 0);
  EXPECT_EQ(data[0].effective, 0);
  EXPECT_ERRNO(syscall(SYS_setuid, 0), EPERM);
  EXPECT_ERRNO(kill(1, 0), EPERM);
  header.version = 0;
  EXPECT_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
  EXPECT_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
}

TEST(MachineCheckPolicyIsKept) {
  EXPECT_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
  EXPECT_OK(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
  EXPECT_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
  EXPECT_ERRNO(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0), EINVAL);
  EXPECT_ERRNO(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0), EINVAL);
  EXPECT_ERRNO(prctl(PR_MCE_KILL, 2, 0, 0, 0), EINVAL);
  EXPECT_OK(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
  EXPECT_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
}

TEST(TimingIsStatistical) {
  EXPECT_EQ(prctl(PR_GET_TIMING), PR_TIMING_STATISTICAL);
  EXPECT_OK(prctl(PR_SET_TIMING, PR_TIMING_STATISTICAL));
  EXPECT_ERRNO(prctl(PR_SET_TIMING, PR_TIMING_TIMESTAMP), EINVAL);
}

TEST(TheAuxiliaryVectorCanBeRead) {
  constexpr int kGetAuxv = 0x41555856;
  unsigned long vector[128] = {};
  int size = prctl(kGetAuxv, vector, sizeof(vector), 0, 0);
  if (size < 0 && errno == EINVAL) SKIP("no PR_GET_AUXV");
  EXPECT_GT(size, 0);
  EXPECT_EQ(vector[0] != 0, true);
  EXPECT_ERRNO(prctl(kGetAuxv, vector, sizeof(vector), 1, 0), EINVAL);
  EXPECT_ERRNO(prctl(kGetAuxv, 8, sizeof(vector), 0, 0), EFAULT);
}

TEST(MappingsHaveNames) {
  constexpr int kSetVma = 0x53564d41;
  char* at =
      static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (prctl(kSetVma, 0, at, 4096, "of the test") != 0 && errno == EINVAL) SKIP("no PR_SET_VMA");
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[256];
  bool found = false;
  while (fgets(line, sizeof(line), maps) != nullptr) found |= strstr(line, "[anon:of the test]") != nullptr;
  fclose(maps);
  EXPECT_TRUE(found);
  EXPECT_ERRNO(prctl(kSetVma, 1, at, 4096, "x"), EINVAL);
  EXPECT_ERRNO(prctl(kSetVma, 0, at + 1, 4096, "x"), EINVAL);
  EXPECT_ERRNO(prctl(kSetVma, 0, at, 4096, "br[cket"), EINVAL);
  EXPECT_ERRNO(prctl(kSetVma, 0, at, 4096, std::string(80, 'x').c_str()), EINVAL);
  EXPECT_OK(prctl(kSetVma, 0, at, 4096, std::string(79, 'x').c_str()));
  EXPECT_OK(prctl(kSetVma, 0, at, 4096, nullptr));
}

TEST(WhatIsWritableStaysUnexecutable) {
  constexpr int kSetMdwe = 65, kGetMdwe = 66;
  if (prctl(kGetMdwe, 0, 0, 0, 0) < 0) SKIP("no PR_SET_MDWE");
  EXPECT_ERRNO(prctl(kSetMdwe, 4, 0, 0, 0), EINVAL);
  ASSERT_OK(prctl(kSetMdwe, 1, 0, 0, 0));
  EXPECT_EQ(prctl(kGetMdwe, 0, 0, 0, 0), 1);
  EXPECT_ERRNO(prctl(kSetMdwe, 0, 0, 0, 0), EPERM);
  constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, kAnonymous, -1, 0), EACCES);
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, kAnonymous, -1, 0);
  EXPECT_ERRNO(mprotect(at, 4096, PROT_READ | PROT_EXEC), EACCES);
  EXPECT_CHILD_OK([] { EXPECT_EQ(prctl(kGetMdwe, 0, 0, 0, 0), 1); });
}
