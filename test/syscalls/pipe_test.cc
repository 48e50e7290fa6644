// pipe(2), pipe(7), fifo(7).
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

TEST(BytesComeInOrderAndEndWithTheWriters) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  EXPECT_EQ(write(fds[1], "hello", 5), 5);
  EXPECT_EQ(write(fds[1], "world", 5), 5);
  int ready = 0;
  EXPECT_OK(ioctl(fds[0], FIONREAD, &ready));
  EXPECT_EQ(ready, 10);
  char buffer[16] = {};
  EXPECT_EQ(read(fds[0], buffer, 3), 3);
  EXPECT_EQ(read(fds[0], buffer + 3, 13), 7);
  EXPECT_EQ(std::string(buffer), "helloworld");
  close(fds[1]);
  EXPECT_EQ(read(fds[0], buffer, 1), 0);
}

TEST(AWriteWithoutReadersIsEpipe) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  close(fds[0]);
  EXPECT_KILLED([&] { (void)!write(fds[1], "x", 1); }, SIGPIPE);
  signal(SIGPIPE, SIG_IGN);
  EXPECT_ERRNO(write(fds[1], "x", 1), EPIPE);
}

TEST(EndsAreOneWay) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  char c;
  EXPECT_ERRNO(write(fds[0], "x", 1), EBADF);
  EXPECT_ERRNO(read(fds[1], &c, 1), EBADF);
  EXPECT_ERRNO(lseek(fds[0], 0, SEEK_SET), ESPIPE);
  EXPECT_ERRNO(pread(fds[0], &c, 1, 0), ESPIPE);
  struct stat st;
  ASSERT_OK(fstat(fds[0], &st));
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  EXPECT_ERRNO(pipe2(fds, 0x12345), EINVAL);
  EXPECT_ERRNO(syscall(SYS_pipe2, nullptr, 0), EFAULT);
}

TEST(NonBlockingEndsSayEagain) {
  int fds[2];
  ASSERT_OK(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
  char c;
  EXPECT_ERRNO(read(fds[0], &c, 1), EAGAIN);
  std::string block(65536, 'a');
  EXPECT_EQ(write(fds[1], block.data(), block.size()), 65536);
  EXPECT_ERRNO(write(fds[1], "x", 1), EAGAIN);
  EXPECT_EQ(fcntl(fds[1], F_GETPIPE_SZ), 65536);
  EXPECT_EQ(fcntl(fds[1], F_SETPIPE_SZ, 131072), 131072);
  EXPECT_EQ(write(fds[1], block.data(), block.size()), 65536);
  EXPECT_ERRNO(fcntl(fds[1], F_SETPIPE_SZ, 4096), EBUSY);
  std::string got(131072, 0);
  EXPECT_EQ(read(fds[0], got.data(), got.size()), 131072);
  EXPECT_EQ(fcntl(fds[1], F_SETPIPE_SZ, 1), 4096);
}

TEST(ALargeWriteGoesThroughInPieces) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  const size_t total = 1 << 20;
  std::thread writer([&] {
    std::string data(total, 0);
    for (size_t i = 0; i < total; ++i) data[i] = static_cast<char>(i * 31 >> 3);
    EXPECT_EQ(write(fds[1], data.data(), total), total);
    close(fds[1]);
  });
  std::string got;
  char buffer[5000];
  ssize_t n;
  while ((n = read(fds[0], buffer, sizeof(buffer))) > 0) got.append(buffer, static_cast<size_t>(n));
  writer.join();
  ASSERT_EQ(got.size(), total);
  bool same = true;
  for (size_t i = 0; i < total; ++i) same = same && got[i] == static_cast<char>(i * 31 >> 3);
  EXPECT_TRUE(same);
}

TEST(PollTellsBothEnds) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  pollfd entries[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}};
  EXPECT_EQ(poll(entries, 2, 0), 1);
  EXPECT_EQ(entries[1].revents, POLLOUT);
  EXPECT_EQ(write(fds[1], "x", 1), 1);
  EXPECT_EQ(poll(entries, 2, 0), 2);
  EXPECT_EQ(entries[0].revents, POLLIN);
  close(fds[1]);
  EXPECT_EQ(poll(entries, 1, 0), 1);
  EXPECT_EQ(entries[0].revents, POLLIN | POLLHUP);
  ASSERT_OK(pipe(fds));
  close(fds[0]);
  pollfd entry = {fds[1], POLLOUT, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(entry.revents, POLLOUT | POLLERR);
}

TEST(PacketsKeepTheirBounds) {
  int fds[2];
  ASSERT_OK(pipe2(fds, O_DIRECT));
  EXPECT_EQ(write(fds[1], "abc", 3), 3);
  EXPECT_EQ(write(fds[1], "defgh", 5), 5);
  char buffer[16];
  EXPECT_EQ(read(fds[0], buffer, 16), 3);
  EXPECT_EQ(read(fds[0], buffer, 2), 2);  // the rest of the packet is lost
  EXPECT_EQ(write(fds[1], "z", 1), 1);
  EXPECT_EQ(read(fds[0], buffer, 16), 1);
  EXPECT_EQ(buffer[0], 'z');
}

TEST(AFifoConnectsItsOpeners) {
  char dir[] = "/tmp/fifoXXXXXX";
  ASSERT_TRUE(mkdtemp(dir) != nullptr);
  std::string path = std::string(dir) + "/f";
  ASSERT_OK(mkfifo(path.c_str(), 0600));
  EXPECT_ERRNO(open(path.c_str(), O_WRONLY | O_NONBLOCK), ENXIO);
  pid_t child = Fork([&] {
    int fd = open(path.c_str(), O_WRONLY);
    ASSERT_OK(fd);
    EXPECT_EQ(write(fd, "hi", 2), 2);
  });
  int fd = open(path.c_str(), O_RDONLY);
  ASSERT_OK(fd);
  char buffer[4];
  EXPECT_EQ(read(fd, buffer, 4), 2);
  EXPECT_EQ(read(fd, buffer, 4), 0);
  EXPECT_EQ(WaitFor(child), 0);
  int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_OK(reader);
  pollfd entry = {reader, POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);  // no hang-up before the first writer
  int writer = open(path.c_str(), O_WRONLY | O_NONBLOCK);
  ASSERT_OK(writer);
  close(writer);
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(entry.revents, POLLHUP);
  unlink(path.c_str());
  rmdir(dir);
}

TEST(APipeOpensAgainThroughProc) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  std::string path = "/proc/self/fd/" + std::to_string(fds[1]);
  char target[64] = {};
  ssize_t length = readlink(path.c_str(), target, sizeof(target) - 1);
  if (length < 0) SKIP("no /proc");
  EXPECT_EQ(std::string(target).substr(0, 6), "pipe:[");
  int again = open(path.c_str(), O_WRONLY);
  ASSERT_OK(again);
  EXPECT_EQ(write(again, "x", 1), 1);
  char c;
  EXPECT_EQ(read(fds[0], &c, 1), 1);
}
