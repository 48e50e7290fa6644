// open(2), openat2(2), close(2), dup(2), and what stands behind /proc-less paths.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "test/syscalls/scratch.h"
#include "test/syscalls/syscall_test.h"

namespace {

using syscall_test::Scratch;

int Touch(const char* path, mode_t mode = 0644) {
  int fd = open(path, O_CREAT | O_RDWR, mode);
  return fd;
}

long OpenAt2(int dirfd, const char* path, open_how how, size_t size = sizeof(open_how)) {
  return syscall(SYS_openat2, dirfd, path, &how, size);
}

}  // namespace

TEST(lowest_number_first) {
  Scratch scratch;
  int a = ASSERT_OK(Touch("a")), b = ASSERT_OK(Touch("b"));
  EXPECT_OK(close(a));
  EXPECT_EQ(ASSERT_OK(open("b", O_RDONLY)), a);
  EXPECT_EQ(ASSERT_OK(fcntl(b, F_DUPFD, 100)), 100);
  EXPECT_EQ(ASSERT_OK(fcntl(b, F_DUPFD_CLOEXEC, 100)), 101);
  EXPECT_EQ(fcntl(101, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(100, F_GETFD), 0);
}

TEST(errors) {
  Scratch scratch;
  ASSERT_OK(mkdir("d", 0755));
  ASSERT_OK(Touch("f"));
  ASSERT_OK(symlink("f", "link"));
  EXPECT_ERRNO(open("none", O_RDONLY), ENOENT);
  EXPECT_ERRNO(open("", O_RDONLY), ENOENT);
  EXPECT_ERRNO(open("d", O_WRONLY), EISDIR);
  EXPECT_ERRNO(open("d", O_CREAT, 0644), EISDIR);
  EXPECT_ERRNO(open("d/", O_CREAT | O_EXCL, 0644), EISDIR);
  EXPECT_ERRNO(open("f/", O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(open("new/", O_CREAT | O_RDWR, 0644), EISDIR);
  EXPECT_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
  EXPECT_ERRNO(open("f", O_CREAT | O_EXCL, 0644), EEXIST);
  EXPECT_ERRNO(open("link", O_CREAT | O_EXCL, 0644), EEXIST);
  EXPECT_ERRNO(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_ERRNO(open(reinterpret_cast<const char*>(8), O_RDONLY), EFAULT);
  EXPECT_ERRNO(open(std::string(5000, 'x').c_str(), O_RDONLY), ENAMETOOLONG);
  EXPECT_ERRNO(open(std::string(256, 'x').c_str(), O_RDONLY), ENAMETOOLONG);
  EXPECT_ERRNO(openat(99, "f", O_RDONLY), EBADF);
  int f = ASSERT_OK(open("f", O_RDONLY));
  EXPECT_ERRNO(openat(f, "x", O_RDONLY), ENOTDIR);
}

TEST(creation_obeys_umask_and_leaves_the_new_file_open) {
  Scratch scratch;
  umask(027);
  int fd = ASSERT_OK(open("f", O_CREAT | O_RDWR, 0666));
  struct stat st;
  ASSERT_OK(fstat(fd, &st));
  EXPECT_EQ(st.st_mode, S_IFREG | 0640u);
  int none = ASSERT_OK(open("readonly", O_CREAT | O_RDWR, 0));
  EXPECT_EQ(ASSERT_OK(write(none, "x", 1)), 1);
  EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR);
}

TEST(truncation_and_append) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  ASSERT_OK(write(fd, "hello", 5));
  int append = ASSERT_OK(open("f", O_WRONLY | O_APPEND));
  ASSERT_OK(write(append, "!", 1));
  EXPECT_EQ(lseek(append, 0, SEEK_CUR), 6);
  EXPECT_OK(open("f", O_RDONLY));
  EXPECT_EQ(lseek(fd, 0, SEEK_END), 6);
  ASSERT_OK(open("f", O_WRONLY | O_TRUNC));
  EXPECT_EQ(lseek(fd, 0, SEEK_END), 0);
}

TEST(path_descriptors_only_name_a_file) {
  Scratch scratch;
  ASSERT_OK(Touch("f", 0));
  ASSERT_OK(symlink("f", "link"));
  int fd = ASSERT_OK(open("f", O_PATH));
  char byte;
  EXPECT_ERRNO(read(fd, &byte, 1), EBADF);
  EXPECT_ERRNO(fchmod(fd, 0600), EBADF);
  EXPECT_ERRNO(ioctl(fd, 0x5421, &byte), EBADF);
  struct stat st;
  EXPECT_OK(fstat(fd, &st));
  EXPECT_EQ(fcntl(fd, F_GETFL), O_PATH);
  int link = ASSERT_OK(open("link", O_PATH | O_NOFOLLOW));
  ASSERT_OK(fstat(link, &st));
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  char target[8];
  EXPECT_EQ(readlinkat(link, "", target, sizeof(target)), 1);
}

TEST(unnamed_files_can_be_given_a_name) {
  Scratch scratch;
  EXPECT_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
  int fd = open(".", O_TMPFILE | O_RDWR, 0600);
  if (fd < 0 && errno == EOPNOTSUPP) SKIP("no O_TMPFILE on this filesystem");
  ASSERT_OK(fd);
  struct stat st;
  ASSERT_OK(fstat(fd, &st));
  EXPECT_EQ(st.st_nlink, 0u);
  ASSERT_OK(write(fd, "x", 1));
  if (geteuid() != 0) SKIP("AT_EMPTY_PATH takes a capability");
  ASSERT_OK(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  ASSERT_OK(stat("named", &st));
  EXPECT_EQ(st.st_size, 1);
  ASSERT_OK(unlink("named"));
  EXPECT_ERRNO(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH), ENOENT);
}

TEST(openat2_is_strict_and_confines) {
  Scratch scratch;
  ASSERT_OK(mkdir("jail", 0755));
  ASSERT_OK(Touch("jail/f"));
  ASSERT_OK(symlink("/f", "jail/abs"));
  ASSERT_OK(symlink("..", "jail/up"));
  int jail = ASSERT_OK(open("jail", O_RDONLY | O_DIRECTORY));
  if (OpenAt2(jail, "f", {}) < 0 && errno == ENOSYS) SKIP("no openat2");
  EXPECT_ERRNO(OpenAt2(jail, "f", {.flags = 1ull << 40}), EINVAL);
  EXPECT_ERRNO(OpenAt2(jail, "f", {.mode = 0600}), EINVAL);
  EXPECT_ERRNO(OpenAt2(jail, "f", {.resolve = 1 << 20}), EINVAL);
  EXPECT_ERRNO(OpenAt2(jail, "f", {}, 8), EINVAL);
  EXPECT_OK(OpenAt2(jail, "f", {.resolve = RESOLVE_BENEATH}));
  EXPECT_ERRNO(OpenAt2(jail, "../jail/f", {.resolve = RESOLVE_BENEATH}), EXDEV);
  EXPECT_ERRNO(OpenAt2(jail, "/f", {.resolve = RESOLVE_BENEATH}), EXDEV);
  EXPECT_ERRNO(OpenAt2(jail, "up/f", {.resolve = RESOLVE_BENEATH}), EXDEV);
  EXPECT_OK(OpenAt2(jail, "abs", {.resolve = RESOLVE_IN_ROOT}));
  EXPECT_OK(OpenAt2(jail, "up/../f", {.resolve = RESOLVE_IN_ROOT}));
  EXPECT_ERRNO(OpenAt2(jail, "abs", {.resolve = RESOLVE_NO_SYMLINKS}), ELOOP);
}

TEST(dup_shares_the_offset) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  int copy = ASSERT_OK(dup(fd));
  ASSERT_OK(write(fd, "abc", 3));
  EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 3);
  EXPECT_EQ(dup2(fd, 50), 50);
  EXPECT_EQ(dup2(fd, fd), fd);
  EXPECT_ERRNO(dup2(99, 99), EBADF);
  EXPECT_ERRNO(dup3(fd, fd, 0), EINVAL);
  EXPECT_ERRNO(dup3(fd, 51, O_APPEND), EINVAL);
  EXPECT_EQ(dup3(fd, 51, O_CLOEXEC), 51);
  EXPECT_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
  ASSERT_OK(close(fd));
  EXPECT_ERRNO(close(fd), EBADF);
  EXPECT_EQ(lseek(50, 0, SEEK_CUR), 3);
  ASSERT_OK(syscall(SYS_close_range, 50, 60, 0));
  EXPECT_ERRNO(lseek(50, 0, SEEK_CUR), EBADF);
}

TEST(the_limit_of_descriptors) {
  Scratch scratch;
  rlimit limit{20, 20};
  ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
  int last = -1;
  for (int fd; (fd = open(".", O_RDONLY)) >= 0;) last = fd;
  EXPECT_EQ(errno, EMFILE);
  EXPECT_EQ(last, 19);
  EXPECT_ERRNO(dup2(0, 20), EBADF);
  EXPECT_ERRNO(fcntl(0, F_DUPFD, 20), EINVAL);
  EXPECT_ERRNO(open("made", O_CREAT | O_RDWR, 0600), EMFILE);
  EXPECT_ERRNO(access("made", F_OK), ENOENT);
}

TEST(openat2_within_a_root_takes_absolute_paths_along) {
  Scratch scratch;
  close(open("file", O_CREAT | O_RDWR, 0600));
  open_how how{};
  how.resolve = RESOLVE_IN_ROOT;
  int directory = ASSERT_OK(open(scratch.path, O_PATH));
  EXPECT_OK(OpenAt2(directory, "/file", how));
  EXPECT_OK(OpenAt2(AT_FDCWD, "/../file", how));
  EXPECT_ERRNO(OpenAt2(AT_FDCWD, "/proc", how), ENOENT);
  how.resolve = RESOLVE_CACHED;
  how.flags = O_RDWR | O_TRUNC;
  EXPECT_ERRNO(OpenAt2(directory, "file", how), EAGAIN);
  how.flags = O_RDONLY;
  OpenAt2(directory, "file", how);  // its name is in the cache now
  EXPECT_OK(OpenAt2(directory, "file", how));
}

TEST(a_fifo_is_opened_for_something) {
  Scratch scratch;
  ASSERT_OK(mkfifo("fifo", 0600));
  EXPECT_ERRNO(open("fifo", O_ACCMODE | O_NONBLOCK), EINVAL);
}
