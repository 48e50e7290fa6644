// mount_setattr(2), and what the attributes of a mount do.
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <vector>

#include "test/syscalls/mount_table.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace {

int SetAttributes(int dir, const char* path, unsigned flags, uint64_t set, uint64_t clear = 0,
                  uint64_t propagation = 0) {
  struct mount_attr attributes = {set, clear, propagation, 0};
  return static_cast<int>(syscall(SYS_mount_setattr, dir, path, flags, &attributes, sizeof(attributes)));
}
int Set(const char* path, uint64_t set, uint64_t clear = 0) {
  return SetAttributes(AT_FDCWD, path, 0, set, clear);
}

timespec Accessed(const char* path) {
  struct stat st;
  ASSERT_OK(stat(path, &st));
  return st.st_atim;
}
bool ReadChangesAtime(const char* path) {
  const timespec old[2] = {{1000, 0}, {2000, 0}};
  ASSERT_OK(utimensat(AT_FDCWD, path, old, 0));
  usleep(20000);  // later than the change of the inode, by a tick
  int fd = ASSERT_OK(open(path, O_RDONLY));
  char byte;
  EXPECT_EQ(read(fd, &byte, 1), 1);
  close(fd);
  return Accessed(path).tv_sec != 1000;
}
bool SecondReadChangesAtime(const char* path) {
  EXPECT_TRUE(ReadChangesAtime(path));
  timespec first = Accessed(path);
  usleep(20000);
  int fd = ASSERT_OK(open(path, O_RDONLY));
  char byte;
  EXPECT_EQ(read(fd, &byte, 1), 1);
  close(fd);
  timespec second = Accessed(path);
  return first.tv_sec != second.tv_sec || first.tv_nsec != second.tv_nsec;
}
void WriteFile(const char* path, const char* text, int mode = 0755) {
  int fd = ASSERT_OK(open(path, O_CREAT | O_TRUNC | O_WRONLY, mode));
  ASSERT_EQ(write(fd, text, strlen(text)), static_cast<ssize_t>(strlen(text)));
  close(fd);
}
void CopySelf(const char* to) {
  std::ifstream in("/proc/self/exe", std::ios::binary);
  std::ofstream(to, std::ios::binary) << in.rdbuf();
  ASSERT_OK(chmod(to, 0755));
}

}  // namespace

TEST(arguments) {
  Scratch s;
  MakeDirs({"a", "a/dir"});
  ASSERT_OK(Tmpfs("a"));
  struct mount_attr attributes = {};
  auto call = [&](const char* path, unsigned flags, void* from, size_t size) {
    return syscall(SYS_mount_setattr, AT_FDCWD, path, flags, from, size);
  };
  EXPECT_ERRNO(call("a", 0x1, &attributes, sizeof(attributes)), EINVAL);
  EXPECT_ERRNO(call("a", 0, &attributes, 16), EINVAL);
  EXPECT_ERRNO(call("a", 0, &attributes, 1 << 20), E2BIG);
  EXPECT_ERRNO(call("a", 0, reinterpret_cast<void*>(8), sizeof(attributes)), EFAULT);
  EXPECT_OK(call("none", 0, &attributes, sizeof(attributes)));  // nothing is asked
  struct {
    struct mount_attr known;
    uint64_t later;
  } larger = {{MOUNT_ATTR_NODEV, 0, 0, 0}, 0};
  EXPECT_OK(call("a", 0, &larger, sizeof(larger)));
  larger.later = 1;
  EXPECT_ERRNO(call("a", 0, &larger, sizeof(larger)), E2BIG);
  EXPECT_ERRNO(Set("none", MOUNT_ATTR_RDONLY), ENOENT);
  ASSERT_OK(mkdir("a/dir", 0755));
  EXPECT_ERRNO(Set("a/dir", MOUNT_ATTR_RDONLY), EINVAL);
  EXPECT_ERRNO(Set("a", 0x1000000), EINVAL);
  EXPECT_ERRNO(Set("a", 0, 0x1000000), EINVAL);
  EXPECT_ERRNO(Set("a", MOUNT_ATTR_NOATIME), EINVAL);  // its mode is set by clearing it
  EXPECT_ERRNO(Set("a", MOUNT_ATTR_NOATIME, MOUNT_ATTR_NOATIME), EINVAL);
  EXPECT_ERRNO(Set("a", MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME), EINVAL);
  EXPECT_ERRNO(SetAttributes(AT_FDCWD, "a", 0, 0, 0, MS_SHARED | MS_PRIVATE), EINVAL);
  EXPECT_ERRNO(SetAttributes(AT_FDCWD, "a", 0, 0, 0, MS_REC), EINVAL);
  EXPECT_ERRNO(Set("a", 0, MOUNT_ATTR_IDMAP), EINVAL);
  EXPECT_ERRNO(SetAttributes(99, "a", 0, MOUNT_ATTR_RDONLY), EBADF);
  EXPECT_ERRNO(SetAttributes(AT_FDCWD, "", 0, MOUNT_ATTR_RDONLY), ENOENT);
  ASSERT_OK(symlink("a", "link"));
  EXPECT_ERRNO(SetAttributes(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, MOUNT_ATTR_RDONLY), EINVAL);
  EXPECT_OK(Set("link", MOUNT_ATTR_RDONLY));
  int fd = ASSERT_OK(open("a", O_PATH));
  EXPECT_OK(SetAttributes(fd, "", AT_EMPTY_PATH, 0, MOUNT_ATTR_RDONLY));
  ASSERT_EQ(setegid(1), 0);
  ASSERT_EQ(seteuid(1), 0);
  EXPECT_ERRNO(Set("a", MOUNT_ATTR_RDONLY), EPERM);
}

// By the user namespace that a program is in no mount is mapped: it stands for one that is not.
TEST(id_maps_of_the_wrong_namespace) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  int user = ASSERT_OK(open("/proc/self/ns/user", O_RDONLY));
  int other = ASSERT_OK(open("/proc/self/ns/mnt", O_RDONLY));
  int named = ASSERT_OK(open("/proc/self/ns/user", O_PATH));
  int null = ASSERT_OK(open("/dev/null", O_RDONLY));
  auto set = [](const char* path, uint64_t namespace_fd, uint64_t clear = 0) {
    struct mount_attr attributes = {MOUNT_ATTR_IDMAP, clear, 0, namespace_fd};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attributes, sizeof(attributes));
  };
  auto fd = [](int number) { return static_cast<uint64_t>(number); };
  EXPECT_ERRNO(set("a", fd(user)), EPERM);
  EXPECT_ERRNO(set("none", fd(user)), EPERM);
  EXPECT_ERRNO(set("a", fd(other)), EINVAL);
  EXPECT_ERRNO(set("a", fd(null)), EINVAL);
  EXPECT_ERRNO(set("a", fd(named)), EBADF);
  EXPECT_ERRNO(set("none", 99), EBADF);
  EXPECT_ERRNO(set("a", uint64_t{1} << 40), EINVAL);
  EXPECT_ERRNO(set("a", fd(user), MOUNT_ATTR_IDMAP), EINVAL);
  struct mount_attr unused = {MOUNT_ATTR_NODEV, 0, 0, 99};
  EXPECT_OK(syscall(SYS_mount_setattr, AT_FDCWD, "a", 0, &unused, sizeof(unused)));
}

TEST(set_clear_and_show) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  ASSERT_OK(Set("a", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NODIRATIME));
  MountEntry a = MountOn(s / "a");
  for (const char* name : {"rw", "nosuid", "nodev", "nosymfollow", "nodiratime", "relatime"})
    EXPECT_TRUE(a.Has(name));
  ASSERT_OK(Set("a", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME,
                MOUNT_ATTR_NOSUID | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME));
  a = MountOn(s / "a");
  for (const char* name : {"ro", "nodev", "noexec", "noatime"}) EXPECT_TRUE(a.Has(name));
  for (const char* name : {"rw", "nosuid", "relatime", "nodiratime"}) EXPECT_FALSE(a.Has(name));
  EXPECT_TRUE(a.super_options.starts_with("rw"));
  struct statvfs st;
  ASSERT_OK(statvfs("a", &st));
  EXPECT_EQ(st.f_flag & (ST_RDONLY | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NOSUID),
            ST_RDONLY | ST_NODEV | ST_NOEXEC | ST_NOATIME);
  // What is set wins over what is cleared.
  ASSERT_OK(Set("a", MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
  EXPECT_TRUE(MountOn(s / "a").Has("ro"));
  ASSERT_OK(Set("a", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME));
  a = MountOn(s / "a");
  EXPECT_FALSE(a.Has("noatime") || a.Has("relatime"));
  // mount(2)'s remount keeps the mode of atime if it names none.
  ASSERT_OK(Mount(nullptr, "a", MS_REMOUNT | MS_BIND | MS_NOSUID));
  a = MountOn(s / "a");
  EXPECT_TRUE(a.Has("rw") && a.Has("nosuid"));
  EXPECT_FALSE(a.Has("noatime") || a.Has("relatime") || a.Has("noexec"));
  ASSERT_OK(Mount(nullptr, "a", MS_REMOUNT | MS_BIND | MS_RELATIME));
  EXPECT_TRUE(MountOn(s / "a").Has("relatime"));
}

TEST(whole_trees) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x"});
  ASSERT_OK(Tmpfs("a/x"));
  MakeDirs({"a/x/y"});
  ASSERT_OK(Tmpfs("a/x/y"));
  ASSERT_OK(Set("a", MOUNT_ATTR_NODEV));
  EXPECT_FALSE(MountOn(s / "a/x").Has("nodev"));
  ASSERT_OK(SetAttributes(AT_FDCWD, "a/x", AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, MS_SHARED));
  EXPECT_TRUE(MountOn(s / "a").Has("rw"));
  EXPECT_EQ(MountOn(s / "a").shared, 0);
  for (const char* path : {"a/x", "a/x/y"}) {
    EXPECT_TRUE(MountOn(s / path).Has("ro"));
    EXPECT_GT(MountOn(s / path).shared, 0);
  }
  EXPECT_NE(MountOn(s / "a/x").shared, MountOn(s / "a/x/y").shared);
  EXPECT_ERRNO(mkdir("a/x/y/z", 0755), EROFS);
  ASSERT_OK(SetAttributes(AT_FDCWD, "a", AT_RECURSIVE, 0, MOUNT_ATTR_RDONLY, MS_PRIVATE));
  EXPECT_EQ(MountOn(s / "a/x/y").shared, 0);
  int file = ASSERT_OK(open("a/x/y/f", O_CREAT | O_RDWR, 0644));
  // All or nothing.
  EXPECT_ERRNO(SetAttributes(AT_FDCWD, "a", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC), EBUSY);
  EXPECT_FALSE(MountOn(s / "a").Has("noexec"));
  EXPECT_TRUE(MountOn(s / "a").Has("rw"));
  close(file);
  EXPECT_OK(SetAttributes(AT_FDCWD, "a", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC));
  EXPECT_TRUE(MountOn(s / "a/x/y").Has("noexec"));
}

TEST(detached_trees) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x"});
  ASSERT_OK(Tmpfs("a/x"));
  int tree =
      ASSERT_OK(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE)));
  ASSERT_OK(SetAttributes(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, MS_SHARED));
  EXPECT_ERRNO(mkdirat(tree, "x/new", 0755), EROFS);
  EXPECT_OK(mkdir("a/x/new", 0755));
  ASSERT_OK(static_cast<int>(syscall(SYS_move_mount, tree, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH)));
  EXPECT_TRUE(MountOn(s / "b/x").Has("ro"));
  EXPECT_TRUE(MountOn(s / "a/x").Has("rw"));
  EXPECT_GT(MountOn(s / "b").shared, 0);
}

TEST(read_only) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a"));
  WriteFile("a/f", "x");
  ASSERT_OK(Mount("a", "b", MS_BIND));
  int writer = ASSERT_OK(open("b/f", O_WRONLY));
  EXPECT_ERRNO(Set("b", MOUNT_ATTR_RDONLY), EBUSY);
  EXPECT_ERRNO(Mount(nullptr, "b", MS_REMOUNT | MS_BIND | MS_RDONLY), EBUSY);
  // A shared mapping holds it as the descriptor does.
  ASSERT_OK(close(writer));
  writer = ASSERT_OK(open("b/f", O_RDWR));
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
  ASSERT_NE(map, MAP_FAILED);
  ASSERT_OK(close(writer));
  EXPECT_ERRNO(Set("b", MOUNT_ATTR_RDONLY), EBUSY);
  ASSERT_OK(munmap(map, 4096));
  ASSERT_OK(Set("b", MOUNT_ATTR_RDONLY));
  EXPECT_ERRNO(open("b/f", O_RDWR), EROFS);
  EXPECT_ERRNO(truncate("b/f", 0), EROFS);
  EXPECT_ERRNO(utimensat(AT_FDCWD, "b/f", nullptr, 0), EROFS);
  EXPECT_ERRNO(chmod("b/f", 0600), EROFS);
  EXPECT_ERRNO(access("b/f", W_OK), EROFS);
  EXPECT_OK(open("a/f", O_RDWR));
  // The filesystem as a whole.
  EXPECT_ERRNO(mount(nullptr, "a", nullptr, MS_REMOUNT | MS_RDONLY, nullptr), EBUSY);
}

TEST(a_read_only_filesystem) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a", "size=1m"));
  WriteFile("a/f", "x");
  ASSERT_OK(Mount("a", "b", MS_BIND));
  EXPECT_ERRNO(mount(nullptr, "a", nullptr, MS_REMOUNT, "bogus"), EINVAL);
  ASSERT_OK(mount(nullptr, "a", nullptr, MS_REMOUNT | MS_RDONLY, nullptr));
  EXPECT_ERRNO(open("b/f", O_RDWR), EROFS);
  EXPECT_TRUE(MountOn(s / "b").Has("rw"));
  EXPECT_TRUE(MountOn(s / "b").super_options.starts_with("ro"));
  ASSERT_OK(mount(nullptr, "a", nullptr, MS_REMOUNT, "size=4k"));
  int fd = ASSERT_OK(open("b/f", O_RDWR));
  std::string big(16384, 'x');
  EXPECT_EQ(write(fd, big.data(), big.size()), 4096);
  EXPECT_ERRNO(mount(nullptr, "none", nullptr, MS_REMOUNT, nullptr), ENOENT);
  ASSERT_OK(mkdir("b/dir", 0755));
  EXPECT_ERRNO(mount(nullptr, "b/dir", nullptr, MS_REMOUNT, nullptr), EINVAL);
}

TEST(no_exec) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  CopySelf("a/program");
  WriteFile("a/script", "#!/bin/true\n");
  EXPECT_EXIT(
      [] {
        execl("a/program", "program", "ids", nullptr);
        _exit(99);
      },
      0);
  int fd = ASSERT_OK(open("a/program", O_RDONLY));
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  EXPECT_NE(map, MAP_FAILED);
  void* plain = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  ASSERT_OK(Set("a", MOUNT_ATTR_NOEXEC));
  EXPECT_ERRNO(execl("a/program", "program", "ids", nullptr), EACCES);
  EXPECT_ERRNO(execl("a/script", "script", nullptr), EACCES);
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), EPERM);
  EXPECT_ERRNO(access("a/program", X_OK), EACCES);
  (void)plain;
  ASSERT_OK(Set("a", 0, MOUNT_ATTR_NOEXEC));
  EXPECT_OK(access("a/program", X_OK));
}

TEST(no_dev) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  ASSERT_OK(mknod("a/null", S_IFCHR | 0666, makedev(1, 3)));
  EXPECT_OK(open("a/null", O_RDWR));
  ASSERT_OK(Set("a", MOUNT_ATTR_NODEV));
  EXPECT_ERRNO(open("a/null", O_RDWR), EACCES);
  EXPECT_OK(open("a/null", O_PATH));
}

TEST(no_suid) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  CopySelf("a/program");
  ASSERT_OK(chown("a/program", 7, 7));
  ASSERT_OK(chmod("a/program", 06755));
  auto secure = [] {
    if (setgid(9) != 0 || setuid(9) != 0) _exit(98);
    int ends[2];
    if (pipe(ends) != 0) _exit(97);
    pid_t child = fork();
    if (child == 0) {
      dup2(ends[1], 1);
      execl("a/program", "program", "ids", nullptr);
      _exit(99);
    }
    int status;
    waitpid(child, &status, 0);
    char text[64] = {};
    if (read(ends[0], text, sizeof(text) - 1) < 0) _exit(96);
    _exit(strstr(text, "euid 7") != nullptr ? 7 : 9);
  };
  EXPECT_EXIT(secure, 7);
  ASSERT_OK(Set("a", MOUNT_ATTR_NOSUID));
  EXPECT_EXIT(secure, 9);
}

// Run by no_suid.
TEST(ids) { dprintf(1, "euid %d\n", static_cast<int>(geteuid())); }

TEST(no_symfollow) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/dir"});
  ASSERT_OK(Touch("a/dir/f"));
  ASSERT_OK(symlink("dir", "a/link"));
  ASSERT_OK(symlink("a/dir", "outside"));
  EXPECT_OK(access("a/link/f", F_OK));
  ASSERT_OK(Set("a", MOUNT_ATTR_NOSYMFOLLOW));
  EXPECT_ERRNO(access("a/link/f", F_OK), ELOOP);
  EXPECT_ERRNO(open("a/link", O_RDONLY), ELOOP);
  char text[16];
  EXPECT_EQ(readlink("a/link", text, sizeof(text)), 3);
  EXPECT_OK(access("outside/f", F_OK));  // a symlink elsewhere
}

TEST(times_of_last_access) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  WriteFile("a/f", "text");
  MakeDirs({"a/dir", "a/dir/entry"});
  EXPECT_FALSE(SecondReadChangesAtime("a/f"));  // relatime
  ASSERT_OK(Set("a", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME));
  EXPECT_TRUE(SecondReadChangesAtime("a/f"));
  auto listing_changes_atime = [] {
    const timespec old[2] = {{1000, 0}, {2000, 0}};
    ASSERT_OK(utimensat(AT_FDCWD, "a/dir", old, 0));
    int fd = ASSERT_OK(open("a/dir", O_RDONLY | O_DIRECTORY));
    char entries[512];
    EXPECT_GT(syscall(SYS_getdents64, fd, entries, sizeof(entries)), 0);
    close(fd);
    return Accessed("a/dir").tv_sec != 1000;
  };
  EXPECT_TRUE(listing_changes_atime());
  ASSERT_OK(Set("a", MOUNT_ATTR_NODIRATIME));
  EXPECT_FALSE(listing_changes_atime());
  EXPECT_TRUE(ReadChangesAtime("a/f"));
  ASSERT_OK(Set("a", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME));
  EXPECT_FALSE(ReadChangesAtime("a/f"));
  EXPECT_FALSE(listing_changes_atime());
}
