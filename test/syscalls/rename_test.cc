// rename(2), link(2), unlink(2), mkdir(2), rmdir(2), symlink(2), getdents64(2).
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <algorithm>

#include "test/syscalls/scratch.h"
#include "test/syscalls/syscall_test.h"

namespace {

using syscall_test::Scratch;

int Touch(const char* path) {
  int fd = open(path, O_CREAT | O_RDWR, 0644);
  if (fd >= 0) close(fd);
  return fd >= 0 ? 0 : -1;
}

long Rename2(const char* from, const char* to, unsigned flags) {
  return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

ino_t InodeOf(const char* path) {
  struct stat st;
  return lstat(path, &st) == 0 ? st.st_ino : 0;
}

nlink_t LinksOf(const char* path) {
  struct stat st;
  return lstat(path, &st) == 0 ? st.st_nlink : 0;
}

std::vector<std::string> List(const char* path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path);
  if (dir == nullptr) return names;
  while (dirent* entry = readdir(dir)) names.push_back(entry->d_name);
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST(rename_replaces_what_it_may) {
  Scratch scratch;
  ASSERT_OK(Touch("f"));
  ASSERT_OK(Touch("g"));
  ASSERT_OK(mkdir("d", 0755));
  ASSERT_OK(mkdir("d/sub", 0755));
  ASSERT_OK(mkdir("empty", 0755));
  ino_t f = InodeOf("f");
  EXPECT_OK(rename("f", "g"));
  EXPECT_EQ(InodeOf("g"), f);
  EXPECT_ERRNO(rename("f", "g"), ENOENT);
  EXPECT_ERRNO(rename("g", "d"), EISDIR);
  EXPECT_ERRNO(rename("d", "g"), ENOTDIR);
  EXPECT_ERRNO(rename("empty", "d"), ENOTEMPTY);
  EXPECT_ERRNO(rename("d", "d/sub/x"), EINVAL);
  EXPECT_ERRNO(rename("d/sub", "d"), ENOTEMPTY);
  EXPECT_ERRNO(rename("g", "h/"), ENOTDIR);
  EXPECT_ERRNO(rename("d/.", "e"), EBUSY);
  EXPECT_ERRNO(rename("d/..", "e"), EBUSY);
  EXPECT_OK(rename("d/sub/", "empty/"));
  EXPECT_OK(rename("d", "e"));
  EXPECT_OK(rename("e", "e"));
  EXPECT_EQ(LinksOf("e"), 2u);
}

TEST(rename_flags) {
  Scratch scratch;
  ASSERT_OK(Touch("f"));
  ASSERT_OK(mkdir("d", 0755));
  ASSERT_OK(mkdir("d/s", 0755));
  if (Rename2("f", "x", RENAME_NOREPLACE) != 0) SKIP("no RENAME_NOREPLACE here");
  ASSERT_OK(rename("x", "f"));
  EXPECT_ERRNO(Rename2("f", "d", RENAME_NOREPLACE), EEXIST);
  EXPECT_ERRNO(Rename2("f", "f", RENAME_NOREPLACE), EEXIST);
  EXPECT_ERRNO(Rename2("f", "none", RENAME_EXCHANGE), ENOENT);
  EXPECT_ERRNO(Rename2("f", "d", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
  EXPECT_ERRNO(Rename2("f", "d", 1 << 10), EINVAL);
  ASSERT_OK(Rename2("f", "d", RENAME_EXCHANGE));
  EXPECT_TRUE(InodeOf("f/s") != 0);
  EXPECT_ERRNO(Rename2("f", "f/s", RENAME_EXCHANGE), EINVAL);
}

TEST(rename_of_two_names_of_one_file_does_nothing) {
  Scratch scratch;
  ASSERT_OK(Touch("a"));
  ASSERT_OK(link("a", "b"));
  EXPECT_EQ(LinksOf("a"), 2u);
  EXPECT_OK(rename("a", "b"));
  EXPECT_TRUE(InodeOf("a") != 0 && InodeOf("a") == InodeOf("b"));
}

TEST(a_moved_directory_keeps_its_users) {
  Scratch scratch;
  ASSERT_OK(mkdir("a", 0755));
  ASSERT_OK(mkdir("b", 0755));
  ASSERT_OK(mkdir("a/c", 0755));
  ASSERT_OK(chdir("a/c"));
  ASSERT_OK(rename("../../a/c", "../../b/c"));
  char cwd[256];
  ASSERT_TRUE(getcwd(cwd, sizeof(cwd)) != nullptr);
  EXPECT_EQ(std::string(cwd), std::string(scratch.path) + "/b/c");
  EXPECT_EQ(InodeOf(".."), InodeOf((std::string(scratch.path) + "/b").c_str()));
  ASSERT_OK(rmdir("../c"));
  EXPECT_TRUE(getcwd(cwd, sizeof(cwd)) == nullptr);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_ERRNO(Touch("f"), ENOENT);
  EXPECT_ERRNO(mkdir("d", 0755), ENOENT);
}

TEST(links) {
  Scratch scratch;
  ASSERT_OK(Touch("f"));
  ASSERT_OK(mkdir("d", 0755));
  ASSERT_OK(symlink("f", "s"));
  EXPECT_ERRNO(link("none", "x"), ENOENT);
  EXPECT_ERRNO(link("f", "d"), EEXIST);
  EXPECT_ERRNO(link("d", "x"), EPERM);
  EXPECT_ERRNO(link("f", "x/"), ENOENT);
  EXPECT_OK(link("s", "t"));
  EXPECT_EQ(InodeOf("t"), InodeOf("s"));
  EXPECT_OK(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
  EXPECT_EQ(InodeOf("u"), InodeOf("f"));
  EXPECT_ERRNO(symlink("", "e"), ENOENT);
  EXPECT_ERRNO(symlink("x", "f"), EEXIST);
  char buffer[4];
  EXPECT_EQ(readlink("s", buffer, sizeof(buffer)), 1);
  EXPECT_ERRNO(readlink("f", buffer, sizeof(buffer)), EINVAL);
  EXPECT_ERRNO(readlink("s", buffer, 0), EINVAL);
}

TEST(directories_come_and_go) {
  Scratch scratch;
  ASSERT_OK(mkdir("d", 01777));
  struct stat st;
  ASSERT_OK(stat("d", &st));
  EXPECT_EQ(st.st_mode & 07777, 01755u);
  EXPECT_EQ(st.st_nlink, 2u);
  EXPECT_ERRNO(mkdir("d", 0755), EEXIST);
  EXPECT_ERRNO(mkdir("d/.", 0755), EEXIST);
  EXPECT_ERRNO(mkdir("x/y", 0755), ENOENT);
  ASSERT_OK(mkdir("d/e/", 0755));
  EXPECT_EQ(LinksOf("d"), 3u);
  EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
  EXPECT_ERRNO(rmdir("d/e/."), EINVAL);
  EXPECT_ERRNO(rmdir("d/e/.."), ENOTEMPTY);
  EXPECT_ERRNO(rmdir("/"), EBUSY);
  EXPECT_ERRNO(unlink("d/e"), EISDIR);
  EXPECT_ERRNO(unlink("d/e/"), EISDIR);
  EXPECT_OK(unlinkat(AT_FDCWD, "d/e", AT_REMOVEDIR));
  EXPECT_ERRNO(rmdir("d/e"), ENOENT);
  ASSERT_OK(Touch("f"));
  EXPECT_ERRNO(rmdir("f"), ENOTDIR);
  EXPECT_ERRNO(unlink("f/"), ENOTDIR);
  EXPECT_ERRNO(unlinkat(AT_FDCWD, "f", 1), EINVAL);
}

TEST(set_group_id_directories_hand_their_group_down) {
  if (geteuid() != 0) SKIP("chown takes a capability");
  Scratch scratch;
  ASSERT_OK(mkdir("d", 0755));
  ASSERT_OK(chown("d", 0, 1234));
  ASSERT_OK(chmod("d", 02755));
  ASSERT_OK(mkdir("d/s", 0755));
  ASSERT_OK(Touch("d/f"));
  struct stat st;
  ASSERT_OK(stat("d/s", &st));
  EXPECT_EQ(st.st_gid, 1234u);
  EXPECT_EQ(st.st_mode & 07777, 02755u);
  ASSERT_OK(stat("d/f", &st));
  EXPECT_EQ(st.st_gid, 1234u);
}

TEST(listing_a_directory) {
  Scratch scratch;
  for (int i = 0; i < 300; ++i) ASSERT_OK(Touch(("file" + std::to_string(i)).c_str()));
  EXPECT_EQ(List(".").size(), 302u);
  int fd = ASSERT_OK(open(".", O_RDONLY | O_DIRECTORY));
  char buffer[512];
  EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, 8), EINVAL);
  // Removing what has been read does not disturb what comes.
  int seen = 0;
  for (long got; (got = ASSERT_OK(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)))) > 0;) {
    for (long at = 0; at < got;) {
      auto* entry = reinterpret_cast<dirent64*>(buffer + at);
      if (entry->d_name[0] == 'f') {
        ++seen;
        EXPECT_EQ(entry->d_type, DT_REG);
        EXPECT_OK(unlink(entry->d_name));
      }
      at += entry->d_reclen;
    }
  }
  EXPECT_EQ(seen, 300);
  EXPECT_EQ(List(".").size(), 2u);
  ASSERT_OK(Touch("late"));
  ASSERT_OK(lseek(fd, 0, SEEK_SET));
  EXPECT_GT(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)), 0);
  int file = ASSERT_OK(open("late", O_RDONLY));
  EXPECT_ERRNO(syscall(SYS_getdents64, file, buffer, sizeof(buffer)), ENOTDIR);
}

TEST(others_cannot_remove_from_a_sticky_directory) {
  if (geteuid() != 0) SKIP("has to change users");
  Scratch scratch;
  ASSERT_OK(chmod(".", 01777));
  ASSERT_OK(Touch("f"));
  ASSERT_OK(mkdir("shut", 0700));
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setuid(1000));
    EXPECT_ERRNO(unlink("f"), EPERM);
    EXPECT_ERRNO(rename("f", "mine"), EPERM);
    ASSERT_OK(Touch("own"));
    EXPECT_ERRNO(rename("own", "f"), EPERM);
    EXPECT_OK(unlink("own"));
    EXPECT_ERRNO(open("shut/x", O_RDONLY), EACCES);
    EXPECT_ERRNO(chdir("shut"), EACCES);
  });
}
