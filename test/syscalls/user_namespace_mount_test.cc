// Mounts of a less privileged mount namespace: what is locked in it, and what may be mounted there.
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "test/syscalls/scratch.h"
#include "test/syscalls/user_namespace.h"

namespace {

using namespace syscall_test;

constexpr uid_t kUser = 1234;
constexpr gid_t kGroup = 2345;

// In a mount namespace of root's own: a scratch directory that is a tmpfs, with "ro", "plain" and "covered"
// in it.
struct Tree {
  Tree() {
    NeedRoot();
    ASSERT_OK(unshare(CLONE_NEWNS));
    ASSERT_OK(::mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr));
    ASSERT_OK(::mount("tree", scratch.path, "tmpfs", 0, "mode=0777"));
    ASSERT_OK(chdir(scratch.path));
    for (const char* name : {"ro", "plain", "covered", "at"}) ASSERT_OK(mkdir(name, 0777));
    ASSERT_OK(
        ::mount("ro", "ro", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, nullptr));
    ASSERT_OK(::mount("plain", "plain", "tmpfs", 0, "mode=0777"));
    ASSERT_OK(close(ASSERT_OK(creat("covered/secret", 0644))));
    ASSERT_OK(::mount("cover", "covered", "tmpfs", 0, "mode=0777"));
  }
  ~Tree() {
    if (chdir("/") == 0) umount2(scratch.path, MNT_DETACH);
  }
  Scratch scratch;
};

void BecomeFakeRoot(int flags = CLONE_NEWNS) {
  BecomeUser(kUser, kGroup);
  ASSERT_OK(unshare(CLONE_NEWUSER | flags));
  MapSelf(0, 0, kUser, kGroup);
}

TEST(inherited_mounts_are_locked) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    EXPECT_ERRNO(umount("covered"), EINVAL);
    EXPECT_ERRNO(umount2("covered", MNT_DETACH), EINVAL);
    EXPECT_ERRNO(::mount("covered", "at", nullptr, MS_MOVE, nullptr), EINVAL);
    EXPECT_ERRNO(::mount(".", "at", nullptr, MS_BIND, nullptr), EINVAL);  // would show what is covered
    EXPECT_ERRNO(syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE), EINVAL);
    ASSERT_OK(::mount(".", "at", nullptr, MS_BIND | MS_REC, nullptr));
    EXPECT_ERRNO(access("at/covered/secret", F_OK), ENOENT);
    EXPECT_ERRNO(umount("at/covered"), EINVAL);
    EXPECT_OK(umount2("at", MNT_DETACH));
    // One that it has mounted itself is its own.
    ASSERT_OK(::mount("mine", "covered", "tmpfs", 0, nullptr));
    EXPECT_OK(umount("covered"));
    EXPECT_ERRNO(access("covered/secret", F_OK), ENOENT);
    // A part without anything locked below may be had.
    ASSERT_OK(::mount("plain", "at", nullptr, MS_BIND, nullptr));
    EXPECT_OK(umount("at"));
  });
  EXPECT_OK(umount("covered"));
  EXPECT_OK(access("covered/secret", F_OK));
}

TEST(locked_flags) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    constexpr unsigned long kAll = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
    auto remount = [](unsigned long flags) {
      return ::mount("none", "ro", nullptr, MS_REMOUNT | MS_BIND | flags, nullptr);
    };
    for (unsigned long flag : {MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC})
      EXPECT_ERRNO(remount(kAll & ~flag), EPERM);
    EXPECT_ERRNO(remount((kAll & ~MS_NOATIME) | MS_STRICTATIME), EPERM);
    EXPECT_OK(remount(kAll));
    struct mount_attr attributes {};
    attributes.attr_clr = MOUNT_ATTR_RDONLY;
    EXPECT_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "ro", 0, &attributes, sizeof(attributes)), EPERM);
    // The filesystem is somebody else's.
    EXPECT_ERRNO(::mount("none", "plain", nullptr, MS_REMOUNT, "size=1m"), EPERM);
    EXPECT_OK(::mount("none", "plain", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr));
    EXPECT_ERRNO(creat("plain/x", 0600), EROFS);
    EXPECT_OK(::mount("none", "plain", nullptr, MS_REMOUNT | MS_BIND, nullptr));  // its own doing
    EXPECT_OK(close(ASSERT_OK(creat("plain/x", 0600))));
    // A copy inherits what is locked.
    ASSERT_OK(::mount("ro", "at", nullptr, MS_BIND, nullptr));
    EXPECT_ERRNO(::mount("none", "at", nullptr, MS_REMOUNT | MS_BIND, nullptr), EPERM);
    ASSERT_OK(unshare(CLONE_NEWNS));
    EXPECT_ERRNO(::mount("none", "at", nullptr, MS_REMOUNT | MS_BIND, nullptr), EPERM);
    EXPECT_OK(umount("at"));  // copies in a namespace of the same owner are not locked any further
  });
}

TEST(propagation_goes_one_way) {
  Tree tree;
  ASSERT_OK(::mount("none", "plain", nullptr, MS_SHARED, nullptr));
  ASSERT_OK(mkdir("plain/below", 0777));
  Gate made, mounted, looked, done;
  const pid_t child = Fork([&] {
    BecomeFakeRoot();
    made.Open();
    mounted.Pass();
    // What comes from above is the copy's top, and so can be unmounted, but for what is below it.
    EXPECT_OK(access("plain/below/in/file", F_OK));
    EXPECT_ERRNO(umount("plain/below/in"), EINVAL);
    EXPECT_ERRNO(::mount("none", "plain/below", nullptr, MS_REMOUNT | MS_BIND, nullptr), EPERM);
    ASSERT_OK(::mount("mine", "plain/below/in", "tmpfs", 0, nullptr));
    looked.Open();
    done.Pass();
  });
  made.Pass();
  // A tree of two mounts arrives at once.
  ASSERT_OK(mkdir("tree", 0777));
  ASSERT_OK(::mount("top", "tree", "tmpfs", 0, "mode=0777"));
  ASSERT_OK(mkdir("tree/in", 0777));
  ASSERT_OK(::mount("in", "tree/in", "tmpfs", 0, "mode=0777"));
  ASSERT_OK(close(ASSERT_OK(creat("tree/in/file", 0644))));
  ASSERT_OK(::mount("none", "tree", nullptr, MS_REMOUNT | MS_BIND | MS_NOSUID, nullptr));
  ASSERT_OK(::mount("tree", "plain/below", nullptr, MS_BIND | MS_REC, nullptr));
  mounted.Open();
  looked.Pass();
  EXPECT_OK(access("plain/below/in/file", F_OK));  // nothing came up
  EXPECT_OK(umount2("plain/below", MNT_DETACH));
  done.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(what_may_be_mounted) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    ASSERT_OK(::mount("mine", "at", "tmpfs", 0, "mode=0755"));
    struct stat st;
    EXPECT_OK(stat("at", &st));
    EXPECT_EQ(st.st_uid, 0);
    EXPECT_OK(mkdir("at/dir", 0755));
    EXPECT_ERRNO(chown("at/dir", 5, 5), EINVAL);
    EXPECT_ERRNO(mknod("at/null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
    EXPECT_OK(::mount("none", "at", nullptr, MS_REMOUNT, "size=1m"));
    EXPECT_OK(::mount("mine", "at/dir", "ramfs", 0, nullptr));
    EXPECT_ERRNO(::mount("mine", "at", "tmpfs", 0, "uid=5"), EINVAL);
    // Of namespaces that are not its own.
    EXPECT_ERRNO(::mount("mine", "at", "proc", 0, nullptr), EPERM);
    EXPECT_ERRNO(::mount("mine", "at", "mqueue", 0, nullptr), EPERM);
    EXPECT_ERRNO(::mount("mine", "at", "sysfs", 0, nullptr), EPERM);
    EXPECT_ERRNO(::mount("mine", "at", "cgroup2", 0, nullptr), EPERM);
    EXPECT_ERRNO(::mount("mine", "at", "devtmpfs", 0, nullptr), EPERM);
    const int context = static_cast<int>(ASSERT_OK(syscall(SYS_fsopen, "mqueue", 0)));
    EXPECT_ERRNO(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), EPERM);
  });
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot(CLONE_NEWNS | CLONE_NEWIPC);
    EXPECT_OK(::mount("mine", "at", "mqueue", 0, nullptr));
  });
}

TEST(devices_count_only_on_mounts_of_root) {
  Tree tree;
  umask(0);
  ASSERT_OK(mknod("plain/null", S_IFCHR | 0666, makedev(1, 3)));
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    EXPECT_OK(open("plain/null", O_RDWR));
    ASSERT_OK(::mount("mine", "at", "tmpfs", 0, nullptr));
    ASSERT_OK(close(ASSERT_OK(creat("at/null", 0600))));
    ASSERT_OK(::mount("plain/null", "at/null", nullptr, MS_BIND, nullptr));
    EXPECT_OK(open("at/null", O_RDWR));
  });
  Gate made, put, done;
  const pid_t child = Fork([&] {
    BecomeFakeRoot();
    ASSERT_OK(::mount("mine", "at", "tmpfs", 0, "mode=0777"));
    made.Open();
    put.Pass();
    EXPECT_ERRNO(open("at/device", O_RDWR), EACCES);
    done.Open();
  });
  made.Pass();
  // Nobody without an id there can have a file there.
  const std::string place = "/proc/" + std::to_string(child) + "/cwd/at/";
  EXPECT_ERRNO(creat((place + "file").c_str(), 0600), EOVERFLOW);
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresgid(kGroup, kGroup, kGroup));
    ASSERT_OK(prctl(PR_SET_KEEPCAPS, 1));
    ASSERT_OK(syscall(SYS_setfsuid, kUser) * 0);
    EXPECT_OK(close(open((place + "file").c_str(), O_CREAT | O_WRONLY, 0600)));
    ASSERT_OK(syscall(SYS_setfsuid, 0) * 0);
    EXPECT_OK(chown((place + "file").c_str(), 77, -1));
  });
  EXPECT_CHILD_OK([&] {
    // With the user's ids and root's capabilities.
    ASSERT_OK(setresgid(kGroup, kGroup, kGroup));
    ASSERT_OK(prctl(PR_SET_SECUREBITS, 1 << 2));  // SECBIT_NO_SETUID_FIXUP
    ASSERT_OK(setresuid(kUser, kUser, kUser));
    EXPECT_OK(mknod((place + "device").c_str(), S_IFCHR | 0666, makedev(1, 3)));
    EXPECT_ERRNO(open((place + "device").c_str(), O_RDWR), EACCES);
  });
  put.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(proc_of_an_own_pid_namespace) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot(CLONE_NEWNS | CLONE_NEWPID);
    EXPECT_CHILD_OK([] {
      ASSERT_OK(::mount("mine", "at", "proc", 0, nullptr));
      EXPECT_EQ(LinkOf("at/self"), "1");
      EXPECT_OK(umount("at"));
      ASSERT_OK(::mount("mine", "/proc", "proc", 0, nullptr));
      EXPECT_EQ(LinkOf("/proc/self"), "1");
      EXPECT_ERRNO(WriteTo("/proc/sys/vm/laptop_mode", "0\n"), EACCES);
    });
  });
}

// A new instance must not show what is masked in the one that was given.
TEST(proc_that_is_masked) {
  Tree tree;
  ASSERT_OK(::mount("/dev/null", "/proc/meminfo", nullptr, MS_BIND, nullptr));
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot(CLONE_NEWNS | CLONE_NEWPID);
    EXPECT_CHILD_OK([] {
      EXPECT_ERRNO(::mount("mine", "at", "proc", 0, nullptr), EPERM);
      EXPECT_ERRNO(umount("/proc/meminfo"), EINVAL);
      EXPECT_ERRNO(umount2("/proc", MNT_DETACH), EINVAL);
      EXPECT_ERRNO(::mount("/proc", "at", nullptr, MS_BIND, nullptr), EINVAL);
      const int context = static_cast<int>(ASSERT_OK(syscall(SYS_fsopen, "proc", 0)));
      ASSERT_OK(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
      EXPECT_ERRNO(syscall(SYS_fsmount, context, 0, 0), EPERM);
      EXPECT_EQ(ReadAll("/proc/meminfo"), "");
    });
  });
  ASSERT_OK(umount("/proc/meminfo"));
  // One that is read-only cannot be had writable.
  Gate made, remounted;
  const pid_t child = Fork([&] {
    BecomeFakeRoot(CLONE_NEWPID);
    made.Open();
    remounted.Pass();
    ASSERT_OK(unshare(CLONE_NEWNS));
    EXPECT_CHILD_OK([] {
      EXPECT_ERRNO(::mount("mine", "at", "proc", 0, nullptr), EPERM);
      ASSERT_OK(::mount("mine", "at", "proc", MS_RDONLY, nullptr));
      EXPECT_ERRNO(::mount("none", "at", nullptr, MS_REMOUNT | MS_BIND, nullptr), EPERM);
    });
  });
  made.Pass();
  ASSERT_OK(::mount("none", "/proc", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr));
  remounted.Open();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(what_is_covered_stays_so_in_a_detached_tree) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    ASSERT_OK(::mount(".", "at", nullptr, MS_BIND | MS_REC, nullptr));
    const int fd = ASSERT_OK(open("at", O_PATH));
    ASSERT_OK(umount2("at", MNT_DETACH));
    EXPECT_OK(faccessat(fd, "covered", F_OK, 0));
    EXPECT_ERRNO(faccessat(fd, "covered/secret", F_OK, 0), ENOENT);
    EXPECT_ERRNO(openat(fd, "covered/secret", O_RDONLY), ENOENT);
    const int below = ASSERT_OK(openat(fd, "covered", O_PATH));
    EXPECT_ERRNO(openat(below, "secret", O_RDONLY), ENOENT);
    close(below);
    close(fd);
  });
}

TEST(an_own_root) {
  Tree tree;
  EXPECT_CHILD_OK([] {
    BecomeFakeRoot();
    EXPECT_ERRNO(syscall(SYS_pivot_root, "covered", "covered"), EINVAL);  // it is locked
    ASSERT_OK(::mount("root", "at", "tmpfs", 0, nullptr));
    ASSERT_OK(mkdir("at/old", 0700));
    ASSERT_OK(chdir("at"));
    ASSERT_OK(syscall(SYS_pivot_root, ".", "old"));
    ASSERT_OK(chdir("/"));
    EXPECT_OK(umount2("old", MNT_DETACH));
    EXPECT_OK(rmdir("old"));
    // It is no chroot: there can be another namespace below.
    EXPECT_OK(unshare(CLONE_NEWUSER));
  });
}

TEST(groups_of_mounts_of_others_cannot_be_joined) {
  Tree tree;
  ASSERT_OK(::mount("none", "plain", nullptr, MS_SHARED, nullptr));
  const int outside = ASSERT_OK(open("plain", O_PATH));
  EXPECT_CHILD_OK([&] {
    BecomeFakeRoot();
    ASSERT_OK(::mount("plain", "at", nullptr, MS_BIND, nullptr));
    ASSERT_OK(::mount("none", "at", nullptr, MS_PRIVATE, nullptr));
    constexpr unsigned kSetGroup = 0x100, kFromEmpty = 0x4;
    EXPECT_ERRNO(syscall(SYS_move_mount, outside, "", AT_FDCWD, "at", kSetGroup | kFromEmpty), EPERM);
  });
}

TEST(cgroup_namespaces) {
  NeedRoot();
  const std::string before = LinkOf("/proc/self/ns/cgroup");
  const int first = ASSERT_OK(open("/proc/self/ns/cgroup", O_RDONLY));
  ASSERT_OK(unshare(CLONE_NEWCGROUP));
  EXPECT_NE(LinkOf("/proc/self/ns/cgroup"), before);
  const std::string own = ReadAll("/proc/self/cgroup");
  const size_t at = own.find("0::/");
  if (at != std::string::npos) EXPECT_EQ(own.substr(at, own.find('\n', at) - at), "0::/");
  EXPECT_OK(setns(first, CLONE_NEWCGROUP));
  EXPECT_EQ(LinkOf("/proc/self/ns/cgroup"), before);
  EXPECT_CHILD_OK([&] {
    BecomeUser(kUser, kGroup);
    EXPECT_ERRNO(unshare(CLONE_NEWCGROUP), EPERM);
    EXPECT_ERRNO(setns(first, 0), EPERM);
    EXPECT_OK(unshare(CLONE_NEWUSER | CLONE_NEWCGROUP));
  });
}

}  // namespace
