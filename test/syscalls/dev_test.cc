// mem(4), full(4), random(4) and what stands beside them in /dev.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "test/syscalls/syscall_test.h"

namespace {

TEST(null) {
  int fd = ASSERT_OK(open("/dev/null", O_RDWR));
  char byte = 'x';
  EXPECT_EQ(read(fd, &byte, 1), 0);
  EXPECT_EQ(write(fd, "data", 4), 4);
  EXPECT_EQ(lseek(fd, 100, SEEK_SET), 0);
  EXPECT_EQ(pwrite(fd, "data", 4, 10), 4);
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{};
  EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), EPERM);
  EXPECT_OK(open("/dev/null", O_WRONLY | O_TRUNC));
}

TEST(zero) {
  int fd = ASSERT_OK(open("/dev/zero", O_RDWR));
  char data[5000];
  memset(data, 'x', sizeof(data));
  EXPECT_EQ(read(fd, data, sizeof(data)), static_cast<ssize_t>(sizeof(data)));
  EXPECT_EQ(data[0], 0);
  EXPECT_EQ(data[4999], 0);
  EXPECT_EQ(write(fd, data, 100), 100);
  EXPECT_ERRNO(read(fd, nullptr, 10), EFAULT);
  char* map = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  ASSERT_TRUE(map != MAP_FAILED);
  EXPECT_EQ(map[5000], 0);
  map[5000] = 1;
  char* shared = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ASSERT_TRUE(shared != MAP_FAILED);
  EXPECT_CHILD_OK([&] {
    shared[1] = 7;
    map[1] = 7;
  });
  EXPECT_EQ(shared[1], 7);
  EXPECT_EQ(map[1], 0);
}

TEST(full) {
  int fd = ASSERT_OK(open("/dev/full", O_RDWR));
  char byte = 'x';
  EXPECT_EQ(read(fd, &byte, 1), 1);
  EXPECT_EQ(byte, 0);
  EXPECT_ERRNO(write(fd, "x", 1), ENOSPC);
}

TEST(random) {
  for (const char* name : {"/dev/random", "/dev/urandom"}) {
    int fd = ASSERT_OK(open(name, O_RDWR));
    unsigned char a[64] = {}, b[64] = {};
    EXPECT_EQ(read(fd, a, sizeof(a)), static_cast<ssize_t>(sizeof(a)));
    EXPECT_EQ(read(fd, b, sizeof(b)), static_cast<ssize_t>(sizeof(b)));
    EXPECT_NE(memcmp(a, b, sizeof(a)), 0);
    EXPECT_EQ(write(fd, a, sizeof(a)), static_cast<ssize_t>(sizeof(a)));
  }
}

TEST(nodes) {
  struct {
    const char* name;
    unsigned major, minor;
  } nodes[] = {{"/dev/null", 1, 3}, {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
               {"/dev/tty", 5, 0},  {"/dev/urandom", 1, 9}, {"/dev/random", 1, 8}};
  for (const auto& node : nodes) {
    struct stat stat;
    EXPECT_OK(::stat(node.name, &stat));
    EXPECT_EQ(stat.st_mode & S_IFMT, S_IFCHR);
    EXPECT_EQ(stat.st_mode & 0666, 0666);
    EXPECT_EQ(major(stat.st_rdev), node.major);
    EXPECT_EQ(minor(stat.st_rdev), node.minor);
  }
  int fd = ASSERT_OK(open("/dev/null", O_RDONLY));
  std::string self = "/dev/fd/" + std::to_string(fd);
  EXPECT_OK(open(self.c_str(), O_RDONLY));
  struct stat stat;
  EXPECT_OK(::stat("/dev/shm", &stat));
  EXPECT_TRUE(S_ISDIR(stat.st_mode));
}

TEST(no_device_behind_the_number) {
  if (geteuid() != 0) SKIP("needs root");
  std::string name = "/tmp/runsc-test-node-" + std::to_string(getpid());
  if (mknod(name.c_str(), S_IFCHR | 0600, makedev(240, 77)) != 0) SKIP("may not make device nodes");
  int fd = open(name.c_str(), O_RDONLY);
  EXPECT_EQ(fd, -1);
  EXPECT_TRUE(errno == ENXIO || errno == EACCES);  // EACCES: a nodev mount
  unlink(name.c_str());
}

}  // namespace
