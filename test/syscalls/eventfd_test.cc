// eventfd(2).
#include <poll.h>
#include <sys/eventfd.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

TEST(TheCounterAddsUpAndIsTakenWhole) {
  int fd = eventfd(3, EFD_NONBLOCK);
  ASSERT_OK(fd);
  uint64_t value = 4;
  EXPECT_EQ(write(fd, &value, 8), 8);
  EXPECT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, 7);
  EXPECT_ERRNO(read(fd, &value, 8), EAGAIN);
  EXPECT_ERRNO(read(fd, &value, 7), EINVAL);
  EXPECT_ERRNO(eventfd(0, 0x40), EINVAL);
}

TEST(TheSemaphoreGivesOneAtATime) {
  int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  uint64_t value;
  EXPECT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(read(fd, &value, 8), 8);
  EXPECT_ERRNO(read(fd, &value, 8), EAGAIN);
}

TEST(TheEndOfTheCounterBlocksWriters) {
  int fd = eventfd(0, EFD_NONBLOCK);
  uint64_t value = UINT64_MAX;
  EXPECT_ERRNO(write(fd, &value, 8), EINVAL);
  value = UINT64_MAX - 1;
  EXPECT_EQ(write(fd, &value, 8), 8);
  pollfd entry = {fd, POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(entry.revents, POLLIN);
  value = 1;
  EXPECT_ERRNO(write(fd, &value, 8), EAGAIN);
}

TEST(AReaderWaitsForAWriterAndTheOtherWayRound) {
  int fd = eventfd(0, 0);
  std::thread writer([&] {
    uint64_t value = UINT64_MAX - 1;
    EXPECT_EQ(write(fd, &value, 8), 8);
    value = 5;
    EXPECT_EQ(write(fd, &value, 8), 8);  // waits for the first read
  });
  uint64_t value;
  EXPECT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, UINT64_MAX - 1);
  EXPECT_EQ(read(fd, &value, 8), 8);
  EXPECT_EQ(value, 5);
  writer.join();
}
