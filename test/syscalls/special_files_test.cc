// What system calls say of files that are no files of a tree: pipes, sockets, eventfd and its like, /proc.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "test/syscalls/syscall_test.h"

namespace {

struct Fd {
  explicit Fd(int number) : number(number) {}
  ~Fd() { close(number); }
  operator int() const { return number; }
  const int number;
};

struct Pipe {
  Pipe() { ASSERT_OK(pipe2(ends, O_NONBLOCK)); }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  int ends[2];
};

}  // namespace

TEST(pread_and_pwrite_need_an_offset_before_anything_else) {
  char byte = 0;
  iovec vector{&byte, 1};
  Pipe pipe;
  for (int fd : pipe.ends) {
    EXPECT_ERRNO(pread(fd, &byte, 1, 0), ESPIPE);
    EXPECT_ERRNO(pwrite(fd, &byte, 1, 0), ESPIPE);
    EXPECT_ERRNO(preadv(fd, &vector, 1, 0), ESPIPE);
    EXPECT_ERRNO(pwritev(fd, &vector, 1, 0), ESPIPE);
    EXPECT_ERRNO(pread(fd, &byte, 1, -1), EINVAL);
  }
  Fd directory(open("/", O_RDONLY));
  EXPECT_ERRNO(pread(directory, &byte, 1, 0), EISDIR);
}

TEST(anonymous_files_have_an_offset_that_never_moves) {
  for (int number : {epoll_create1(0), eventfd(0, 0), timerfd_create(CLOCK_MONOTONIC, 0), inotify_init()}) {
    Fd fd(ASSERT_OK(number));
    EXPECT_EQ(lseek(fd, 100, SEEK_SET), 0);
    EXPECT_ERRNO(lseek(fd, 0, 77), EINVAL);
  }
  Pipe pipe;
  EXPECT_ERRNO(lseek(pipe.ends[0], 0, SEEK_SET), ESPIPE);
}

TEST(there_is_nothing_to_sync) {
  for (int number : {epoll_create1(0), eventfd(0, 0), inotify_init(), open("/proc/self/status", O_RDONLY),
                     socket(AF_UNIX, SOCK_STREAM, 0), open("/dev/null", O_RDWR)}) {
    Fd fd(ASSERT_OK(number));
    EXPECT_ERRNO(fsync(fd), EINVAL);
    EXPECT_ERRNO(fdatasync(fd), EINVAL);
  }
  Fd directory(open("/tmp", O_RDONLY));
  EXPECT_OK(fsync(directory));
}

TEST(their_filesystems_have_names) {
  struct statfs info;
  Pipe pipe;
  ASSERT_OK(fstatfs(pipe.ends[0], &info));
  EXPECT_EQ(info.f_type, 0x50495045);
  Fd endpoint(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_OK(fstatfs(endpoint, &info));
  EXPECT_EQ(info.f_type, 0x534f434b);
}

TEST(texts_of_proc_cannot_be_mapped) {
  Fd fd(open("/proc/self/status", O_RDONLY));
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
}

TEST(direct_io_is_not_for_all) {
  Fd event(eventfd(0, 0));
  EXPECT_ERRNO(fcntl(event, F_SETFL, O_DIRECT), EINVAL);
  Fd null(open("/dev/null", O_RDWR));
  EXPECT_ERRNO(fcntl(null, F_SETFL, O_DIRECT), EINVAL);
  EXPECT_ERRNO(open("/dev/null", O_RDWR | O_DIRECT), EINVAL);
  Pipe pipe;
  EXPECT_OK(fcntl(pipe.ends[1], F_SETFL, O_DIRECT));
}

TEST(pipes_of_packets_are_so_for_writers) {
  int ends[2];
  ASSERT_OK(pipe2(ends, O_DIRECT));
  EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_DIRECT, 0);
  EXPECT_EQ(fcntl(ends[1], F_GETFL) & O_DIRECT, O_DIRECT);
}

TEST(writing_nothing_into_a_pipe_that_nobody_reads) {
  signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  close(pipe.ends[0]);
  EXPECT_EQ(write(pipe.ends[1], "", 0), 0);
  EXPECT_ERRNO(write(pipe.ends[1], "x", 1), EPIPE);
}

TEST(splice_says_what_is_wrong_with_offsets) {
  Pipe pipe;
  Fd event(eventfd(0, 0));
  loff_t offset = 0;
  EXPECT_ERRNO(splice(pipe.ends[0], &offset, event, nullptr, 1, 0), ESPIPE);
  EXPECT_ERRNO(splice(pipe.ends[1], &offset, event, nullptr, 1, 0), ESPIPE);
  EXPECT_ERRNO(splice(event, &offset, pipe.ends[1], nullptr, 1, 0), EINVAL);
  EXPECT_ERRNO(sendfile(999, 999, reinterpret_cast<off_t*>(8), 1), EFAULT);
}

TEST(hints_about_writes_are_kept) {
  char name[] = "/tmp/hintXXXXXX";
  Fd file(ASSERT_OK(mkstemp(name)));
  unlink(name);
  uint64_t hint = 3;
  ASSERT_OK(fcntl(file, F_SET_RW_HINT, &hint));
  hint = 0;
  ASSERT_OK(fcntl(file, F_GET_RW_HINT, &hint));
  EXPECT_EQ(hint, 3);
  hint = 6;
  EXPECT_ERRNO(fcntl(file, F_SET_RW_HINT, &hint), EINVAL);
}

TEST(generic_requests_of_ioctl) {
  char name[] = "/tmp/ioctlXXXXXX";
  Fd file(ASSERT_OK(mkstemp(name)));
  unlink(name);
  ASSERT_OK(ftruncate(file, 1234));
  int64_t size = -1;
  ASSERT_OK(ioctl(file, FIOQSIZE, &size));
  EXPECT_GE(size, 0);
  Fd directory(open("/tmp", O_RDONLY));
  EXPECT_ERRNO(ioctl(directory, FICLONE, directory.number), EISDIR);
  EXPECT_ERRNO(ioctl(file, FICLONE, 999), EBADF);
}

TEST(files_remember_how_they_were_opened) {
  constexpr int kTmpfile = O_TMPFILE & ~O_DIRECTORY;
  Fd file(open("/tmp", O_TMPFILE | O_RDWR, 0600));
  ASSERT_OK(file.number);
  EXPECT_EQ(fcntl(file, F_GETFL) & kTmpfile, kTmpfile);
  Fd directory(open("/tmp", O_NOFOLLOW));
  EXPECT_EQ(fcntl(directory, F_GETFL) & O_NOFOLLOW, O_NOFOLLOW);
  Fd memory(memfd_create("x", 0));
  EXPECT_EQ(fcntl(memory, F_GETFL) & 0100000, 0100000);
}

TEST(sealing_what_may_be_executed_seals_its_contents) {
  constexpr int kSealExec = 0x20;
  Fd file(memfd_create("x", MFD_ALLOW_SEALING));
  if (fcntl(file, F_ADD_SEALS, kSealExec) != 0) SKIP("no F_SEAL_EXEC");
  constexpr int kContents = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
  EXPECT_EQ(fcntl(file, F_GET_SEALS) & kContents, kContents);
  EXPECT_ERRNO(fchmod(file, 0600), EPERM);
}

TEST(a_sealed_file_cannot_be_made_writable_through_its_mapping) {
  Fd file(memfd_create("x", MFD_ALLOW_SEALING));
  ASSERT_OK(ftruncate(file, 4096));
  ASSERT_OK(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  void* at = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_ERRNO(mprotect(at, 4096, PROT_READ | PROT_WRITE), EACCES);
}

TEST(random_devices_read_what_is_written) {
  Fd random(open("/dev/urandom", O_WRONLY));
  EXPECT_EQ(write(random, "entropy", 7), 7);
  EXPECT_ERRNO(syscall(SYS_write, random.number, 8, 7), EFAULT);
}

TEST(no_vectors_are_no_bytes) {
  iovec vector{nullptr, 0};
  Fd full(open("/dev/full", O_RDWR));
  EXPECT_EQ(pwritev(full, &vector, 0, 0), 0);
  EXPECT_EQ(writev(full, &vector, 0), 0);
  Fd proc(open("/proc/self/status", O_RDONLY));
  EXPECT_OK(sync_file_range(proc, 0, 0, SYNC_FILE_RANGE_WRITE));
}
