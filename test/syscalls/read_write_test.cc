// read(2), write(2), pread(2), readv(2), lseek(2), sendfile(2), copy_file_range(2), splice(2),
// truncate(2), fallocate(2), memfd_create(2) and RLIMIT_FSIZE.
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "test/syscalls/syscall_test.h"

namespace {

int TempFile() {
  char path[] = "/tmp/read_write_XXXXXX";
  int fd = mkstemp(path);
  if (fd >= 0) unlink(path);
  return fd;
}

std::string Content(int fd, size_t limit = 1 << 20) {
  std::string text(limit, '\0');
  ssize_t got = pread(fd, text.data(), limit, 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

off_t SizeOf(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_size : -1;
}

TEST(pwritev2_appends_once) {
  char name[] = "/tmp/appendXXXXXX";
  int fd = ASSERT_OK(mkstemp(name));
  unlink(name);
  char text[] = "abcd";
  iovec vector{text, 4};
  EXPECT_EQ(pwritev2(fd, &vector, 1, 0, 0), 4);
  // The offset is not looked at, and stays.
  EXPECT_EQ(pwritev2(fd, &vector, 1, 0, RWF_APPEND), 4);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
  EXPECT_EQ(pwritev2(fd, &vector, 1, -1, RWF_APPEND | RWF_DSYNC), 4);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 12);
  EXPECT_EQ(lseek(fd, 0, SEEK_END), 12);
  EXPECT_ERRNO(pwritev2(fd, &vector, 1, 0, 0x40000000), EOPNOTSUPP);
  EXPECT_ERRNO(pwritev2(fd, &vector, 1, -2, RWF_APPEND), EINVAL);
  int ends[2];
  ASSERT_OK(pipe(ends));
  EXPECT_EQ(pwritev2(ends[1], &vector, 1, -1, RWF_APPEND), 4);
  EXPECT_ERRNO(pwritev2(ends[1], &vector, 1, 0, RWF_APPEND), ESPIPE);
}

}  // namespace

// Volatile: the compiler knows too well what such calls do.
void* volatile bad = reinterpret_cast<void*>(8);

TEST(offsets) {
  int fd = ASSERT_OK(TempFile());
  EXPECT_EQ(ASSERT_OK(write(fd, "hello world", 11)), 11);
  EXPECT_EQ(pwrite(fd, "J", 1, 0), 1);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 11);
  char buffer[16];
  EXPECT_EQ(pread(fd, buffer, sizeof(buffer), 6), 5);
  EXPECT_EQ(read(fd, buffer, sizeof(buffer)), 0);
  EXPECT_EQ(lseek(fd, -3, SEEK_END), 8);
  EXPECT_EQ(read(fd, buffer, 2), 2);
  EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
  EXPECT_ERRNO(lseek(fd, 0, 99), EINVAL);
  EXPECT_ERRNO(pread(fd, buffer, 1, -1), EINVAL);
  EXPECT_EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
  EXPECT_EQ(SizeOf(fd), 11);
  EXPECT_EQ(Content(fd), "Jello world");
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  EXPECT_ERRNO(lseek(pipes[0], 0, SEEK_CUR), ESPIPE);
  EXPECT_ERRNO(pread(pipes[0], buffer, 1, 0), ESPIPE);
}

TEST(descriptors_are_checked_before_buffers) {
  int fd = ASSERT_OK(TempFile());
  char byte = 'x';
  EXPECT_ERRNO(read(99, &byte, 1), EBADF);
  EXPECT_ERRNO(write(99, &byte, 1), EBADF);
  EXPECT_ERRNO(write(fd, bad, 1), EFAULT);
  ASSERT_OK(write(fd, "abc", 3));
  EXPECT_ERRNO(pread(fd, bad, 1, 0), EFAULT);
  EXPECT_EQ(pread(fd, bad, 1, 3), 0);
  EXPECT_EQ(write(fd, nullptr, 0), 0);
  int dir = ASSERT_OK(open("/tmp", O_RDONLY));
  EXPECT_ERRNO(read(dir, &byte, 1), EISDIR);
  EXPECT_ERRNO(write(dir, &byte, 1), EBADF);
}

TEST(a_fault_in_the_middle_gives_a_short_count) {
  int fd = ASSERT_OK(TempFile());
  ASSERT_OK(ftruncate(fd, 8192));
  char* pages =
      static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_OK(munmap(pages + 4096, 4096));
  EXPECT_EQ(pread(fd, pages + 4000, 500, 0), 96);
}

TEST(vectors) {
  int fd = ASSERT_OK(TempFile());
  char a[] = "ab", b[] = "cdef";
  iovec out[3] = {{a, 2}, {nullptr, 0}, {b, 4}};
  EXPECT_EQ(writev(fd, out, 3), 6);
  EXPECT_EQ(pwritev(fd, out, 1, 10), 2);
  char x[3] = {}, y[8] = {};
  iovec in[2] = {{x, 3}, {y, 8}};
  EXPECT_EQ(preadv(fd, in, 2, 0), 11);
  EXPECT_EQ(std::string(x, 3), "abc");
  EXPECT_EQ(std::string(y, 8), std::string("def\0\0\0\0a", 8));
  EXPECT_ERRNO(syscall(SYS_writev, fd, out, -1), EINVAL);
  EXPECT_ERRNO(syscall(SYS_writev, fd, out, 1025), EINVAL);
  iovec bad{a, static_cast<size_t>(-1)};
  EXPECT_ERRNO(writev(fd, &bad, 1), EINVAL);
  EXPECT_EQ(writev(fd, out, 0), 0);
  EXPECT_EQ(preadv2(fd, in, 1, 0, 0), 3);
  EXPECT_EQ(preadv2(fd, in, 1, 0, RWF_DSYNC | RWF_SYNC | RWF_APPEND | RWF_HIPRI), 3);
  EXPECT_ERRNO(preadv2(fd, in, 1, 0, 1 << 20), EOPNOTSUPP);
}

TEST(truncation) {
  int fd = ASSERT_OK(TempFile());
  ASSERT_OK(write(fd, "0123456789", 10));
  ASSERT_OK(ftruncate(fd, 4));
  ASSERT_OK(ftruncate(fd, 6));
  EXPECT_EQ(Content(fd), std::string("0123\0\0", 6));
  EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
  EXPECT_ERRNO(truncate("/tmp", 0), EISDIR);
  int read_only = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
  EXPECT_ERRNO(ftruncate(read_only, 0), EINVAL);
}

TEST(the_size_limit) {
  int fd = ASSERT_OK(TempFile());
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{100, 100};
  ASSERT_OK(setrlimit(RLIMIT_FSIZE, &limit));
  std::string text(150, 'x');
  EXPECT_EQ(write(fd, text.data(), text.size()), 100);
  EXPECT_ERRNO(write(fd, "x", 1), EFBIG);
  EXPECT_ERRNO(ftruncate(fd, 101), EFBIG);
  EXPECT_OK(ftruncate(fd, 50));
  EXPECT_KILLED(
      [fd] {
        signal(SIGXFSZ, SIG_DFL);
        (void)!pwrite(fd, "x", 1, 100);
      },
      SIGXFSZ);
}

TEST(a_broken_pipe_kills) {
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  ASSERT_OK(close(pipes[0]));
  EXPECT_KILLED([&] { (void)!write(pipes[1], "x", 1); }, SIGPIPE);
  signal(SIGPIPE, SIG_IGN);
  EXPECT_ERRNO(write(pipes[1], "x", 1), EPIPE);
}

TEST(a_write_to_a_pipe_waits_until_all_is_taken) {
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  pid_t child = Fork([&] {
    close(pipes[0]);
    std::string big(300000, 'x');
    EXPECT_EQ(write(pipes[1], big.data(), big.size()), 300000);
  });
  close(pipes[1]);
  size_t total = 0;
  char buffer[7000];
  for (ssize_t got; (got = read(pipes[0], buffer, sizeof(buffer))) > 0;) total += static_cast<size_t>(got);
  EXPECT_EQ(total, 300000u);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(sendfile_and_copy_file_range) {
  int in = ASSERT_OK(TempFile()), out = ASSERT_OK(TempFile());
  ASSERT_OK(write(in, "0123456789", 10));
  off_t offset = 2;
  EXPECT_EQ(sendfile(out, in, &offset, 5), 5);
  EXPECT_EQ(offset, 7);
  EXPECT_EQ(Content(out), "23456");
  EXPECT_EQ(lseek(in, 0, SEEK_CUR), 10);
  EXPECT_EQ(sendfile(out, in, &offset, 100), 3);
  EXPECT_EQ(sendfile(out, in, nullptr, 100), 0);
  off64_t from = 0, to = 20;
  ssize_t copied = copy_file_range(in, &from, out, &to, 4, 0);
  if (copied < 0 && (errno == EXDEV || errno == ENOSYS)) SKIP("no copy_file_range here");
  EXPECT_EQ(copied, 4);
  EXPECT_EQ(from, 4);
  EXPECT_EQ(SizeOf(out), 24);
  from = 0, to = 2;
  EXPECT_ERRNO(copy_file_range(in, &from, in, &to, 5, 0), EINVAL);
  EXPECT_ERRNO(copy_file_range(in, &from, out, &to, 5, 1), EINVAL);
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  offset = 0;
  EXPECT_EQ(sendfile(pipes[1], in, &offset, 3), 3);
  char buffer[4];
  EXPECT_EQ(read(pipes[0], buffer, 4), 3);
}

TEST(splice_and_tee) {
  int in = ASSERT_OK(TempFile()), out = ASSERT_OK(TempFile());
  ASSERT_OK(write(in, "0123456789", 10));
  int a[2], b[2];
  ASSERT_OK(pipe(a));
  ASSERT_OK(pipe(b));
  loff_t offset = 1;
  EXPECT_EQ(splice(in, &offset, a[1], nullptr, 5, 0), 5);
  EXPECT_EQ(offset, 6);
  EXPECT_EQ(tee(a[0], b[1], 3, 0), 3);
  EXPECT_EQ(splice(a[0], nullptr, out, nullptr, 100, 0), 5);
  EXPECT_EQ(Content(out), "12345");
  char buffer[8];
  EXPECT_EQ(read(b[0], buffer, sizeof(buffer)), 3);
  EXPECT_EQ(std::string(buffer, 3), "123");
  EXPECT_ERRNO(splice(in, nullptr, out, nullptr, 1, 0), EINVAL);
  EXPECT_ERRNO(splice(a[0], &offset, out, nullptr, 1, 0), ESPIPE);
  EXPECT_ERRNO(splice(a[0], nullptr, out, nullptr, 1, SPLICE_F_NONBLOCK), EAGAIN);
  ASSERT_OK(close(a[1]));
  EXPECT_EQ(splice(a[0], nullptr, out, nullptr, 1, 0), 0);
  iovec vector{buffer, 3};
  EXPECT_EQ(vmsplice(b[1], &vector, 1, 0), 3);
  EXPECT_EQ(read(b[0], buffer, sizeof(buffer)), 3);
}

TEST(memfd_holes_and_seals) {
  int fd = ASSERT_OK(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  ASSERT_OK(pwrite(fd, "x", 1, 3 * 4096));
  EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 3 * 4096);
  EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 0);
  EXPECT_ERRNO(lseek(fd, 4 * 4096, SEEK_DATA), ENXIO);
  ASSERT_OK(fallocate(fd, 0, 0, 2 * 4096));
  ASSERT_OK(pwrite(fd, std::string(8192, 'd').data(), 8192, 0));
  EXPECT_EQ(lseek(fd, 0, SEEK_HOLE), 2 * 4096);
  ASSERT_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
  EXPECT_EQ(lseek(fd, 0, SEEK_DATA), 4096);
  EXPECT_EQ(SizeOf(fd), 3 * 4096 + 1);
  EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
  EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);

  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_TRUE(map != MAP_FAILED);
  EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  static_cast<char*>(map)[7] = 'm';
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, 7), 1);
  EXPECT_EQ(byte, 'm');
  ASSERT_OK(munmap(map, 4096));
  ASSERT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
  EXPECT_ERRNO(ftruncate(fd, 1), EPERM);
  EXPECT_ERRNO(ftruncate(fd, 1 << 20), EPERM);
  ASSERT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
  EXPECT_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
  EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL);
  EXPECT_TRUE(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  int plain = ASSERT_OK(memfd_create("plain", 0));
  EXPECT_EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
  EXPECT_ERRNO(memfd_create("x", 0x1000), EINVAL);
  EXPECT_ERRNO(memfd_create(std::string(300, 'n').c_str(), 0), EINVAL);
}

TEST(truncation_takes_mapped_pages_away) {
  int fd = ASSERT_OK(memfd_create("t", 0));
  ASSERT_OK(ftruncate(fd, 8192));
  char* map = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  map[0] = map[4096] = 'x';
  ASSERT_OK(ftruncate(fd, 4096));
  EXPECT_EQ(map[0], 'x');
  EXPECT_KILLED([&] { *static_cast<volatile char*>(map + 4096) = 1; }, SIGBUS);
  ASSERT_OK(ftruncate(fd, 8192));
  EXPECT_EQ(map[4096], 0);
}
