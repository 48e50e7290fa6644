// mount(2), umount2(2), pivot_root(2) and chroot(2), in a mount namespace of the test's own.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <fstream>

#include "test/syscalls/mount_table.h"
#include "test/syscalls/syscall_test.h"

namespace {

int Create(const char* path) { return open(path, O_CREAT | O_RDWR, 0644); }
int Pivot(const char* to, const char* old) { return static_cast<int>(syscall(SYS_pivot_root, to, old)); }

}  // namespace

TEST(a_mount_hides_and_comes_off) {
  Scratch scratch;
  ASSERT_OK(mkdir("m", 0755));
  ASSERT_OK(Create("m/below"));
  ASSERT_OK(mount("t", "m", "tmpfs", 0, "size=8k,nr_inodes=4"));
  EXPECT_ERRNO(open("m/below", O_RDONLY), ENOENT);
  int fd = ASSERT_OK(Create("m/f"));
  std::string big(16384, 'x');
  EXPECT_EQ(write(fd, big.data(), big.size()), 8192);
  EXPECT_ERRNO(write(fd, "x", 1), ENOSPC);
  struct statfs st;
  ASSERT_OK(statfs("m", &st));
  EXPECT_EQ(st.f_type, 0x01021994);
  EXPECT_EQ(st.f_blocks, 2u);
  EXPECT_EQ(st.f_bfree, 0u);
  EXPECT_ERRNO(umount("m"), EBUSY);
  EXPECT_ERRNO(rmdir("m"), EBUSY);
  EXPECT_ERRNO(rename("m", "n"), EBUSY);
  ASSERT_OK(close(fd));
  ASSERT_OK(umount("m"));
  EXPECT_OK(open("m/below", O_RDONLY));
  EXPECT_ERRNO(umount("m"), EINVAL);
  EXPECT_ERRNO(mount("t", "m", "nonsensefs", 0, nullptr), ENODEV);
  EXPECT_ERRNO(mount("t", "m", "tmpfs", 0, "bogus=1"), EINVAL);
  EXPECT_ERRNO(mount("t", "m/below", "tmpfs", 0, nullptr), ENOTDIR);
}

TEST(binds_and_read_only) {
  Scratch scratch;
  ASSERT_OK(mkdir("a", 0755));
  ASSERT_OK(mkdir("b", 0755));
  ASSERT_OK(Create("a/f"));
  ASSERT_OK(mount("a", "b", nullptr, MS_BIND, nullptr));
  EXPECT_OK(close(ASSERT_OK(open("b/f", O_RDWR))));
  EXPECT_ERRNO(rename("a/f", "b/g"), EXDEV);
  EXPECT_ERRNO(link("a/f", "b/g"), EXDEV);
  ASSERT_OK(mount(nullptr, "b", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr));
  EXPECT_ERRNO(open("b/f", O_RDWR), EROFS);
  EXPECT_ERRNO(open("b/new", O_CREAT | O_RDWR, 0644), EROFS);
  EXPECT_ERRNO(unlink("b/f"), EROFS);
  EXPECT_ERRNO(mkdir("b/d", 0755), EROFS);
  EXPECT_ERRNO(chmod("b/f", 0600), EROFS);
  EXPECT_ERRNO(access("b/f", W_OK), EROFS);
  EXPECT_OK(open("a/f", O_RDWR));
  ASSERT_OK(Create("file"));
  ASSERT_OK(mount("a/f", "file", nullptr, MS_BIND, nullptr));
  struct stat x, y;
  ASSERT_OK(stat("a/f", &x));
  ASSERT_OK(stat("file", &y));
  EXPECT_EQ(x.st_ino, y.st_ino);
  ASSERT_OK(umount2("file", MNT_DETACH));
}

TEST(moving_and_detaching) {
  Scratch scratch;
  ASSERT_OK(mkdir("a", 0755));
  ASSERT_OK(mkdir("b", 0755));
  ASSERT_OK(mount("t", "a", "tmpfs", 0, nullptr));
  ASSERT_OK(mkdir("a/sub", 0755));
  ASSERT_OK(mount("t", "a/sub", "tmpfs", 0, nullptr));
  int fd = ASSERT_OK(Create("a/sub/f"));
  EXPECT_ERRNO(mount("a", "a/sub", nullptr, MS_MOVE, nullptr), ELOOP);
  ASSERT_OK(mount("a", "b", nullptr, MS_MOVE, nullptr));
  EXPECT_OK(access("b/sub/f", F_OK));
  EXPECT_ERRNO(umount("b"), EBUSY);
  ASSERT_OK(umount2("b", MNT_DETACH));
  EXPECT_ERRNO(access("b/sub/f", F_OK), ENOENT);
  EXPECT_EQ(write(fd, "x", 1), 1);
}

TEST(pivot_root_and_chroot) {
  Scratch scratch;
  ASSERT_OK(mkdir("new", 0755));
  ASSERT_OK(mount("t", "new", "tmpfs", 0, nullptr));
  ASSERT_OK(mkdir("new/old", 0755));
  ASSERT_OK(mkdir("new/jail", 0755));
  EXPECT_ERRNO(Pivot("new/jail", "new/old"), EINVAL);
  ASSERT_OK(Pivot("new", "new/old"));
  ASSERT_OK(chdir("/"));
  EXPECT_OK(access("/jail", F_OK));
  ASSERT_OK(umount2("/old", MNT_DETACH));
  EXPECT_OK(rmdir("/old"));
  ASSERT_OK(chroot("/jail"));
  char cwd[64];
  ASSERT_OK(syscall(SYS_getcwd, cwd, sizeof(cwd)));
  EXPECT_EQ(std::string(cwd), "(unreachable)/");
  EXPECT_ERRNO(access("/jail", F_OK), ENOENT);
  ASSERT_OK(chdir("/"));
  ASSERT_OK(chdir(".."));
  ASSERT_OK(syscall(SYS_getcwd, cwd, sizeof(cwd)));
  EXPECT_EQ(std::string(cwd), "/");
}

TEST(what_may_be_bound) {
  Scratch scratch;
  ASSERT_OK(Create("ns"));
  ASSERT_OK(mount("/proc/self/ns/uts", "ns", nullptr, MS_BIND, nullptr));
  struct stat x, y;
  ASSERT_OK(stat("/proc/self/ns/uts", &x));
  ASSERT_OK(stat("ns", &y));
  EXPECT_EQ(x.st_ino, y.st_ino);
  int fd = ASSERT_OK(open("ns", O_RDONLY));
  EXPECT_OK(setns(fd, CLONE_NEWUTS));
  ASSERT_OK(close(fd));
  ASSERT_OK(umount("ns"));
  EXPECT_ERRNO(mount("/proc/self/ns/mnt", "ns", nullptr, MS_BIND, nullptr), EINVAL);  // in itself
  int ends[2];
  ASSERT_OK(pipe(ends));
  std::string name = "/proc/self/fd/" + std::to_string(ends[0]);
  EXPECT_ERRNO(mount(name.c_str(), "ns", nullptr, MS_BIND, nullptr), EINVAL);
  EXPECT_ERRNO(mount("", "ns", nullptr, MS_BIND, nullptr), EINVAL);
  EXPECT_ERRNO(mount(nullptr, "ns", nullptr, MS_BIND, nullptr), EINVAL);
  // Mounts that are no longer mounted.
  ASSERT_OK(mkdir("a", 0755));
  ASSERT_OK(mkdir("b", 0755));
  ASSERT_OK(mount("t", "a", "tmpfs", 0, nullptr));
  ASSERT_OK(mkdir("a/dir", 0755));
  int gone = ASSERT_OK(open("a", O_PATH));
  ASSERT_OK(umount2("a", MNT_DETACH));
  name = "/proc/self/fd/" + std::to_string(gone);
  EXPECT_ERRNO(mount(name.c_str(), "b", nullptr, MS_BIND, nullptr), EINVAL);
  EXPECT_ERRNO(mount(name.c_str(), "b", nullptr, MS_MOVE, nullptr), EINVAL);
  EXPECT_ERRNO(mount(nullptr, name.c_str(), nullptr, MS_REMOUNT, nullptr), EINVAL);
  EXPECT_ERRNO(umount(name.c_str()), EINVAL);
  EXPECT_OK(faccessat(gone, "dir", F_OK, 0));
  // A deleted directory.
  ASSERT_OK(mkdir("gone", 0755));
  int dir = ASSERT_OK(open("gone", O_PATH));
  ASSERT_OK(rmdir("gone"));
  name = "/proc/self/fd/" + std::to_string(dir);
  EXPECT_ERRNO(mount("t", name.c_str(), "tmpfs", 0, nullptr), ENOENT);
}

// Of two namespaces one is the younger, whose file can be bound in the other; mostly that which was made
// later (Linux 6.18 numbers them by CPU).
TEST(a_younger_mount_namespace_can_be_bound) {
  Scratch scratch;
  ASSERT_OK(Create("ns"));
  int ready[2], go[2];
  ASSERT_OK(pipe(ready));
  ASSERT_OK(pipe(go));
  pid_t child = fork();
  if (child == 0) {
    std::string parent = "/proc/" + std::to_string(getppid()) + "/ns/mnt";
    if (unshare(CLONE_NEWNS) != 0) _exit(1);
    errno = 0;
    char byte = mount(parent.c_str(), "ns", nullptr, MS_BIND, nullptr) == 0 ? 'b'
                : errno == EINVAL                                           ? 'r'
                                                                            : '?';
    _exit(write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1 ? 0 : 1);
  }
  close(ready[1]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  std::string name = "/proc/" + std::to_string(child) + "/ns/mnt";
  const bool bound = mount(name.c_str(), "ns", nullptr, MS_BIND, nullptr) == 0;
  if (!bound) EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(byte, bound ? 'r' : 'b');
  if (bound) {
    struct stat x, y;
    ASSERT_OK(stat(name.c_str(), &x));
    ASSERT_OK(stat("ns", &y));
    EXPECT_EQ(x.st_ino, y.st_ino);
  }
  ASSERT_EQ(write(go[1], "x", 1), 1);
  int status;
  ASSERT_OK(waitpid(child, &status, 0));
  EXPECT_EQ(status, 0);
  if (!bound) return;
  int fd = ASSERT_OK(open("ns", O_RDONLY));
  EXPECT_OK(setns(fd, CLONE_NEWNS));
  EXPECT_OK(access(scratch.path, F_OK));
}

// The mounts of other namespaces keep no name.
TEST(a_mount_point_of_another_namespace_can_be_removed) {
  Scratch scratch;
  for (const char* path : {"dir", "dir2", "from"}) ASSERT_OK(mkdir(path, 0755));
  ASSERT_OK(Create("file"));
  int ready[2], go[2];
  ASSERT_OK(pipe(ready));
  ASSERT_OK(pipe(go));
  pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWNS));
    for (const char* path : {"dir", "dir2"}) ASSERT_OK(mount("t", path, "tmpfs", 0, nullptr));
    ASSERT_OK(mkdir("dir/in", 0755));
    ASSERT_OK(mount("t", "dir/in", "tmpfs", 0, nullptr));
    ASSERT_OK(mount("/proc/self/stat", "file", nullptr, MS_BIND, nullptr));
    EXPECT_ERRNO(rmdir("dir"), EBUSY);
    ASSERT_EQ(write(ready[1], "x", 1), 1);
    char byte;
    ASSERT_EQ(read(go[0], &byte, 1), 1);
    EXPECT_ERRNO(access("dir", F_OK), ENOENT);
    EXPECT_ERRNO(access("file", F_OK), ENOENT);
    EXPECT_OK(access("dir2/moved", F_OK));
    EXPECT_ERRNO(umount("dir2"), EINVAL);
    struct statfs st;
    EXPECT_OK(statfs(".", &st));
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);)
      for (const char* name : {"dir", "dir2", "file"})
        if (line.find(scratch / name) != std::string::npos) FAIL(line);
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_OK(rmdir("dir"));
  EXPECT_OK(unlink("file"));
  ASSERT_OK(mkdir("from/moved", 0755));
  EXPECT_OK(rename("from", "dir2"));
  ASSERT_EQ(write(go[1], "x", 1), 1);
  int status;
  ASSERT_OK(waitpid(child, &status, 0));
  EXPECT_EQ(status, 0);
}
