// open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2) and fspick(2).
#include <thread>

#include "test/syscalls/mount_table.h"

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace {

constexpr int kMoveFrom = MOVE_MOUNT_F_EMPTY_PATH;

int OpenTree(int dir, const char* path, unsigned flags) {
  return static_cast<int>(syscall(SYS_open_tree, dir, path, flags));
}
int MoveMount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  return static_cast<int>(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}
int Fsopen(const char* type, unsigned flags = 0) {
  return static_cast<int>(syscall(SYS_fsopen, type, flags));
}
int Fsconfig(int fd, unsigned command, const void* key = nullptr, const void* value = nullptr, int aux = 0) {
  return static_cast<int>(syscall(SYS_fsconfig, fd, command, key, value, aux));
}
int SetString(int fd, const char* key, const char* value) {
  return Fsconfig(fd, FSCONFIG_SET_STRING, key, value);
}
int SetFlag(int fd, const char* key) { return Fsconfig(fd, FSCONFIG_SET_FLAG, key); }
int Create(int fd) { return Fsconfig(fd, FSCONFIG_CMD_CREATE); }
int Reconfigure(int fd) { return Fsconfig(fd, FSCONFIG_CMD_RECONFIGURE); }
int Fsmount(int fd, unsigned flags = 0, unsigned attributes = 0) {
  return static_cast<int>(syscall(SYS_fsmount, fd, flags, attributes));
}
int Fspick(int dir, const char* path, unsigned flags = 0) {
  return static_cast<int>(syscall(SYS_fspick, dir, path, flags));
}
char* Bad() { return reinterpret_cast<char*>(8); }

std::string Message(int fd) {
  char text[512];
  ssize_t size = read(fd, text, sizeof(text));
  if (size < 0) return syscall_test::ErrnoName(errno);
  return std::string(text, static_cast<size_t>(size));
}

int NewTmpfs() {
  int context = ASSERT_OK(Fsopen("tmpfs"));
  ASSERT_OK(Create(context));
  int tree = ASSERT_OK(Fsmount(context));
  close(context);
  return tree;
}

}  // namespace

TEST(a_filesystem_is_made_and_mounted) {
  Scratch s;
  MakeDirs({"a"});
  int context = ASSERT_OK(Fsopen("tmpfs", FSOPEN_CLOEXEC));
  EXPECT_EQ(fcntl(context, F_GETFD), FD_CLOEXEC);
  ASSERT_OK(SetString(context, "source", "me"));
  ASSERT_OK(SetString(context, "size", "8k"));
  ASSERT_OK(SetString(context, "mode", "700"));
  EXPECT_ERRNO(Fsmount(context), EINVAL);
  ASSERT_OK(Create(context));
  int tree =
      ASSERT_OK(Fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME));
  EXPECT_EQ(fcntl(tree, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(tree, F_GETFL), O_PATH);
  EXPECT_ERRNO(Fsmount(context), EBUSY);
  // It can be used before it is mounted anywhere.
  ASSERT_OK(mkdirat(tree, "dir", 0755));
  EXPECT_ERRNO(MoveMount(tree, "", AT_FDCWD, "a", 0), ENOENT);
  ASSERT_OK(MoveMount(tree, "", AT_FDCWD, "a", kMoveFrom));
  EXPECT_OK(access("a/dir", F_OK));
  MountEntry a = MountOn(s / "a");
  EXPECT_EQ(a.source, "me");
  EXPECT_EQ(a.type, "tmpfs");
  EXPECT_TRUE(a.Has("nosuid") && a.Has("nodev") && a.Has("noatime") && a.Has("rw"));
  EXPECT_FALSE(a.Has("relatime"));
  struct stat st;
  ASSERT_OK(stat("a", &st));
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  int fd = ASSERT_OK(open("a/f", O_CREAT | O_RDWR, 0644));
  std::string big(16384, 'x');
  EXPECT_EQ(write(fd, big.data(), big.size()), 8192);
  ASSERT_OK(close(fd));
  // The descriptor still says where it is, and may move it again.
  MakeDirs({"b"});
  ASSERT_OK(MoveMount(tree, "", AT_FDCWD, "b", kMoveFrom));
  EXPECT_EQ(MountsOn(s / "a").size(), 0u);
  ASSERT_OK(close(tree));
  EXPECT_EQ(MountsOn(s / "b").size(), 1u);
  ASSERT_OK(umount("b"));
}

TEST(contexts_say_what_is_wrong) {
  Scratch s;
  int fd = ASSERT_OK(Fsopen("tmpfs"));
  EXPECT_EQ(Message(fd), "ENODATA");
  EXPECT_ERRNO(SetString(fd, "bogus", "1"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter 'bogus'\n");
  EXPECT_ERRNO(SetString(fd, "size", "x"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'size'\n");
  EXPECT_ERRNO(SetString(fd, "size", "1m,mode=7"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'size'\n");
  EXPECT_ERRNO(SetFlag(fd, "mode"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'mode'\n");
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_BINARY, "size", "1234", 4), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'size'\n");
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_PATH, "size", "/", AT_FDCWD), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'size'\n");
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FD, "size", nullptr, fd), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'size'\n");
  EXPECT_ERRNO(SetString(fd, "huge", "sometimes"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Bad value for 'huge'\n");
  ASSERT_OK(SetString(fd, "source", "one"));
  EXPECT_ERRNO(SetString(fd, "source", "two"), EINVAL);
  EXPECT_EQ(Message(fd), "e Multiple sources\n");
  EXPECT_ERRNO(SetFlag(fd, "source"), EINVAL);
  EXPECT_EQ(Message(fd), "e Non-string source\n");
  EXPECT_ERRNO(SetFlag(fd, "nosuid"), EINVAL);  // a mount's, not the filesystem's
  EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter 'nosuid'\n");
  // The last eight are kept.
  for (int i = 0; i < 12; ++i) EXPECT_ERRNO(SetFlag(fd, std::to_string(i).c_str()), EINVAL);
  for (int i = 4; i < 12; ++i)
    EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter '" + std::to_string(i) + "'\n");
  EXPECT_EQ(Message(fd), "ENODATA");
  EXPECT_ERRNO(SetFlag(fd, ""), EINVAL);
  char small[8];
  EXPECT_ERRNO(read(fd, small, sizeof(small)), EMSGSIZE);
  EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter ''\n");
  EXPECT_ERRNO(write(fd, "x", 1), EINVAL);
  char name[64] = {};
  ASSERT_OK(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof(name) - 1));
  EXPECT_EQ(std::string(name), "anon_inode:[fscontext]");
  for (const char* type : {"proc", "sysfs", "mqueue"}) {
    int other = ASSERT_OK(Fsopen(type));
    EXPECT_ERRNO(SetString(other, "size", "1"), EINVAL);
    EXPECT_EQ(Message(other), std::string("e ") + type + ": Unknown parameter 'size'\n");
    EXPECT_OK(SetFlag(other, "ro"));
  }
  int pts = ASSERT_OK(Fsopen("devpts"));
  EXPECT_ERRNO(SetString(pts, "mode", "9"), EINVAL);
  EXPECT_EQ(Message(pts), "e devpts: Bad value for 'mode'\n");
  ASSERT_OK(SetString(pts, "ptmxmode", "666"));
}

TEST(contexts_have_phases) {
  Scratch s;
  MakeDirs({"a"});
  int fd = ASSERT_OK(Fsopen("tmpfs"));
  EXPECT_ERRNO(Reconfigure(fd), EBUSY);
  ASSERT_OK(Create(fd));
  EXPECT_ERRNO(Create(fd), EBUSY);
  EXPECT_ERRNO(SetString(fd, "size", "1m"), EBUSY);
  EXPECT_ERRNO(SetFlag(fd, "ro"), EBUSY);
  int tree = ASSERT_OK(Fsmount(fd));
  ASSERT_OK(MoveMount(tree, "", AT_FDCWD, "a", kMoveFrom));
  // From then on it sets the same filesystem anew.
  EXPECT_ERRNO(Create(fd), EBUSY);
  ASSERT_OK(SetFlag(fd, "ro"));
  EXPECT_ERRNO(Fsmount(fd), EBUSY);
  ASSERT_OK(mkdir("a/before", 0755));
  ASSERT_OK(Reconfigure(fd));
  EXPECT_ERRNO(mkdir("a/after", 0755), EROFS);
  EXPECT_TRUE(MountOn(s / "a").Has("rw"));
  EXPECT_TRUE(MountOn(s / "a").super_options.starts_with("ro"));
}

TEST(fspick_sets_a_mounted_filesystem_anew) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a", "size=1m"));
  ASSERT_OK(Mount("a", "b", MS_BIND));
  EXPECT_ERRNO(Fspick(AT_FDCWD, "none"), ENOENT);
  ASSERT_OK(mkdir("a/dir", 0755));
  EXPECT_ERRNO(Fspick(AT_FDCWD, "a/dir"), EINVAL);
  EXPECT_ERRNO(Fspick(AT_FDCWD, "a", 0x10), EINVAL);
  EXPECT_ERRNO(Fspick(AT_FDCWD, Bad()), EFAULT);
  int fd = ASSERT_OK(Fspick(AT_FDCWD, "a", FSPICK_CLOEXEC));
  EXPECT_ERRNO(Create(fd), EBUSY);
  EXPECT_ERRNO(SetString(fd, "bogus", "1"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter 'bogus'\n");
  ASSERT_OK(SetString(fd, "size", "4k"));
  int file = ASSERT_OK(open("b/f", O_CREAT | O_RDWR, 0644));
  ASSERT_OK(Reconfigure(fd));
  std::string big(16384, 'x');
  EXPECT_EQ(write(file, big.data(), big.size()), 4096);
  ASSERT_OK(SetFlag(fd, "ro"));
  EXPECT_ERRNO(Reconfigure(fd), EBUSY);  // a file is open for writing
  EXPECT_ERRNO(SetFlag(fd, "ro"), EBUSY);
  ASSERT_OK(close(file));
  fd = ASSERT_OK(Fspick(AT_FDCWD, "a"));
  ASSERT_OK(SetFlag(fd, "ro"));
  ASSERT_OK(Reconfigure(fd));
  EXPECT_ERRNO(open("b/f", O_RDWR), EROFS);  // through any mount of it
  ASSERT_OK(SetFlag(fd, "rw"));
  ASSERT_OK(Reconfigure(fd));
  EXPECT_OK(open("b/f", O_RDWR));
}

TEST(arguments_of_fsconfig) {
  Scratch s;
  EXPECT_ERRNO(Fsopen(nullptr), EFAULT);
  EXPECT_ERRNO(Fsopen(Bad()), EFAULT);
  EXPECT_ERRNO(Fsopen("nonsense"), ENODEV);
  EXPECT_ERRNO(Fsopen("tmpfs", 2), EINVAL);
  EXPECT_ERRNO(Fsopen(std::string(5000, 'x').c_str()), EINVAL);
  int fd = ASSERT_OK(Fsopen("tmpfs"));
  EXPECT_ERRNO(SetFlag(-1, "ro"), EINVAL);
  EXPECT_ERRNO(SetFlag(99, "ro"), EBADF);
  EXPECT_ERRNO(SetFlag(ASSERT_OK(open("/dev/null", O_RDWR)), "ro"), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, 99), EOPNOTSUPP);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FLAG), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FLAG, "ro", "x"), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FLAG, "ro", nullptr, 1), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_STRING, "size"), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_STRING, "size", "1", 1), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_STRING, Bad(), "1"), EFAULT);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_STRING, "size", Bad()), EFAULT);
  const std::string longest(255, 'k'), longer(256, 'k');
  EXPECT_ERRNO(SetString(fd, longest.c_str(), "1"), EINVAL);
  EXPECT_EQ(Message(fd), "e tmpfs: Unknown parameter '" + longest + "'\n");
  EXPECT_ERRNO(SetString(fd, longer.c_str(), "1"), EINVAL);
  EXPECT_ERRNO(SetString(fd, "size", longer.c_str()), EINVAL);
  EXPECT_EQ(Message(fd), "ENODATA");
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_BINARY, "size", "1", 0), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_BINARY, "size", "1", 2000000), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_BINARY, "size", Bad(), 10), EFAULT);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_PATH, "size", "/", -5), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_PATH, "size", Bad(), AT_FDCWD), EFAULT);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FD, "size", nullptr, -1), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_SET_FD, "size", nullptr, 77), EBADF);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_CMD_CREATE, "x"), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_CMD_CREATE, nullptr, "x"), EINVAL);
  EXPECT_ERRNO(Fsconfig(fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 1), EINVAL);
  ASSERT_OK(Create(fd));
  EXPECT_ERRNO(Fsmount(-1), EBADF);
  EXPECT_ERRNO(Fsmount(0), EINVAL);
  EXPECT_ERRNO(Fsmount(fd, 2), EINVAL);
  EXPECT_ERRNO(Fsmount(fd, 0, 0x30), EINVAL);  // two modes of atime
  EXPECT_ERRNO(Fsmount(fd, 0, MOUNT_ATTR_IDMAP), EINVAL);
  EXPECT_ERRNO(Fsmount(fd, 0, 0x400), EINVAL);
  ASSERT_EQ(setegid(1), 0);
  ASSERT_EQ(seteuid(1), 0);
  EXPECT_ERRNO(Fsopen("tmpfs"), EPERM);
  EXPECT_ERRNO(Fsmount(fd), EPERM);
  EXPECT_ERRNO(Fspick(AT_FDCWD, "."), EPERM);
  EXPECT_ERRNO(OpenTree(AT_FDCWD, ".", OPEN_TREE_CLONE), EPERM);
  EXPECT_ERRNO(MoveMount(fd, "", AT_FDCWD, ".", kMoveFrom), EPERM);
  EXPECT_OK(OpenTree(AT_FDCWD, ".", 0));
}

TEST(open_tree_opens_and_clones) {
  Scratch s;
  MakeDirs({"a", "b", "c"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x", "a/y"});
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(mkdir("a/x/in", 0755));
  EXPECT_ERRNO(OpenTree(AT_FDCWD, "a", AT_RECURSIVE), EINVAL);
  EXPECT_ERRNO(OpenTree(AT_FDCWD, "a", 2), EINVAL);
  EXPECT_ERRNO(OpenTree(AT_FDCWD, "", OPEN_TREE_CLONE), ENOENT);
  EXPECT_ERRNO(OpenTree(AT_FDCWD, "none", OPEN_TREE_CLONE), ENOENT);
  EXPECT_ERRNO(OpenTree(AT_FDCWD, Bad(), OPEN_TREE_CLONE), EFAULT);
  EXPECT_ERRNO(OpenTree(99, "a", 0), EBADF);
  int place = ASSERT_OK(OpenTree(AT_FDCWD, "a", OPEN_TREE_CLOEXEC));
  EXPECT_EQ(fcntl(place, F_GETFL), O_PATH);
  EXPECT_EQ(fcntl(place, F_GETFD), FD_CLOEXEC);
  char byte;
  EXPECT_ERRNO(read(place, &byte, 1), EBADF);
  EXPECT_OK(faccessat(place, "x/in", F_OK, 0));
  // A mount moves by its descriptor.
  ASSERT_OK(MoveMount(place, "", AT_FDCWD, "b", kMoveFrom));
  EXPECT_OK(access("b/x/in", F_OK));
  // A copy without and with what is mounted below; and not the mount itself, but a directory.
  int plain = ASSERT_OK(OpenTree(AT_FDCWD, "b", OPEN_TREE_CLONE));
  EXPECT_ERRNO(faccessat(plain, "x/in", F_OK, 0), ENOENT);
  int whole = ASSERT_OK(OpenTree(AT_FDCWD, "b", OPEN_TREE_CLONE | AT_RECURSIVE));
  EXPECT_OK(faccessat(whole, "x/in", F_OK, 0));
  EXPECT_OK(faccessat(whole, "x/../y", F_OK, 0));
  int directory = ASSERT_OK(OpenTree(AT_FDCWD, "b/y", OPEN_TREE_CLONE));
  size_t before = MountTable().size();
  ASSERT_OK(MoveMount(whole, "", AT_FDCWD, "a", kMoveFrom));
  EXPECT_EQ(MountTable().size(), before + 2);
  ASSERT_OK(MoveMount(directory, "", AT_FDCWD, "c", kMoveFrom));
  EXPECT_EQ(MountOn(s / "c").root, "/y");
  EXPECT_OK(faccessat(whole, "x/in", F_OK, 0));
}

TEST(detached_trees_end_with_their_descriptor) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x"});
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(mkdir("a/x/in", 0755));
  int tree = ASSERT_OK(OpenTree(AT_FDCWD, "a", OPEN_TREE_CLONE | AT_RECURSIVE));
  int held = ASSERT_OK(dup(tree));
  int inside = ASSERT_OK(openat(tree, "x", O_PATH));
  ASSERT_OK(close(tree));
  EXPECT_OK(faccessat(held, "x/in", F_OK, 0));
  EXPECT_ERRNO(MoveMount(inside, "", AT_FDCWD, "b", kMoveFrom), EINVAL);  // not the root of its tree
  ASSERT_OK(close(held));
  EXPECT_OK(faccessat(inside, "in", F_OK, 0));
  EXPECT_ERRNO(MoveMount(inside, "", AT_FDCWD, "b", kMoveFrom), EINVAL);
  EXPECT_ERRNO(OpenTree(inside, "", OPEN_TREE_CLONE | AT_EMPTY_PATH), EINVAL);
  // The original is none of that.
  EXPECT_OK(access("a/x/in", F_OK));
  ASSERT_OK(close(inside));
  ASSERT_OK(umount("a/x"));
  ASSERT_OK(umount("a"));
  // A filesystem that was never mounted goes with its descriptor; its files do not.
  int made = NewTmpfs();
  int file = ASSERT_OK(openat(made, "f", O_CREAT | O_RDWR, 0644));
  ASSERT_OK(close(made));
  EXPECT_EQ(write(file, "x", 1), 1);
}

TEST(arguments_of_move_mount) {
  Scratch s;
  MakeDirs({"a", "b", "dir"});
  ASSERT_OK(Touch("file"));
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x"});
  ASSERT_OK(symlink("a", "link"));
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "b", 0x1000), EINVAL);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, Bad(), AT_FDCWD, "b", 0), EFAULT);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, Bad(), 0), EFAULT);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "dir", AT_FDCWD, "b", 0), EINVAL);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "link", AT_FDCWD, "b", 0), EINVAL);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "file", 0), EINVAL);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "a/x", 0), ELOOP);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "none", 0), ENOENT);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "", 0), ENOENT);
  ASSERT_OK(MoveMount(AT_FDCWD, "link", AT_FDCWD, "b", MOVE_MOUNT_F_SYMLINKS));
  EXPECT_EQ(MountsOn(s / "b").size(), 1u);
  ASSERT_OK(unlink("link"));
  ASSERT_OK(symlink("dir", "link"));
  int to = ASSERT_OK(open("dir", O_PATH));
  ASSERT_OK(MoveMount(AT_FDCWD, "b", to, "", MOVE_MOUNT_T_EMPTY_PATH));
  EXPECT_EQ(MountsOn(s / "dir").size(), 1u);
  ASSERT_OK(MoveMount(AT_FDCWD, "dir", AT_FDCWD, "a", 0));
  ASSERT_OK(MoveMount(AT_FDCWD, "a", AT_FDCWD, "link", MOVE_MOUNT_T_SYMLINKS));
  EXPECT_EQ(MountsOn(s / "dir").size(), 1u);
  // Into a shared mount it propagates; out of one it does not go.
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/y"});
  ASSERT_OK(Share("a", MS_SHARED));
  ASSERT_OK(Mount("a", "b", MS_BIND));
  int tree = NewTmpfs();
  ASSERT_OK(MoveMount(tree, "", AT_FDCWD, "a/y", kMoveFrom));
  EXPECT_EQ(MountOn(s / "b/y").shared, MountOn(s / "a/y").shared);
  EXPECT_ERRNO(MoveMount(tree, "", AT_FDCWD, "dir", kMoveFrom), EINVAL);
}

TEST(a_mount_joins_the_group_of_another) {
  Scratch s;
  MakeDirs({"a", "b", "c"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x", "a/x/in"});
  ASSERT_OK(Mount("a/x", "b", MS_BIND));
  ASSERT_OK(Tmpfs("c"));
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "b", MOVE_MOUNT_SET_GROUP), EINVAL);  // private
  ASSERT_OK(Share("a", MS_SHARED));
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "c", MOVE_MOUNT_SET_GROUP), EINVAL);  // another filesystem
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "a/x", MOVE_MOUNT_SET_GROUP), EINVAL);
  ASSERT_OK(MoveMount(AT_FDCWD, "a", AT_FDCWD, "b", MOVE_MOUNT_SET_GROUP));
  EXPECT_EQ(MountOn(s / "b").shared, MountOn(s / "a").shared);
  EXPECT_ERRNO(MoveMount(AT_FDCWD, "a", AT_FDCWD, "b", MOVE_MOUNT_SET_GROUP), EINVAL);  // is in it
  ASSERT_OK(Tmpfs("b/in"));
  EXPECT_EQ(MountsOn(s / "a/x/in").size(), 1u);
}

// Threads that clone, mount, unmount and close the same trees.
TEST(racing_trees) {
  Scratch s;
  MakeDirs({"a", "b"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x", "a/y"});
  ASSERT_OK(Share("a", MS_SHARED));
  ASSERT_OK(Mount("a", "b", MS_BIND));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i) {
        int tree = OpenTree(AT_FDCWD, t % 2 == 0 ? "a" : "b", OPEN_TREE_CLONE | AT_RECURSIVE);
        if (tree < 0) continue;
        int inside = openat(tree, "x", O_PATH);
        (void)MoveMount(tree, "", AT_FDCWD, i % 2 == 0 ? "a/x" : "b/y", kMoveFrom);
        (void)faccessat(inside, "../y", F_OK, 0);
        if (i % 3 == t % 3) close(tree);
        (void)umount2(i % 2 == 0 ? "b/x" : "a/y", MNT_DETACH);
        if (i % 3 != t % 3) close(tree);
        close(inside);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const char* top : {"a", "b"}) {
    while (!MountsOn(s / top).empty()) ASSERT_OK(umount2(top, MNT_DETACH));
  }
  for (const MountEntry& entry : MountTable()) EXPECT_FALSE(entry.point.starts_with(s / "a"));
}

// One context, used by all at once: it makes one filesystem and one mount.
TEST(racing_contexts) {
  Scratch s;
  for (int round = 0; round < 20; ++round) {
    int fd = ASSERT_OK(Fsopen("tmpfs"));
    std::atomic<int> created{0}, mounted{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        (void)SetString(fd, "size", "1m");
        (void)SetString(fd, "bogus", "1");
        if (Create(fd) == 0) created.fetch_add(1);
        for (int i = 0; i < 50; ++i) {
          int tree = Fsmount(fd);
          if (tree < 0) continue;
          mounted.fetch_add(1);
          close(tree);
        }
        char text[64];
        (void)read(fd, text, sizeof(text));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(created.load(), 1);
    EXPECT_EQ(mounted.load(), 1);
    close(fd);
  }
}
