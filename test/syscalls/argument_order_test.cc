// Of several wrong arguments, which one a call complains about. Programs see the order: libraries try calls
// with arguments of which one is wrong on purpose, to learn what the kernel knows.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "test/syscalls/syscall_test.h"

namespace {

void* const kNowhere = reinterpret_cast<void*>(8);
constexpr int kNoFd = 999;

}  // namespace

TEST(flags_before_paths) {
  EXPECT_ERRNO(syscall(SYS_renameat2, AT_FDCWD, kNowhere, AT_FDCWD, kNowhere, 0x1000), EINVAL);
  EXPECT_ERRNO(syscall(SYS_openat, AT_FDCWD, kNowhere, O_CREAT | O_DIRECTORY, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_mknodat, AT_FDCWD, kNowhere, S_IFLNK | 0600, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_mknodat, AT_FDCWD, kNowhere, S_IFDIR | 0600, 0), EPERM);
  EXPECT_ERRNO(syscall(SYS_inotify_add_watch, kNoFd, kNowhere, 1u << 20), EINVAL);
}

TEST(empty_paths_before_directories) {
  EXPECT_ERRNO(syscall(SYS_openat, kNoFd, "", O_RDONLY, 0), ENOENT);
  EXPECT_ERRNO(syscall(SYS_unlinkat, kNoFd, "", 0), ENOENT);
  EXPECT_ERRNO(syscall(SYS_mkdirat, kNoFd, "", 0700), ENOENT);
  EXPECT_ERRNO(syscall(SYS_symlinkat, "", kNoFd, "name"), ENOENT);
  EXPECT_ERRNO(syscall(SYS_unlinkat, kNoFd, "name", 0), EBADF);
}

TEST(descriptors_before_other_arguments) {
  iovec vectors[1] = {{kNowhere, 1}};
  EXPECT_ERRNO(syscall(SYS_accept4, kNoFd, nullptr, nullptr, 1), EBADF);
  EXPECT_ERRNO(syscall(SYS_setsockopt, kNoFd, SOL_SOCKET, SO_REUSEADDR, kNowhere, -1), EBADF);
  EXPECT_ERRNO(syscall(SYS_epoll_wait, kNoFd, nullptr, -1, 0), EBADF);
  EXPECT_ERRNO(syscall(SYS_preadv, kNoFd, kNowhere, 1, 0, 0), EBADF);
  EXPECT_ERRNO(syscall(SYS_pwritev, kNoFd, kNowhere, 5000, 0, 0), EBADF);
  EXPECT_ERRNO(syscall(SYS_preadv2, kNoFd, kNowhere, 1, 0, 0, 1 << 20), EBADF);
  int read_only = open("/dev/null", O_RDONLY);
  ASSERT_OK(read_only);
  EXPECT_ERRNO(syscall(SYS_writev, read_only, kNowhere, 1), EBADF);
  EXPECT_ERRNO(syscall(SYS_writev, read_only, vectors, 5000), EBADF);
  close(read_only);
}

TEST(values_before_descriptors) {
  char byte = 0;
  EXPECT_ERRNO(syscall(SYS_pread64, kNoFd, &byte, 1, -1L), EINVAL);
  EXPECT_ERRNO(syscall(SYS_pwrite64, kNoFd, &byte, 1, -1L), EINVAL);
  EXPECT_ERRNO(syscall(SYS_flock, kNoFd, 0x100), EINVAL);
  constexpr unsigned kCompat = 0x80000000;  // MSG_CMSG_COMPAT
  EXPECT_ERRNO(syscall(SYS_sendmsg, kNoFd, kNowhere, kCompat), EINVAL);
  EXPECT_ERRNO(syscall(SYS_recvmsg, kNoFd, kNowhere, kCompat), EINVAL);
  EXPECT_ERRNO(syscall(SYS_sendmmsg, kNoFd, kNowhere, 1, kCompat), EINVAL);
  EXPECT_ERRNO(syscall(SYS_recvmmsg, kNoFd, kNowhere, 1, kCompat, nullptr), EINVAL);
}

TEST(addresses_before_what_a_descriptor_is) {
  int null = open("/dev/null", O_RDWR);
  ASSERT_OK(null);
  EXPECT_ERRNO(syscall(SYS_connect, null, kNowhere, 5000), EINVAL);
  EXPECT_ERRNO(syscall(SYS_connect, null, kNowhere, 16), EFAULT);
  EXPECT_ERRNO(syscall(SYS_bind, null, kNowhere, 5000), ENOTSOCK);
  close(null);
}

TEST(counts_before_identifiers) {
  EXPECT_ERRNO(syscall(SYS_semop, -1, kNowhere, 1 << 20), E2BIG);
  EXPECT_ERRNO(syscall(SYS_setpgid, -1, -1), EINVAL);
}

TEST(processes_before_resources) {
  rlimit64 limit;
  EXPECT_ERRNO(syscall(SYS_prlimit64, 0x3fffffff, 999, nullptr, &limit), ESRCH);
  EXPECT_ERRNO(syscall(SYS_prlimit64, 0x3fffffff, 999, kNowhere, &limit), EFAULT);
  EXPECT_ERRNO(syscall(SYS_prlimit64, 0, 999, nullptr, &limit), EINVAL);
}

TEST(a_failed_waitid_writes_its_result) {
  siginfo_t info;
  memset(&info, 0xff, sizeof(info));
  EXPECT_ERRNO(syscall(SYS_waitid, 77, 0, &info, WEXITED, nullptr), EINVAL);
  EXPECT_EQ(info.si_signo, 0);
  EXPECT_ERRNO(syscall(SYS_waitid, 77, 0, kNowhere, WEXITED, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_waitid, 77, 0, nullptr, WEXITED, nullptr), EINVAL);
}

TEST(ranges_that_wrap_around) {
  EXPECT_OK(mlock(nullptr, ~size_t{0}));
  EXPECT_OK(munlock(nullptr, ~size_t{0}));
  EXPECT_ERRNO(mlock(reinterpret_cast<void*>(~uintptr_t{0}), 1000), EINVAL);
}

TEST(vectors_without_bytes) {
  int directory = open("/", O_RDONLY | O_DIRECTORY);
  ASSERT_OK(directory);
  iovec nothing[1] = {{nullptr, 0}};
  EXPECT_EQ(readv(directory, nothing, 1), 0);
  EXPECT_EQ(readv(directory, nothing, 0), 0);
  char byte;
  EXPECT_ERRNO(read(directory, &byte, 0), EISDIR);
  close(directory);
}

TEST(memory_before_families_and_descriptors) {
  EXPECT_ERRNO(syscall(SYS_socketpair, 99, SOCK_STREAM, 0, kNowhere), EFAULT);
  EXPECT_ERRNO(syscall(SYS_socketpair, AF_INET, SOCK_STREAM, 0, kNowhere), EFAULT);
  void* const kernel_memory = reinterpret_cast<void*>(1L << 60);
  EXPECT_ERRNO(syscall(SYS_sendto, kNoFd, kernel_memory, 1, 0, nullptr, 0), EFAULT);
  EXPECT_ERRNO(syscall(SYS_recvfrom, kNoFd, kernel_memory, 1, 0, nullptr, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_sendto, kNoFd, kNowhere, 1, 0, nullptr, 0), EBADF);
}

TEST(counts_and_bits_of_futexes_before_their_words) {
  constexpr int kRequeue = 3, kCompareRequeue = 4, kWaitBitset = 9;
  EXPECT_ERRNO(syscall(SYS_futex, kNowhere, kRequeue, -1, 0, kNowhere, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_futex, kNowhere, kCompareRequeue, 1, -1L, kNowhere, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_futex, kNowhere, kWaitBitset, 0, nullptr, nullptr, 0), EINVAL);
}

TEST(any_known_bit_makes_an_inotify_mask) {
  int instance = inotify_init();
  ASSERT_OK(instance);
  EXPECT_OK(inotify_add_watch(instance, "/", IN_ISDIR));
  EXPECT_OK(inotify_add_watch(instance, "/", IN_ONESHOT));
  EXPECT_ERRNO(inotify_add_watch(instance, "/", 0), EINVAL);
  EXPECT_ERRNO(inotify_add_watch(instance, "/", 1u << 20), EINVAL);
  close(instance);
}
