// What root of a user namespace may do, and what it may not: hostile users, and descriptors that change
// hands.
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>

#include "test/syscalls/scratch.h"
#include "test/syscalls/user_namespace.h"

namespace {

using namespace syscall_test;

constexpr uid_t kUser = 1234;
constexpr gid_t kGroup = 2345;

// Makes a namespace in which it is root, as an ordinary user.
void BecomeFakeRoot(int more = 0) {
  BecomeUser(kUser, kGroup);
  ASSERT_OK(unshare(CLONE_NEWUSER | more));
  MapSelf(0, 0, kUser, kGroup);
}

void MakeFile(const char* name, mode_t mode, uid_t uid = 0, gid_t gid = 0) {
  const int fd = ASSERT_OK(open(name, O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(write(fd, "secret", 6), 6);
  ASSERT_OK(fchown(fd, uid, gid));
  ASSERT_OK(fchmod(fd, mode));
  ASSERT_OK(close(fd));
}

TEST(files_of_others_stay_theirs) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  MakeFile("roots", 0600);
  MakeFile("own", 0600, kUser, kGroup);
  MakeFile("own_of_roots_group", 0600, kUser, 0);
  ASSERT_OK(mkdir("dir", 0700));
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    EXPECT_ERRNO(open("roots", O_RDONLY), EACCES);
    EXPECT_ERRNO(open("dir", O_RDONLY), EACCES);
    EXPECT_ERRNO(open("dir/x", O_RDONLY), EACCES);
    EXPECT_ERRNO(truncate("roots", 0), EACCES);
    EXPECT_ERRNO(chmod("roots", 0777), EPERM);
    EXPECT_ERRNO(chown("roots", 0, 0), EPERM);
    EXPECT_ERRNO(chown("own", 1, 0), EINVAL);
    EXPECT_ERRNO(utimes("roots", nullptr), EACCES);
    EXPECT_ERRNO(setxattr("roots", "user.x", "1", 1, 0), EACCES);
    EXPECT_ERRNO(setxattr("own", "trusted.x", "1", 1, 0), EPERM);
    EXPECT_ERRNO(setxattr("own", "security.x", "1", 1, 0), EPERM);
    EXPECT_OK(chmod("own", 04755));
    // Its group has no number here, so that capabilities do not count; being the owner does.
    EXPECT_OK(chmod("own_of_roots_group", 0));
    EXPECT_ERRNO(open("own_of_roots_group", O_RDWR), EACCES);
    EXPECT_OK(chown("own_of_roots_group", -1, 0));  // which is its own
    EXPECT_OK(chmod("own", 0));
    EXPECT_OK(open("own", O_RDWR));
  });
}

TEST(groups_that_deny_are_kept) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0755));
  MakeFile("not_for_group", 0604, 0, 77);
  EXPECT_CHILD_OK([] {
    const gid_t groups[] = {77};
    ASSERT_OK(setgroups(1, groups));
    ASSERT_OK(setresgid(kGroup, kGroup, kGroup));
    ASSERT_OK(setresuid(kUser, kUser, kUser));
    ASSERT_OK(prctl(PR_SET_DUMPABLE, 1));
    EXPECT_ERRNO(open("not_for_group", O_RDONLY), EACCES);
    ASSERT_OK(unshare(CLONE_NEWUSER));
    EXPECT_ERRNO(setgroups(0, nullptr), EPERM);
    MapSelf(0, 0, kUser, kGroup);
    EXPECT_ERRNO(setgroups(0, nullptr), EPERM);
    EXPECT_ERRNO(open("not_for_group", O_RDONLY), EACCES);
    gid_t got[2];
    EXPECT_EQ(getgroups(2, got), 1);
    EXPECT_EQ(got[0], 65534);
    // Nor in a namespace below.
    ASSERT_OK(unshare(CLONE_NEWUSER));
    EXPECT_EQ(ReadAll("/proc/self/setgroups"), "deny\n");
    EXPECT_ERRNO(WriteTo("/proc/self/setgroups", "allow"), EPERM);
  });
}

TEST(what_is_the_whole_systems) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  BecomeFakeRoot(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS);
  const timespec now{1, 0};
  EXPECT_ERRNO(clock_settime(CLOCK_REALTIME, &now), EPERM);
  EXPECT_ERRNO(mknod("device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
  EXPECT_ERRNO(mknod("block", S_IFBLK | 0600, makedev(1, 0)), EPERM);
  EXPECT_OK(mknod("fifo", S_IFIFO | 0600, 0));
  EXPECT_ERRNO(syscall(SYS_reboot, 0, 0, 0, nullptr), EPERM);
  EXPECT_ERRNO(setpriority(PRIO_PROCESS, 0, -5), EACCES);
  EXPECT_ERRNO(setpriority(PRIO_USER, 1, 5), ESRCH);
  rlimit limit;
  ASSERT_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_max /= 2;
  limit.rlim_cur = limit.rlim_max;
  EXPECT_OK(setrlimit(RLIMIT_NOFILE, &limit));
  ++limit.rlim_max;
  EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
  EXPECT_ERRNO(syscall(SYS_syslog, 3, nullptr, 0), EPERM);
  EXPECT_ERRNO(syscall(SYS_acct, nullptr), EPERM);
  EXPECT_ERRNO(WriteTo("/proc/sys/kernel/pid_max", "1000\n"), EACCES);
  EXPECT_ERRNO(WriteTo("/proc/1/oom_score_adj", "-500"), EACCES);
  unsigned handle[4] = {8, 1, 0, 0};  // of eight bytes
  EXPECT_ERRNO(syscall(SYS_open_by_handle_at, AT_FDCWD, handle, 0), EPERM);
  EXPECT_ERRNO(kill(1, 0), EPERM);
  // What is the namespace's own.
  EXPECT_OK(sethostname("own", 3));
  EXPECT_OK(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS));
  EXPECT_OK(chroot("."));
  const struct {
    unsigned short length;
    void* filter;
  } nothing{0, nullptr};
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &nothing), EINVAL);  // not EACCES
}

TEST(namespaces_of_the_whole_system) {
  NeedRoot();
  const int uts = ASSERT_OK(open("/proc/self/ns/uts", O_RDONLY));
  const int mounts = ASSERT_OK(open("/proc/self/ns/mnt", O_RDONLY));
  const int pids = ASSERT_OK(open("/proc/self/ns/pid", O_RDONLY));
  const int user = ASSERT_OK(open("/proc/self/ns/user", O_RDONLY));
  BecomeFakeRoot();
  EXPECT_ERRNO(sethostname("x", 1), EPERM);
  EXPECT_ERRNO(mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr), EPERM);
  EXPECT_ERRNO(mount("none", "/tmp", "tmpfs", 0, nullptr), EPERM);
  EXPECT_ERRNO(umount("/proc"), EPERM);
  for (int fd : {uts, mounts, pids, user}) EXPECT_ERRNO(setns(fd, 0), EPERM);
  // One of its own, and then back.
  ASSERT_OK(unshare(CLONE_NEWUTS | CLONE_NEWNS));
  EXPECT_OK(sethostname("x", 1));
  EXPECT_ERRNO(setns(uts, 0), EPERM);
  EXPECT_ERRNO(setns(mounts, 0), EPERM);
}

// The classic: whoever opens a file of maps is not whoever writes it. A program of root's that can be made to
// write what one likes to its standard error must not map root.
TEST(a_map_written_by_somebody_else) {
  NeedRoot();
  Gate made, done, opened;
  int channel[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
  const pid_t child = Fork([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    done.Pass();
  });
  made.Pass();
  const std::string proc = "/proc/" + std::to_string(child);
  auto send_fd = [&](int fd) {
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{&byte, 1};
    msghdr message{nullptr, 0, &data, 1, control, sizeof(control), 0};
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    ASSERT_OK(sendmsg(channel[1], &message, 0));
  };
  auto receive_fd = [&] {
    char byte, control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{&byte, 1};
    msghdr message{nullptr, 0, &data, 1, control, sizeof(control), 0};
    ASSERT_OK(recvmsg(channel[0], &message, 0));
    int fd = -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return fd;
  };
  // Opened by the user, written by root.
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    send_fd(ASSERT_OK(open((proc + "/uid_map").c_str(), O_WRONLY)));
  });
  const int users = receive_fd();
  EXPECT_ERRNO(write(users, "0 0 1", 5), EPERM);
  EXPECT_ERRNO(write(users, "0 0 4000", 8), EPERM);
  // Opened by root, written by the user: not even itself, for the owner is not who opened it.
  const int roots = ASSERT_OK(open((proc + "/uid_map").c_str(), O_WRONLY));
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    EXPECT_ERRNO(write(roots, "0 0 1", 5), EPERM);
    EXPECT_ERRNO(write(roots, "0 1234 1", 8), EPERM);
  });
  // The user's own id through its own descriptor: whoever writes.
  EXPECT_OK(write(users, "0 1234 1", 8));
  // Somebody else with the same rights is not the parent.
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser + 1, kGroup);
    EXPECT_ERRNO(open((proc + "/gid_map").c_str(), O_WRONLY), EACCES);
    EXPECT_ERRNO(open((proc + "/setgroups").c_str(), O_WRONLY), EACCES);
  });
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

// A file with capabilities must not be made in a namespace for the one above.
TEST(root_is_mapped_only_with_setfcap) {
  NeedRoot();
  EXPECT_CHILD_OK([] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    ASSERT_OK(syscall(SYS_capget, &header, data));
    data[0].effective &= ~(1u << CAP_SETFCAP);
    ASSERT_OK(syscall(SYS_capset, &header, data));
    EXPECT_CHILD_OK([] {
      ASSERT_OK(unshare(CLONE_NEWUSER));
      EXPECT_ERRNO(WriteTo("/proc/self/uid_map", "0 0 1"), EPERM);
    });
    Gate made, done;
    const pid_t child = Fork([&] {
      ASSERT_OK(unshare(CLONE_NEWUSER));
      made.Open();
      done.Pass();
    });
    made.Pass();
    const std::string map = "/proc/" + std::to_string(child) + "/uid_map";
    EXPECT_ERRNO(WriteTo(map, "5 0 1"), EPERM);
    EXPECT_OK(WriteTo(map, "5 1 1"));
    done.Open();
    EXPECT_EQ(WaitFor(child), 0);
  });
}

TEST(no_looking_into_others) {
  NeedRoot();
  // Of the same user, outside of the namespace.
  Gate ready, done;
  const pid_t outside = Fork([&] {
    BecomeUser(kUser, kGroup);
    ready.Open();
    done.Pass();
  });
  ready.Pass();
  const std::string proc = "/proc/" + std::to_string(outside);
  EXPECT_CHILD_OK([&] {
    BecomeFakeRoot();
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, outside, nullptr, nullptr), EPERM);
    EXPECT_ERRNO(open((proc + "/environ").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(open((proc + "/mem").c_str(), O_RDWR), EACCES);
    char text[64];
    EXPECT_ERRNO(readlink((proc + "/ns/mnt").c_str(), text, sizeof(text)), EACCES);
    EXPECT_ERRNO(open((proc + "/root/").c_str(), O_RDONLY), EACCES);
    const int pidfd = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, outside, 0)));
    EXPECT_ERRNO(syscall(SYS_pidfd_getfd, pidfd, 0, 0), EPERM);
    EXPECT_OK(kill(outside, 0));  // it is the same user
  });
  done.Open();
  EXPECT_EQ(WaitFor(outside), 0);
}

TEST(who_comes_in_from_above_is_not_traced) {
  NeedRoot();
  Gate made, mapped, entered, done;
  int results[2];
  ASSERT_OK(pipe(results));
  const pid_t fake_root = Fork([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER));
    made.Open();
    mapped.Pass();
    pid_t guest;
    ASSERT_EQ(read(results[0], &guest, sizeof(guest)), static_cast<ssize_t>(sizeof(guest)));
    // It has been dumpable by the rights of the namespace above.
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, guest, nullptr, nullptr), EPERM);
    EXPECT_ERRNO(open(("/proc/" + std::to_string(guest) + "/mem").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(open(("/proc/" + std::to_string(guest) + "/root/").c_str(), O_RDONLY), EACCES);
    done.Open();
  });
  made.Pass();
  const std::string proc = "/proc/" + std::to_string(fake_root);
  ASSERT_OK(WriteTo(proc + "/uid_map", "0 1234 1\n1 0 1"));
  ASSERT_OK(WriteTo(proc + "/gid_map", "0 2345 1\n1 0 1"));
  const int user = ASSERT_OK(open((proc + "/ns/user").c_str(), O_RDONLY));
  mapped.Open();
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setns(user, 0));
    ASSERT_OK(setresuid(0, 0, 0));
    const pid_t self = getpid();
    ASSERT_EQ(write(results[1], &self, sizeof(self)), static_cast<ssize_t>(sizeof(self)));
    done.Pass();
  });
  EXPECT_EQ(WaitFor(fake_root), 0);
}

TEST(a_child_namespace_is_its_makers) {
  NeedRoot();
  Gate made, done;
  const pid_t child = Fork([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS));
    made.Open();
    done.Pass();
  });
  made.Pass();
  const std::string proc = "/proc/" + std::to_string(child);
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    EXPECT_OK(open((proc + "/environ").c_str(), O_RDONLY));
    EXPECT_OK(ptrace(PTRACE_SEIZE, child, nullptr, nullptr));
  });
  EXPECT_CHILD_OK([&] {
    // The same group, another user.
    BecomeUser(kUser + 1, kGroup);
    EXPECT_ERRNO(open((proc + "/environ").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, child, nullptr, nullptr), EPERM);
    EXPECT_ERRNO(kill(child, SIGKILL), EPERM);
  });
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

// --- exec ---

// Runs "/proc/self/exe --list" as `program`, whose mode and owner tell what happens to the ids.
std::string IdsAfterExec(const char* program) {
  int ends[2];
  ASSERT_OK(pipe(ends));
  const pid_t child = Fork([&] {
    ASSERT_OK(dup2(ends[1], 1));
    execl(program, program, "print_ids", "--in-process", nullptr);
    FAIL("exec: " + ErrnoName(errno));
  });
  close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t got = read(ends[0], text.data(), text.size());
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  close(ends[0]);
  EXPECT_EQ(WaitFor(child), 0);
  return text.substr(0, text.find('\n'));
}

// Not a test of itself: what IdsAfterExec runs.
TEST(print_ids) {
  const std::string status = Squeezed(ReadAll("/proc/self/status"));
  const size_t at = status.find("CapEff: ");
  const std::string caps = status.substr(at + 8, 16);
  dprintf(1, "%d %d %d %d %s\n", getuid(), geteuid(), getgid(), getegid(), caps.c_str());
}

void CopySelf(const char* to, mode_t mode, uid_t uid, gid_t gid) {
  const int in = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
  const int out = ASSERT_OK(open(to, O_CREAT | O_WRONLY, 0700));
  char buffer[65536];
  for (ssize_t got; (got = read(in, buffer, sizeof(buffer))) > 0;) ASSERT_EQ(write(out, buffer, got), got);
  ASSERT_OK(fchown(out, uid, gid));
  ASSERT_OK(fchmod(out, mode));
  close(in);
  close(out);
}

TEST(set_user_id_programs) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  CopySelf("of_root", 06755, 0, 0);
  CopySelf("of_mapped", 06755, 5003, 6004);
  CopySelf("of_half", 06755, 5003, 0);
  CopySelf("plain", 0755, 0, 0);
  EXPECT_EQ(RunInNamespace(
                0,
                [](pid_t child) {
                  const std::string proc = "/proc/" + std::to_string(child);
                  ASSERT_OK(WriteTo(proc + "/uid_map", "0 5000 10"));
                  ASSERT_OK(WriteTo(proc + "/gid_map", "0 6000 10"));
                },
                [] {
                  BecomeRootInside();
                  EXPECT_EQ(IdsAfterExec("./plain"), "0 0 0 0 000001ffffffffff");
                  ASSERT_OK(setresgid(1, 1, 1));
                  ASSERT_OK(setresuid(1, 1, 1));
                  EXPECT_EQ(IdsAfterExec("./plain"), "1 1 1 1 0000000000000000");
                  EXPECT_EQ(IdsAfterExec("./of_root"), "1 1 1 1 0000000000000000");
                  EXPECT_EQ(IdsAfterExec("./of_half"), "1 1 1 1 0000000000000000");
                  EXPECT_EQ(IdsAfterExec("./of_mapped"), "1 3 1 4 0000000000000000");
                }),
            0);
}

TEST(file_capabilities_have_a_namespace) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  CopySelf("program", 0755, 5001, 6001);
  vfs_ns_cap_data value{};
  value.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  value.data[0].permitted = 1u << CAP_NET_RAW;
  constexpr const char* kName = "security.capability";
  const std::string raw = "0000000000002000";
  if (setxattr("program", kName, &value, XATTR_CAPS_SZ_2, 0) != 0 && errno == EOPNOTSUPP)
    SKIP("no xattrs here");
  ASSERT_OK(removexattr("program", kName));
  EXPECT_EQ(RunInNamespace(
                0,
                [](pid_t child) {
                  const std::string proc = "/proc/" + std::to_string(child);
                  ASSERT_OK(WriteTo(proc + "/uid_map", "0 5000 10"));
                  ASSERT_OK(WriteTo(proc + "/gid_map", "0 6000 10"));
                },
                [&] {
                  ASSERT_OK(setresgid(0, 0, 0));
                  ASSERT_OK(setresuid(0, 0, 0));
                  ASSERT_OK(setxattr("program", kName, &value, XATTR_CAPS_SZ_2, 0));
                  vfs_ns_cap_data got{};
                  EXPECT_EQ(getxattr("program", kName, &got, sizeof(got)), XATTR_CAPS_SZ_2);
                  EXPECT_EQ(got.magic_etc, value.magic_etc);
                  vfs_ns_cap_data other = value;
                  other.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE;
                  other.rootid = 50;
                  EXPECT_ERRNO(setxattr("program", kName, &other, XATTR_CAPS_SZ_3, 0), EINVAL);
                  ASSERT_OK(setresuid(2, 2, 2));
                  EXPECT_EQ(IdsAfterExec("./program"), "2 2 0 0 " + raw);
                }),
            0);
  // Outside, it is shown whose they are, and they do not count.
  vfs_ns_cap_data got{};
  EXPECT_EQ(getxattr("program", kName, &got, sizeof(got)), XATTR_CAPS_SZ_3);
  EXPECT_EQ(got.rootid, 5000);
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setresuid(kUser, kUser, kUser));
    EXPECT_EQ(IdsAfterExec("./program"), "1234 1234 0 0 0000000000000000");
  });
  // Nor in a namespace with another root.
  EXPECT_CHILD_OK([&] {
    BecomeFakeRoot();
    EXPECT_ERRNO(getxattr("program", kName, &got, sizeof(got)), EOVERFLOW);
    EXPECT_ERRNO(setxattr("program", kName, &value, XATTR_CAPS_SZ_2, 0), EPERM);
  });
  // Root's own count below.
  ASSERT_OK(setxattr("program", kName, &value, XATTR_CAPS_SZ_2, 0));
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    ASSERT_OK(unshare(CLONE_NEWUSER));
    MapSelf(5, 5, kUser, kGroup);
    EXPECT_EQ(getxattr("program", kName, &got, sizeof(got)), XATTR_CAPS_SZ_2);
    EXPECT_EQ(IdsAfterExec("./program"), "5 5 5 5 " + raw);
  });
}

TEST(a_program_that_may_not_be_read) {
  NeedRoot();
  Scratch scratch;
  ASSERT_OK(chmod(".", 0777));
  CopySelf("unreadable", 0711, 0, 0);
  BecomeUser(kUser, kGroup);
  Gate ready, done;
  int ends[2];
  ASSERT_OK(pipe(ends));
  const pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER));
    MapSelf(0, 0, kUser, kGroup);
    const pid_t program = Fork([&] {
      ASSERT_OK(dup2(ends[1], 1));
      execl("./unreadable", "unreadable", "print_and_wait", "--in-process", nullptr);
      FAIL("exec");
    });
    char byte;
    ASSERT_EQ(read(ends[0], &byte, 1), 1);
    const std::string proc = "/proc/" + std::to_string(program);
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, program, nullptr, nullptr), EPERM);
    EXPECT_ERRNO(open((proc + "/mem").c_str(), O_RDONLY), EACCES);
    EXPECT_ERRNO(open((proc + "/exe").c_str(), O_RDONLY), EACCES);
    EXPECT_OK(kill(program, SIGKILL));
    WaitFor(program);
  });
  EXPECT_EQ(WaitFor(child), 0);
}

// Not a test of itself: what the one above runs; by hand it ends at once.
TEST(print_and_wait) {
  struct stat st {};
  EXPECT_OK(fstat(1, &st));
  if (!S_ISFIFO(st.st_mode) || program_invocation_short_name != std::string("unreadable")) return;
  ASSERT_EQ(write(1, "x", 1), 1);
  for (;;) pause();
}

}  // namespace
