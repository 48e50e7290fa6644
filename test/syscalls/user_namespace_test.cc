// User namespaces: how they are made, their maps, and how ids are seen from where.
#include "test/syscalls/user_namespace.h"

#include <linux/nsfs.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "test/syscalls/scratch.h"

namespace {

using namespace syscall_test;

constexpr uid_t kUser = 1234;
constexpr gid_t kGroup = 2345;
constexpr uid_t kOverflow = 65534;

std::string OwnNamespace() { return LinkOf("/proc/self/ns/user"); }

TEST(nobody_before_there_is_a_map) {
  NeedRoot();
  const std::string before = OwnNamespace();
  ASSERT_OK(unshare(CLONE_NEWUSER));
  EXPECT_NE(OwnNamespace(), before);
  EXPECT_EQ(getuid(), kOverflow);
  EXPECT_EQ(getegid(), kOverflow);
  uid_t r, e, s;
  EXPECT_OK(getresuid(&r, &e, &s));
  EXPECT_EQ(s, kOverflow);
  EXPECT_EQ(ReadAll("/proc/self/uid_map"), "");
  EXPECT_EQ(ReadAll("/proc/self/setgroups"), "allow\n");
  EXPECT_ERRNO(setuid(0), EINVAL);
  EXPECT_ERRNO(setgroups(0, nullptr), EPERM);  // before there is a map of groups
  struct stat st;
  EXPECT_OK(stat("/", &st));
  EXPECT_EQ(st.st_uid, kOverflow);
  // It has all capabilities all the same.
  EXPECT_OK(prctl(PR_CAPBSET_DROP, 5));
  EXPECT_TRUE(ReadAll("/proc/self/status").find("CapEff:\t000001ffffffffff") != std::string::npos);
}

TEST(the_first_namespace_maps_everything) {
  EXPECT_EQ(Squeezed(ReadAll("/proc/self/uid_map")), "0 0 4294967295\n");
  EXPECT_EQ(Squeezed(ReadAll("/proc/self/projid_map")), "0 0 4294967295\n");
  EXPECT_EQ(ReadAll("/proc/self/setgroups"), "allow\n");
  NeedRoot();
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 0 1"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/gid_map", "0 0 1"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "deny"), EPERM);
  EXPECT_OK(WriteTo("/proc/self/setgroups", "allow"));
}

TEST(a_user_maps_itself) {
  NeedRoot();
  BecomeUser(kUser, kGroup);
  ASSERT_OK(unshare(CLONE_NEWUSER));
  // Neither others nor more, nor twice, nor groups as long as setgroups(2) is allowed.
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 1 1"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 0 1"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 1234 2"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 1234 1\n1 1235 1\n"), EPERM);
  EXPECT_EQ(WriteTo("/proc/self/uid_map", "7 1234 1\n"), 9);
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "7 1234 1\n"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/gid_map", "8 2345 1"), EPERM);
  EXPECT_OK(WriteTo("/proc/self/setgroups", "deny\n"));
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "allow"), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/self/gid_map", "8 0 1"), EPERM);
  EXPECT_OK(WriteTo("/proc/self/gid_map", "8 2345 1"));
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "deny"), EPERM);
  EXPECT_EQ(Squeezed(ReadAll("/proc/self/uid_map")), "7 1234 1\n");
  EXPECT_EQ(ReadAll("/proc/self/setgroups"), "deny\n");
  EXPECT_EQ(getuid(), 7);
  EXPECT_EQ(getegid(), 8);
  EXPECT_ERRNO(setgroups(0, nullptr), EPERM);
  EXPECT_ERRNO(setuid(kUser), EINVAL);
  EXPECT_OK(setuid(7));
}

TEST(what_a_map_may_be) {
  NeedRoot();
  ASSERT_OK(unshare(CLONE_NEWUSER));
  const char* const wrong[] = {
      "",
      "0",
      "0 0",
      "0 0 0",
      "x 0 1",
      "0 0 1 1",
      "0 0 1\n\n0 1 1",
      "0x0 0 1",
      "-1 0 1",
      "4294967295 0 1",
      "0 4294967295 1",
      "1 1 4294967295",
      "0 0 2\n1 5 1",
      "0 0 2\n5 1 1",
      "0,0,1",
      "0 0 1x",
  };
  for (const char* text : wrong) {
    if (*text == '\0') continue;
    errno = 0;
    const bool refused = WriteTo("/proc/self/uid_map", text) == -1 && errno == EINVAL;
    if (!refused) FAIL(std::string("\"") + text + "\": " + ErrnoName(errno));
  }
  const int fd = ASSERT_OK(open("/proc/self/uid_map", O_RDWR));
  EXPECT_ERRNO(pwrite(fd, "0 0 1", 5, 0), ESPIPE);
  EXPECT_OK(lseek(fd, 1, SEEK_SET));
  EXPECT_ERRNO(write(fd, "0 0 1", 5), EINVAL);
  EXPECT_OK(lseek(fd, 0, SEEK_SET));
  std::string page(4096, ' ');
  EXPECT_ERRNO(write(fd, page.data(), page.size()), EINVAL);
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "denyx"), EINVAL);
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "deny    "), EINVAL);
  EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "no"), EINVAL);
  // Whoever is in the namespace may map nobody but itself.
  EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 0 2"), EPERM);
  // White space of any kind and amount.
  EXPECT_OK(WriteTo("/proc/self/uid_map", "  3\t0   1  "));
  EXPECT_EQ(getuid(), 3);
}

TEST(maps_written_from_outside) {
  NeedRoot();
  EXPECT_EQ(RunInNamespace(
                0,
                [](pid_t child) {
                  const std::string proc = "/proc/" + std::to_string(child);
                  EXPECT_OK(WriteTo(proc + "/uid_map", "0 5000 10\n100 7000 5\n1000 0 1"));
                  EXPECT_OK(WriteTo(proc + "/gid_map", "0 6000 10\n50 0 1\n"));
                  EXPECT_OK(WriteTo(proc + "/projid_map", "0 0 1"));
                  EXPECT_EQ(Squeezed(ReadAll(proc + "/uid_map")), "0 5000 10\n100 7000 5\n1000 0 1\n");
                },
                [] {
                  EXPECT_EQ(getuid(), 1000);
                  EXPECT_EQ(getgid(), 50);
                  EXPECT_EQ(Squeezed(ReadAll("/proc/self/uid_map")), "0 5000 10\n100 7000 5\n1000 0 1\n");
                  EXPECT_EQ(Squeezed(ReadAll("/proc/self/projid_map")), "0 0 1\n");
                  const gid_t groups[] = {3, 50, 1};
                  EXPECT_OK(setgroups(3, groups));
                  gid_t got[4] = {};
                  EXPECT_EQ(getgroups(4, got), 3);
                  const gid_t unmapped[] = {10};
                  EXPECT_ERRNO(setgroups(1, unmapped), EINVAL);
                  EXPECT_OK(setresgid(4, 4, 4));
                  EXPECT_ERRNO(setresuid(10, 0, 0), EINVAL);
                  EXPECT_ERRNO(setreuid(0, 105), EINVAL);
                  EXPECT_ERRNO(setuid(99), EINVAL);
                  EXPECT_EQ(setfsuid(55), 1000);
                  EXPECT_EQ(setfsuid(1), 1000);
                  EXPECT_EQ(setfsuid(-1), 1);
                  // Only root of the namespace loses its capabilities with its ids.
                  EXPECT_OK(setresuid(104, 104, 104));
                  EXPECT_EQ(getuid(), 104);
                  EXPECT_OK(setresuid(0, 0, 0));
                  EXPECT_OK(setresuid(103, 103, 103));
                  EXPECT_ERRNO(setresuid(0, -1, -1), EPERM);
                }),
            0);
}

TEST(ids_seen_from_outside) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  Gate ready, done;
  Gate made, mapped;
  const pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    mapped.Pass();
    ASSERT_OK(setresgid(2, 2, 2));
    ASSERT_OK(setresuid(1, 1, 1));
    ASSERT_OK(prctl(PR_SET_DUMPABLE, 1));
    const int fd = ASSERT_OK(open("file", O_CREAT | O_WRONLY, 0644));
    struct stat st;
    EXPECT_OK(fstat(fd, &st));
    EXPECT_EQ(st.st_uid, 1);
    EXPECT_EQ(st.st_gid, 2);
    EXPECT_OK(stat(".", &st));
    EXPECT_EQ(st.st_uid, kOverflow);
    EXPECT_ERRNO(fchown(fd, 5000, -1), EINVAL);
    EXPECT_OK(fchown(fd, 3, -1));
    EXPECT_OK(fchown(fd, 1, -1));
    ASSERT_OK(setresuid(0, 0, 0));
    ASSERT_OK(setresuid(1, 1, 1));
    ASSERT_OK(prctl(PR_SET_DUMPABLE, 1));
    EXPECT_ERRNO(fchown(fd, 3, -1), EPERM);
    EXPECT_OK(fchown(fd, 1, 2));
    EXPECT_TRUE(Squeezed(ReadAll("/proc/self/status")).find("Uid: 1 1 1 1\n") != std::string::npos);
    ready.Open();
    done.Pass();
  });
  made.Pass();
  const std::string proc = "/proc/" + std::to_string(child);
  ASSERT_OK(WriteTo(proc + "/uid_map", "0 5000 10"));
  ASSERT_OK(WriteTo(proc + "/gid_map", "0 6000 10"));
  mapped.Open();
  ready.Pass();
  struct stat st;
  EXPECT_OK(stat("file", &st));
  EXPECT_EQ(st.st_uid, 5001);
  EXPECT_EQ(st.st_gid, 6002);
  EXPECT_OK(stat(proc.c_str(), &st));
  EXPECT_EQ(st.st_uid, 5001);
  EXPECT_TRUE(Squeezed(ReadAll(proc + "/status")).find("Uid: 5001 5001 5001 5001\n") != std::string::npos);
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(nested_maps_go_through_the_parent) {
  NeedRoot();
  EXPECT_EQ(RunInNamespace(
                0,
                [](pid_t child) {
                  const std::string proc = "/proc/" + std::to_string(child);
                  EXPECT_OK(WriteTo(proc + "/uid_map", "0 5000 10\n20 0 1"));
                  EXPECT_OK(WriteTo(proc + "/gid_map", "0 6000 10\n20 0 1"));
                },
                [] {
                  BecomeRootInside();
                  Gate made, mapped;
                  const pid_t child = Fork([&] {
                    ASSERT_OK(unshare(CLONE_NEWUSER));
                    made.Open();
                    mapped.Pass();
                    EXPECT_EQ(getuid(), 100);
                    EXPECT_EQ(Squeezed(ReadAll("/proc/self/uid_map")), "100 0 5\n");
                    ASSERT_OK(setresuid(104, 104, 104));
                  });
                  made.Pass();
                  const std::string proc = "/proc/" + std::to_string(child);
                  EXPECT_ERRNO(WriteTo(proc + "/uid_map", "0 15 1"), EPERM);    // not the parent's
                  EXPECT_ERRNO(WriteTo(proc + "/uid_map", "100 0 11"), EPERM);  // nor all of it
                  EXPECT_OK(WriteTo(proc + "/uid_map", "100 0 5"));
                  EXPECT_OK(WriteTo(proc + "/gid_map", "0 0 5"));
                  mapped.Open();
                  EXPECT_EQ(WaitFor(child), 0);
                }),
            0);
}

TEST(levels_are_limited) {
  NeedRoot();
  int levels = 0;
  const int ends = 64;
  while (levels < ends && unshare(CLONE_NEWUSER) == 0) {
    MapSelf(0, 0, 0, 0);
    ++levels;
  }
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(levels, 33);
}

TEST(max_user_namespaces) {
  NeedRoot();
  ASSERT_OK(unshare(CLONE_NEWUSER));
  MapSelf(0, 0, 0, 0);
  EXPECT_OK(WriteTo("/proc/sys/user/max_user_namespaces", "1\n"));
  EXPECT_EQ(ReadAll("/proc/sys/user/max_user_namespaces"), "1\n");
  Gate made, done;
  const pid_t first = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    done.Pass();
  });
  made.Pass();
  EXPECT_CHILD_OK([] { EXPECT_ERRNO(unshare(CLONE_NEWUSER), ENOSPC); });
  done.Open();
  EXPECT_EQ(WaitFor(first), 0);
  EXPECT_CHILD_OK([] {
    // Linux lets go of them a little later.
    int error = 0;
    for (int i = 0; i < 500 && (error = unshare(CLONE_NEWUSER) == 0 ? 0 : errno) == ENOSPC; ++i)
      usleep(10000);
    EXPECT_EQ(error, 0);
  });
}

TEST(not_from_a_chroot) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chroot("."));
  EXPECT_ERRNO(unshare(CLONE_NEWUSER), EPERM);
  EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
}

TEST(flags_that_do_not_go_together) {
  EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0), EINVAL);
  EXPECT_ERRNO(
      syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | SIGCHLD, 0, 0, 0, 0),
      EINVAL);
  EXPECT_ERRNO(setns(ASSERT_OK(open("/proc/self/ns/user", O_RDONLY)), 0), EINVAL);  // it is in it
}

TEST(clone_into_all_kinds_at_once) {
  NeedRoot();
  BecomeUser(kUser, kGroup);
  constexpr unsigned long kAll =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
  const char* const names[] = {"user", "mnt", "uts", "ipc", "cgroup"};
  std::vector<std::string> before;
  for (const char* name : names) before.push_back(LinkOf(std::string("/proc/self/ns/") + name));
  const pid_t child = static_cast<pid_t>(ASSERT_OK(syscall(SYS_clone, kAll | SIGCHLD, 0, 0, 0, 0)));
  if (child == 0) {
    _exit(syscall_test::RunBody([&] {
      EXPECT_EQ(getpid(), 1);
      EXPECT_OK(sethostname("inside", 6));
      EXPECT_EQ(getuid(), kOverflow);
    }));
  }
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(unshare(static_cast<int>(kAll)));
    for (size_t i = 0; i < before.size(); ++i)
      EXPECT_NE(LinkOf(std::string("/proc/self/ns/") + names[i]), before[i]);
    MapSelf(0, 0, kUser, kGroup);
    EXPECT_OK(sethostname("inside", 6));
    EXPECT_CHILD_OK([] { EXPECT_EQ(getpid(), 1); });
  });
  EXPECT_ERRNO(sethostname("outside", 7), EPERM);
  EXPECT_ERRNO(unshare(CLONE_NEWUTS), EPERM);
}

TEST(related_namespaces) {
  NeedRoot();
  const int outer = ASSERT_OK(open("/proc/self/ns/user", O_RDONLY));
  const int outer_uts = ASSERT_OK(open("/proc/self/ns/uts", O_RDONLY));
  EXPECT_EQ(ioctl(outer, NS_GET_NSTYPE), CLONE_NEWUSER);
  EXPECT_EQ(ioctl(outer_uts, NS_GET_NSTYPE), CLONE_NEWUTS);
  EXPECT_ERRNO(ioctl(outer, NS_GET_PARENT), EPERM);
  EXPECT_ERRNO(ioctl(outer, NS_GET_USERNS), EPERM);
  EXPECT_ERRNO(ioctl(outer_uts, NS_GET_PARENT), EINVAL);
  uid_t owner = 77;
  EXPECT_ERRNO(ioctl(outer_uts, NS_GET_OWNER_UID, &owner), EINVAL);
  EXPECT_OK(ioctl(outer, NS_GET_OWNER_UID, &owner));
  EXPECT_EQ(owner, 0);
  auto number = [](int fd) {
    struct stat st {};
    EXPECT_OK(fstat(fd, &st));
    return st.st_ino;
  };
  EXPECT_EQ(number(ASSERT_OK(ioctl(outer_uts, NS_GET_USERNS))), number(outer));
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS));
    const int inner = ASSERT_OK(open("/proc/self/ns/user", O_RDONLY));
    const int inner_uts = ASSERT_OK(open("/proc/self/ns/uts", O_RDONLY));
    EXPECT_OK(ioctl(inner, NS_GET_OWNER_UID, &owner));
    EXPECT_EQ(owner, kOverflow);
    MapSelf(3, 3, kUser, kGroup);
    EXPECT_OK(ioctl(inner, NS_GET_OWNER_UID, &owner));
    EXPECT_EQ(owner, 3);
    EXPECT_EQ(number(ASSERT_OK(ioctl(inner_uts, NS_GET_USERNS))), number(inner));
    // What is above is none of its business.
    EXPECT_ERRNO(ioctl(inner, NS_GET_PARENT), EPERM);
    EXPECT_ERRNO(ioctl(outer_uts, NS_GET_USERNS), EPERM);
  });
  Gate made, done;
  const pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    done.Pass();
  });
  made.Pass();
  const int inner = ASSERT_OK(open(("/proc/" + std::to_string(child) + "/ns/user").c_str(), O_RDONLY));
  EXPECT_EQ(number(ASSERT_OK(ioctl(inner, NS_GET_PARENT))), number(outer));
  EXPECT_EQ(number(ASSERT_OK(ioctl(inner, NS_GET_USERNS))), number(outer));
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(setns_to_a_namespace_below) {
  NeedRoot();
  Gate made, mapped, done;
  const pid_t child = Fork([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP));
    made.Open();
    mapped.Pass();
    EXPECT_OK(sethostname("below", 5));
    made.Open();
    done.Pass();
  });
  made.Pass();
  const std::string proc = "/proc/" + std::to_string(child);
  ASSERT_OK(WriteTo(proc + "/uid_map", "0 1234 1\n1 0 1"));
  ASSERT_OK(WriteTo(proc + "/gid_map", "0 2345 1\n1 0 1"));
  mapped.Open();
  made.Pass();
  const int user = ASSERT_OK(open((proc + "/ns/user").c_str(), O_RDONLY));
  const int uts = ASSERT_OK(open((proc + "/ns/uts").c_str(), O_RDONLY));
  const int outer = ASSERT_OK(open("/proc/self/ns/user", O_RDONLY));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setns(user, CLONE_NEWUSER));
    EXPECT_EQ(getuid(), 1);
    EXPECT_OK(setns(uts, CLONE_NEWUTS));
    EXPECT_OK(sethostname("again", 5));
    EXPECT_ERRNO(setns(user, CLONE_NEWUSER), EINVAL);
    EXPECT_OK(setuid(0));
    // There is no way back.
    EXPECT_ERRNO(setns(outer, 0), EPERM);
  });
  EXPECT_CHILD_OK([&] {
    const int pidfd = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, child, 0)));
    ASSERT_OK(setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP));
    for (const char* name : {"user", "mnt", "uts", "cgroup"})
      EXPECT_EQ(LinkOf(std::string("/proc/self/ns/") + name), LinkOf(proc + "/ns/" + name));
    EXPECT_ERRNO(setns(pidfd, CLONE_NEWUSER), EINVAL);
  });
  EXPECT_CHILD_OK([&] {
    // All or nothing.
    const int pidfd = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, child, 0)));
    BecomeUser(kUser + 1, kGroup);
    const std::string before = LinkOf("/proc/self/ns/uts");
    EXPECT_ERRNO(setns(pidfd, CLONE_NEWUSER | CLONE_NEWUTS), EPERM);
    EXPECT_ERRNO(setns(user, 0), EPERM);
    EXPECT_EQ(LinkOf("/proc/self/ns/uts"), before);
  });
  EXPECT_CHILD_OK([&] {
    // Its maker outside may enter it as well.
    BecomeUser(kUser, kGroup);
    ASSERT_OK(setns(user, 0));
    EXPECT_EQ(getuid(), 0);
    EXPECT_OK(setns(uts, 0));
  });
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(ids_that_others_tell) {
  NeedRoot();
  int ends[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  const int on = 1;
  ASSERT_OK(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
  ASSERT_OK(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
  auto receive = [](int socket) {
    char byte, control[CMSG_SPACE(sizeof(ucred))] = {};
    iovec data{&byte, 1};
    msghdr message{nullptr, 0, &data, 1, control, sizeof(control), 0};
    ASSERT_OK(recvmsg(socket, &message, 0));
    ucred creds{};
    memcpy(&creds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(creds));
    return creds;
  };
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  ASSERT_OK(sigprocmask(SIG_BLOCK, &signals, nullptr));
  const pid_t parent = getpid();
  EXPECT_EQ(RunInNamespace(
                0,
                [&](pid_t child) {
                  const std::string proc = "/proc/" + std::to_string(child);
                  ASSERT_OK(WriteTo(proc + "/uid_map", "0 5000 10\n10 0 1"));
                  ASSERT_OK(WriteTo(proc + "/gid_map", "0 6000 10\n10 0 1"));
                  EXPECT_CHILD_OK([&] {
                    BecomeUser(99, 99);  // nobody in there
                    ASSERT_EQ(write(ends[1], "", 1), 1);
                  });
                  ASSERT_EQ(write(ends[1], "", 1), 1);
                },
                [&] {
                  const ucred stranger = receive(ends[0]);
                  EXPECT_EQ(stranger.uid, kOverflow);
                  EXPECT_EQ(stranger.gid, kOverflow);
                  EXPECT_EQ(receive(ends[0]).uid, 10);
                  EXPECT_OK(kill(parent, SIGUSR1));
                  // In one's own name: by a number of one's own namespace.
                  ASSERT_OK(setresuid(3, 3, 3));
                  ASSERT_EQ(write(ends[0], "", 1), 1);
                  const int queue = ASSERT_OK(msgget(IPC_PRIVATE, 0600));
                  msqid_ds status{};
                  EXPECT_OK(msgctl(queue, IPC_STAT, &status));
                  EXPECT_EQ(status.msg_perm.uid, 3);
                  status.msg_perm.uid = 5000;
                  EXPECT_ERRNO(msgctl(queue, IPC_SET, &status), EINVAL);
                  EXPECT_OK(msgctl(queue, IPC_RMID, nullptr));
                }),
            0);
  EXPECT_EQ(receive(ends[1]).uid, 5003);
  siginfo_t info;
  EXPECT_EQ(sigwaitinfo(&signals, &info), SIGUSR1);
  EXPECT_EQ(info.si_uid, 0);
}

TEST(what_a_child_is_told_by) {
  NeedRoot();
  Gate made, mapped;
  const pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    mapped.Pass();
    ASSERT_OK(setresuid(1, 1, 1));
  });
  made.Pass();
  ASSERT_OK(WriteTo("/proc/" + std::to_string(child) + "/uid_map", "0 5000 10\n10 0 1"));
  mapped.Open();
  siginfo_t info{};
  ASSERT_OK(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED));
  EXPECT_EQ(info.si_uid, 5001);
  EXPECT_EQ(info.si_status, 0);
}

}  // namespace
