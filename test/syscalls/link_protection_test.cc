// What the vfs keeps one user from doing to another: links in sticky directories and to others' files,
// programs that run.
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "test/syscalls/scratch.h"
#include "test/syscalls/syscall_test.h"

namespace {

void BecomeNobody() {
  ASSERT_OK(setgroups(0, nullptr));
  ASSERT_OK(setresgid(1000, 1000, 1000));
  ASSERT_OK(setresuid(1000, 1000, 1000));
}

// A directory of one's own, that everybody may use.
struct Playground : syscall_test::Scratch {
  Playground() {
    umask(022);
    ASSERT_OK(chmod(path, 0777));
  }
};

void MakeFile(const char* name, mode_t mode) {
  int fd = ASSERT_OK(open(name, O_CREAT | O_RDWR, mode));
  ASSERT_OK(fchmod(fd, mode));
  close(fd);
}

int Setting(const char* name) {
  int fd = open(name, O_RDONLY);
  char digit = '0';
  if (fd < 0 || read(fd, &digit, 1) != 1) return 0;
  close(fd);
  return digit - '0';
}

void CopySelf(const char* to) {
  int from = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
  int copy = ASSERT_OK(open(to, O_CREAT | O_WRONLY, 0755));
  static char buffer[1 << 16];
  ssize_t got;
  while ((got = read(from, buffer, sizeof(buffer))) > 0) ASSERT_EQ(write(copy, buffer, got), got);
  close(from);
  close(copy);
}

}  // namespace

TEST(hard_links_to_others_files) {
  if (geteuid() != 0) SKIP("needs root");
  if (Setting("/proc/sys/fs/protected_hardlinks") == 0) SKIP("fs.protected_hardlinks is 0");
  Playground playground;
  MakeFile("theirs", 0644);
  MakeFile("writable", 0666);
  MakeFile("setuid", 04777);
  EXPECT_CHILD_OK([] {
    BecomeNobody();
    EXPECT_ERRNO(link("theirs", "a"), EPERM);
    EXPECT_ERRNO(link("setuid", "b"), EPERM);
    EXPECT_OK(link("writable", "c"));
    EXPECT_ERRNO(link("theirs", "writable"), EEXIST);
  });
}

TEST(symlinks_of_others_in_sticky_directories) {
  if (geteuid() != 0) SKIP("needs root");
  if (Setting("/proc/sys/fs/protected_symlinks") == 0) SKIP("fs.protected_symlinks is 0");
  Playground playground;
  ASSERT_OK(mkdir("sticky", 0));
  ASSERT_OK(chmod("sticky", 01777));
  MakeFile("target", 0666);
  ASSERT_OK(symlink("../target", "sticky/roots"));
  EXPECT_CHILD_OK([] {
    BecomeNobody();
    ASSERT_OK(symlink("../target", "sticky/nobodys"));
    EXPECT_OK(open("sticky/roots", O_RDONLY));  // the directory's owner's
    EXPECT_OK(open("sticky/nobodys", O_RDONLY));
  });
  EXPECT_ERRNO(open("sticky/nobodys", O_RDONLY), EACCES);
  struct stat info;
  EXPECT_OK(lstat("sticky/nobodys", &info));
}

TEST(permission_of_the_directory_comes_before_the_capability) {
  if (geteuid() != 0) SKIP("needs root");
  Playground playground;
  ASSERT_OK(mkdir("closed", 0755));
  EXPECT_CHILD_OK([] {
    BecomeNobody();
    EXPECT_ERRNO(mknod("closed/device", S_IFCHR | 0600, makedev(1, 3)), EACCES);
    EXPECT_ERRNO(mknod("device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
  });
}

TEST(a_program_is_not_written_while_it_runs) {
  Playground playground;
  CopySelf("program");
  int writer = ASSERT_OK(open("program", O_WRONLY | O_CLOEXEC));
  EXPECT_ERRNO(execl("program", "program", "--list", nullptr), ETXTBSY);
  close(writer);
  EXPECT_CHILD_OK([] {
    execl("program", "program", "--in-process", "does_as_the_program_below_says", nullptr);
    FAIL("execl failed");
  });
}

// Run by the test above, as a program of its own.
TEST(does_as_the_program_below_says) {
  EXPECT_CHILD_OK([] {
    char self[256] = {};
    ASSERT_OK(readlink("/proc/self/exe", self, sizeof(self) - 1));
    EXPECT_ERRNO(open(self, O_WRONLY), ETXTBSY);
    EXPECT_ERRNO(open(self, O_RDWR | O_TRUNC), ETXTBSY);
    EXPECT_ERRNO(truncate(self, 0), ETXTBSY);
    EXPECT_OK(open(self, O_RDONLY));
  });
}

TEST(a_memfd_runs_although_it_is_open_for_writing) {
  int from = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
  int memory = ASSERT_OK(memfd_create("program", MFD_CLOEXEC));
  static char buffer[1 << 16];
  ssize_t got;
  while ((got = read(from, buffer, sizeof(buffer))) > 0) ASSERT_EQ(write(memory, buffer, got), got);
  EXPECT_CHILD_OK([&] {
    char* const arguments[] = {const_cast<char*>("program"), const_cast<char*>("--list"), nullptr};
    ASSERT_OK(dup2(open("/dev/null", O_WRONLY), 1));
    fexecve(memory, arguments, environ);
    FAIL("fexecve failed");
  });
}

TEST(mode_changes_by_fchmodat2) {
  constexpr long kFchmodat2 = 452;
  Playground playground;
  MakeFile("file", 0644);
  ASSERT_OK(symlink("file", "link"));
  if (syscall(kFchmodat2, AT_FDCWD, "file", 0600, 0) != 0 && errno == ENOSYS) SKIP("no fchmodat2");
  struct stat info;
  ASSERT_OK(stat("file", &info));
  EXPECT_EQ(info.st_mode & 07777, 0600);
  EXPECT_ERRNO(syscall(kFchmodat2, AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
  EXPECT_ERRNO(syscall(kFchmodat2, AT_FDCWD, "file", 0600, 0x8000), EINVAL);
  int fd = ASSERT_OK(open("file", O_PATH));
  EXPECT_OK(syscall(kFchmodat2, fd, "", 0640, AT_EMPTY_PATH));
  ASSERT_OK(stat("file", &info));
  EXPECT_EQ(info.st_mode & 07777, 0640);
}

TEST(names_are_looked_at_one_after_the_other) {
  Playground playground;
  EXPECT_ERRNO(rename("missing/x", ""), ENOENT);
  MakeFile("file", 0644);
  EXPECT_ERRNO(rename("file/x", ""), ENOTDIR);
  EXPECT_ERRNO(rename("file", ""), ENOENT);
  timespec wrong[2] = {{0, 1'000'000'000}, {0, 0}};
  EXPECT_ERRNO(utimensat(AT_FDCWD, "missing", wrong, 0), ENOENT);
  EXPECT_ERRNO(utimensat(AT_FDCWD, "file", wrong, 0), EINVAL);
}

TEST(a_directory_that_is_gone_cannot_be_listed) {
  Playground playground;
  ASSERT_OK(mkdir("gone", 0700));
  int fd = ASSERT_OK(open("gone", O_RDONLY));
  ASSERT_OK(rmdir("gone"));
  char buffer[1024];
  EXPECT_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)), ENOENT);
}
