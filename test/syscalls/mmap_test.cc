// mmap(2), munmap, mprotect, mremap, brk, madvise, mincore, msync, mlock, and the signals of
// bad accesses.
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <fstream>
#include <thread>

#include "test/syscalls/syscall_test.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

namespace {

constexpr size_t kPage = 4096;
constexpr int kRW = PROT_READ | PROT_WRITE;
constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;

char* Map(size_t pages, int prot = kRW, int flags = kPrivate, int fd = -1, off_t offset = 0) {
  return static_cast<char*>(mmap(nullptr, pages * kPage, prot, flags, fd, offset));
}
char* At(char* where, size_t pages, int prot = kRW, int flags = kPrivate, int fd = -1, off_t offset = 0) {
  return static_cast<char*>(mmap(where, pages * kPage, prot, flags | MAP_FIXED, fd, offset));
}

// A file in memory of whole pages, page n full of 'a' + n.
int File(size_t pages) {
  int fd = memfd_create("mmap_test", MFD_CLOEXEC);
  for (size_t i = 0; i < pages; ++i) {
    std::string page(kPage, static_cast<char>('a' + i));
    if (pwrite(fd, page.data(), kPage, static_cast<off_t>(i * kPage)) != static_cast<ssize_t>(kPage))
      return -1;
  }
  return fd;
}

sigjmp_buf fault_return;
volatile int fault_signal, fault_code;
void* volatile fault_address;

void OnFault(int signal, siginfo_t* info, void*) {
  fault_signal = signal;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(fault_return, 1);
}

// The signal that an access gets (0: none), with fault_code and fault_address.
template <typename Access>
int Fault(Access access) {
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  fault_signal = 0;
  fault_code = 0;
  fault_address = nullptr;
  if (sigsetjmp(fault_return, 1) == 0) access();
  return fault_signal;
}
int ReadFault(const volatile char* at) {
  return Fault([=] { (void)*at; });
}
int WriteFault(volatile char* at) {
  return Fault([=] { *at = 1; });
}

// The harness compares char pointers as strings.
void* P(void* pointer) { return pointer; }

TEST(anonymous_memory_is_zero_and_writable) {
  char* p = Map(300);
  ASSERT_NE(p, MAP_FAILED);
  for (size_t i = 0; i < 300 * kPage; i += kPage) EXPECT_EQ(p[i], 0);
  for (size_t i = 0; i < 300 * kPage; i += kPage) p[i] = static_cast<char>(i / kPage);
  for (size_t i = 0; i < 300 * kPage; i += kPage) ASSERT_EQ(p[i], static_cast<char>(i / kPage));
  EXPECT_OK(munmap(p, 300 * kPage));
}

TEST(mmap_errors) {
  int fd = File(1);
  EXPECT_ERRNO(mmap(nullptr, 0, kRW, kPrivate, -1, 0), EINVAL);
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_ANONYMOUS, -1, 0), EINVAL);
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_PRIVATE, -1, 0), EBADF);
  EXPECT_ERRNO(mmap(nullptr, 0, kRW, MAP_PRIVATE, -1, 0), EBADF);
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_PRIVATE, fd, 100), EINVAL);
  EXPECT_ERRNO(mmap(nullptr, SIZE_MAX, kRW, kPrivate, -1, 0), ENOMEM);
  EXPECT_ERRNO(mmap(nullptr, SIZE_MAX - kPage, kRW, kPrivate, -1, 0), ENOMEM);
  EXPECT_ERRNO(mmap(nullptr, size_t{1} << 47, PROT_NONE, kPrivate | MAP_NORESERVE, -1, 0), ENOMEM);
  EXPECT_ERRNO(mmap(reinterpret_cast<void*>(0x12345), kPage, kRW, kPrivate | MAP_FIXED, -1, 0), EINVAL);
  EXPECT_ERRNO(mmap(reinterpret_cast<void*>(~kPage + 1), kPage, kRW, kPrivate | MAP_FIXED, -1, 0), ENOMEM);
  EXPECT_ERRNO(mmap(nullptr, 2 * kPage, kRW, MAP_PRIVATE, fd, -static_cast<off_t>(kPage)), EOVERFLOW);
  char* p = Map(1);
  EXPECT_ERRNO(mmap(p, kPage, kRW, kPrivate | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_SHARED_VALIDATE | (1 << 24), fd, 0), EOPNOTSUPP);
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  EXPECT_ERRNO(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV);
  EXPECT_ERRNO(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, pipes[1], 0), EACCES);
  close(fd);
}

TEST(hints_and_fixed_addresses) {
  char* p = Map(8);
  ASSERT_OK(munmap(p, 8 * kPage));
  EXPECT_EQ(mmap(p, kPage, kRW, kPrivate, -1, 0), p);  // free: taken
  EXPECT_NE(mmap(p, kPage, kRW, kPrivate, -1, 0), p);  // in use: elsewhere
  EXPECT_EQ(mmap(p + kPage + 5, kPage, kRW, kPrivate, -1, 0), p + kPage);
  p[0] = 'x';
  EXPECT_EQ(P(At(p, 2)), P(p));  // replaces
  EXPECT_EQ(p[0], 0);
  EXPECT_EQ(mmap(p + 4 * kPage, kPage, kRW, kPrivate | MAP_FIXED_NOREPLACE, -1, 0), p + 4 * kPage);
  auto low = reinterpret_cast<uintptr_t>(Map(1, kRW, kPrivate | MAP_32BIT));
  EXPECT_LT(low, uintptr_t{1} << 32);
}

TEST(munmap_cuts) {
  char* p = Map(5);
  memset(p, 7, 5 * kPage);
  EXPECT_OK(munmap(p + kPage, kPage));
  EXPECT_OK(munmap(p + 3 * kPage, 1));  // rounded up
  EXPECT_EQ(p[0], 7);
  EXPECT_EQ(p[2 * kPage], 7);
  EXPECT_EQ(p[4 * kPage], 7);
  EXPECT_EQ(ReadFault(p + kPage), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_MAPERR);
  EXPECT_EQ(fault_address, p + kPage);
  EXPECT_EQ(ReadFault(p + 3 * kPage + 9), SIGSEGV);
  EXPECT_EQ(fault_address, p + 3 * kPage + 9);
  EXPECT_OK(munmap(p, 5 * kPage));  // holes are fine
  EXPECT_ERRNO(munmap(p + 1, kPage), EINVAL);
  EXPECT_ERRNO(munmap(p, 0), EINVAL);
  EXPECT_ERRNO(munmap(p, SIZE_MAX), EINVAL);
}

TEST(mprotect_is_obeyed) {
  char* p = Map(4);
  memset(p, 3, 4 * kPage);
  EXPECT_OK(mprotect(p + kPage, kPage, PROT_READ));
  EXPECT_EQ(p[kPage], 3);
  EXPECT_EQ(WriteFault(p + kPage + 8), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_ACCERR);
  EXPECT_EQ(fault_address, p + kPage + 8);
  EXPECT_EQ(WriteFault(p), 0);
  EXPECT_OK(mprotect(p, 4 * kPage, PROT_NONE));
  EXPECT_EQ(ReadFault(p), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_ACCERR);
  EXPECT_OK(mprotect(p, 4 * kPage, kRW));
  EXPECT_EQ(p[2 * kPage], 3);
  p[kPage] = 4;
  // Also for what was never touched.
  char* q = Map(1, PROT_READ);
  EXPECT_EQ(WriteFault(q), SIGSEGV);
  EXPECT_EQ(q[0], 0);
  EXPECT_EQ(WriteFault(q), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_ACCERR);
  EXPECT_OK(mprotect(q, kPage, kRW));
  EXPECT_EQ(WriteFault(q), 0);
}

TEST(mprotect_errors) {
  char* p = Map(3);
  EXPECT_ERRNO(mprotect(p + 1, kPage, PROT_READ), EINVAL);
  EXPECT_OK(mprotect(p, 0, PROT_READ));
  EXPECT_ERRNO(mprotect(p, SIZE_MAX, PROT_READ), ENOMEM);
  EXPECT_ERRNO(mprotect(p, kPage, 0x1000), EINVAL);
  EXPECT_ERRNO(mprotect(p, kPage, PROT_READ | PROT_GROWSDOWN), EINVAL);
  ASSERT_OK(munmap(p + 2 * kPage, kPage));
  EXPECT_ERRNO(mprotect(p, 3 * kPage, PROT_READ), ENOMEM);
  EXPECT_EQ(WriteFault(p), SIGSEGV);  // what stands before the hole was changed
  // A shared mapping of a file that was opened for reading never becomes writable.
  int fd = File(1);
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY);
  if (reader < 0) SKIP("no /proc");
  EXPECT_ERRNO(mmap(nullptr, kPage, kRW, MAP_SHARED, reader, 0), EACCES);
  char* shared = Map(1, PROT_READ, MAP_SHARED, reader);
  ASSERT_NE(shared, MAP_FAILED);
  EXPECT_ERRNO(mprotect(shared, kPage, kRW), EACCES);
  char* copy = Map(1, PROT_READ, MAP_PRIVATE, reader);
  EXPECT_OK(mprotect(copy, kPage, kRW));
  copy[0] = 'z';
  EXPECT_EQ(shared[0], 'a');
  int writer = open(path, O_WRONLY);
  EXPECT_ERRNO(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, writer, 0), EACCES);
}

TEST(execute_permission) {
  unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret
  char* p = Map(1);
  memcpy(p, code, sizeof(code));
  auto function = reinterpret_cast<int (*)()>(p);
  EXPECT_EQ(Fault([=] { function(); }), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_ACCERR);
  EXPECT_EQ(fault_address, p);
  ASSERT_OK(mprotect(p, kPage, PROT_READ | PROT_EXEC));
  EXPECT_EQ(function(), 42);
  // Written again, run again.
  ASSERT_OK(mprotect(p, kPage, kRW));
  p[1] = 43;
  ASSERT_OK(mprotect(p, kPage, PROT_READ | PROT_EXEC));
  EXPECT_EQ(function(), 43);
}

TEST(null_and_kernel_addresses_fault) {
  EXPECT_EQ(ReadFault(reinterpret_cast<char*>(8)), SIGSEGV);
  EXPECT_EQ(fault_code, SEGV_MAPERR);
  EXPECT_EQ(fault_address, reinterpret_cast<void*>(8));
  EXPECT_EQ(WriteFault(reinterpret_cast<char*>(0x7ffffffff000)), SIGSEGV);
}

TEST(private_file_mappings_copy) {
  int fd = File(3);
  char* p = Map(3, kRW, MAP_PRIVATE, fd);
  ASSERT_NE(p, MAP_FAILED);
  EXPECT_EQ(p[0], 'a');
  EXPECT_EQ(p[2 * kPage + 5], 'c');
  p[kPage] = 'X';
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, kPage), 1);
  EXPECT_EQ(byte, 'b');
  EXPECT_EQ(p[kPage + 1], 'b');
  char* tail = Map(1, PROT_READ, MAP_PRIVATE, fd, 2 * kPage);
  EXPECT_EQ(tail[0], 'c');
}

TEST(shared_file_mappings_are_the_file) {
  int fd = File(2);
  char* p = Map(2, kRW, MAP_SHARED, fd);
  char* q = Map(2, kRW, MAP_SHARED, fd);
  p[10] = 'P';
  EXPECT_EQ(q[10], 'P');
  EXPECT_EQ(pwrite(fd, "W", 1, kPage), 1);
  EXPECT_EQ(p[kPage], 'W');
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, 10), 1);
  EXPECT_EQ(byte, 'P');
  EXPECT_CHILD_OK([=] { p[20] = 'C'; });
  EXPECT_EQ(q[20], 'C');
  close(fd);  // the mapping stays
  EXPECT_EQ(p[20], 'C');
}

TEST(beyond_the_end_of_a_file_is_sigbus) {
  int fd = File(2);
  char* p = Map(4, kRW, MAP_SHARED, fd);
  EXPECT_EQ(p[kPage], 'b');
  EXPECT_EQ(ReadFault(p + 2 * kPage), SIGBUS);
  EXPECT_EQ(fault_code, BUS_ADRERR);
  EXPECT_EQ(fault_address, p + 2 * kPage);
  ASSERT_OK(ftruncate(fd, 100));
  EXPECT_EQ(ReadFault(p + kPage), SIGBUS);
  EXPECT_EQ(p[99], 'a');
  EXPECT_EQ(p[100], 0);  // the rest of the last page reads as zero
  char* private_copy = Map(2, kRW, MAP_PRIVATE, fd);
  EXPECT_EQ(ReadFault(private_copy + kPage), SIGBUS);
  // System calls say EFAULT.
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  EXPECT_ERRNO(write(pipes[1], p + kPage, 1), EFAULT);
  ASSERT_OK(ftruncate(fd, 2 * kPage));
  EXPECT_EQ(p[kPage], 0);
}

TEST(truncation_takes_private_copies_too) {
  int fd = File(2);
  char* p = Map(2, kRW, MAP_PRIVATE, fd);
  p[kPage] = 'X';
  ASSERT_OK(ftruncate(fd, kPage));
  EXPECT_EQ(ReadFault(p + kPage), SIGBUS);
}

TEST(fork_copies_private_and_shares_shared) {
  char* mine = Map(64);
  char* ours = Map(4, kRW, MAP_SHARED | MAP_ANONYMOUS);
  memset(mine, 1, 64 * kPage);
  ours[0] = 1;
  EXPECT_CHILD_OK([=] {
    EXPECT_EQ(mine[63 * kPage], 1);
    memset(mine, 2, 64 * kPage);
    ours[0] = 2;
    ours[3 * kPage] = 3;
    EXPECT_CHILD_OK([=] {
      EXPECT_EQ(mine[0], 2);
      mine[0] = 9;
      ours[1] = 4;
    });
    EXPECT_EQ(mine[0], 2);
  });
  for (size_t i = 0; i < 64 * kPage; i += kPage) ASSERT_EQ(mine[i], 1);
  EXPECT_EQ(ours[0], 2);
  EXPECT_EQ(ours[1], 4);
  EXPECT_EQ(ours[3 * kPage], 3);
  mine[0] = 5;
  EXPECT_EQ(mine[0], 5);
}

TEST(fork_while_another_thread_writes) {
  char* p = Map(16);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    unsigned char n = 0;
    while (!stop) {
      ++n;
      for (size_t i = 0; i < 16; ++i) {
        p[i * kPage] = static_cast<char>(n);
        if (p[i * kPage] != static_cast<char>(n)) FAIL("a write was lost");
      }
    }
  });
  for (int i = 0; i < 20; ++i) {
    pid_t child = fork();
    if (child == 0) _exit(p[15 * kPage + 1]);
    EXPECT_EQ(WaitFor(child), 0);
  }
  stop = true;
  writer.join();
}

TEST(mremap_moves_and_resizes) {
  char* p = Map(16);  // room that is ours
  ASSERT_OK(munmap(p + 4 * kPage, 12 * kPage));
  memset(p, 5, 4 * kPage);
  EXPECT_EQ(mremap(p, 4 * kPage, 2 * kPage, 0), p);
  EXPECT_EQ(ReadFault(p + 2 * kPage), SIGSEGV);
  EXPECT_EQ(mremap(p, 2 * kPage, 4 * kPage, 0), p);  // there is room now
  EXPECT_EQ(p[kPage], 5);
  EXPECT_EQ(p[2 * kPage], 0);
  ASSERT_EQ(P(At(p + 4 * kPage, 1, PROT_READ)), P(p + 4 * kPage));
  EXPECT_ERRNO(mremap(p, 4 * kPage, 8 * kPage, 0), ENOMEM);
  char* q = static_cast<char*>(mremap(p, 4 * kPage, 8 * kPage, MREMAP_MAYMOVE));
  ASSERT_NE(q, MAP_FAILED);
  EXPECT_NE(P(q), P(p));
  EXPECT_EQ(q[kPage], 5);
  EXPECT_EQ(q[7 * kPage], 0);
  EXPECT_EQ(ReadFault(p), SIGSEGV);
  char* target = Map(8);
  target[0] = 1;
  EXPECT_EQ(mremap(q, 8 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target), target);
  EXPECT_EQ(target[kPage], 5);
  EXPECT_EQ(ReadFault(q), SIGSEGV);
  char* left = static_cast<char*>(mremap(target, 8 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
  if (left != MAP_FAILED) {
    EXPECT_EQ(left[kPage], 5);
    EXPECT_EQ(target[kPage], 0);
  }
}

TEST(mremap_errors_and_duplicates) {
  char* p = Map(4);
  EXPECT_ERRNO(mremap(p, kPage, 0, 0), EINVAL);
  EXPECT_ERRNO(mremap(p + 1, kPage, kPage, 0), EINVAL);
  EXPECT_ERRNO(mremap(p, kPage, kPage, 0x100), EINVAL);
  EXPECT_ERRNO(mremap(p, kPage, kPage, MREMAP_FIXED, p + 8 * kPage), EINVAL);
  EXPECT_ERRNO(mremap(p, 2 * kPage, 2 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, p + kPage), EINVAL);
  EXPECT_ERRNO(mremap(p, 0, kPage, MREMAP_MAYMOVE), EINVAL);
  EXPECT_ERRNO(mremap(p, 4 * kPage, size_t{1} << 46, MREMAP_MAYMOVE), ENOMEM);
  ASSERT_OK(munmap(p + 2 * kPage, 2 * kPage));
  EXPECT_ERRNO(mremap(p + 2 * kPage, kPage, 2 * kPage, MREMAP_MAYMOVE), EFAULT);
  EXPECT_ERRNO(mremap(p, 4 * kPage, 8 * kPage, MREMAP_MAYMOVE), EFAULT);
  int fd = File(2);
  char* s = Map(2, kRW, MAP_SHARED, fd);
  char* twin = static_cast<char*>(mremap(s, 0, 2 * kPage, MREMAP_MAYMOVE));
  ASSERT_NE(twin, MAP_FAILED);
  twin[kPage] = 'T';
  EXPECT_EQ(s[kPage], 'T');
}

TEST(brk_grows_and_shrinks) {
  char* start = static_cast<char*>(sbrk(0));
  ASSERT_OK(sbrk(10 * kPage));
  start[9 * kPage] = 1;
  start[0] = 2;
  EXPECT_OK(brk(start));
  ASSERT_OK(sbrk(10 * kPage));
  EXPECT_EQ(start[9 * kPage], 0);  // new memory is zero again
  rlimit old;
  ASSERT_OK(getrlimit(RLIMIT_DATA, &old));
  rlimit small{1 << 20, old.rlim_max};
  ASSERT_OK(setrlimit(RLIMIT_DATA, &small));
  EXPECT_ERRNO(sbrk(64 << 20), ENOMEM);
  ASSERT_OK(setrlimit(RLIMIT_DATA, &old));
  long now = syscall(SYS_brk, 0);
  EXPECT_EQ(syscall(SYS_brk, 1), now);  // never an error
}

TEST(address_space_limit) {
  EXPECT_CHILD_OK([] {
    rlimit limit{256 << 20, 256 << 20};
    ASSERT_OK(setrlimit(RLIMIT_AS, &limit));
    EXPECT_ERRNO(mmap(nullptr, 512 << 20, PROT_NONE, kPrivate, -1, 0), ENOMEM);
    EXPECT_NE(Map(1), MAP_FAILED);
  });
}

TEST(madvise_dontneed_and_friends) {
  char* p = Map(4);
  memset(p, 1, 4 * kPage);
  EXPECT_OK(madvise(p + kPage, kPage, MADV_DONTNEED));
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(p[kPage], 0);
  EXPECT_EQ(p[2 * kPage], 1);
  int fd = File(2);
  char* f = Map(2, kRW, MAP_PRIVATE, fd);
  f[0] = 'X';
  EXPECT_OK(madvise(f, kPage, MADV_DONTNEED));
  EXPECT_EQ(f[0], 'a');
  char* s = Map(2, kRW, MAP_SHARED, fd);
  s[0] = 'S';
  EXPECT_OK(madvise(s, kPage, MADV_DONTNEED));
  EXPECT_EQ(s[0], 'S');
  EXPECT_OK(madvise(s, kPage, MADV_REMOVE));
  EXPECT_EQ(s[0], 0);
  EXPECT_EQ(s[kPage], 'b');
  EXPECT_OK(madvise(p, 4 * kPage, MADV_NORMAL));
  EXPECT_OK(madvise(p, 4 * kPage, MADV_WILLNEED));
  EXPECT_OK(madvise(p, 4 * kPage, MADV_FREE));
  EXPECT_ERRNO(madvise(s, kPage, MADV_FREE), EINVAL);
  EXPECT_ERRNO(madvise(p, kPage, 12345), EINVAL);
  EXPECT_ERRNO(madvise(p + 1, kPage, MADV_DONTNEED), EINVAL);
  EXPECT_OK(madvise(p, 0, MADV_DONTNEED));
  ASSERT_OK(munmap(p + 2 * kPage, kPage));
  p[3 * kPage] = 1;
  EXPECT_ERRNO(madvise(p, 4 * kPage, MADV_DONTNEED), ENOMEM);
  EXPECT_EQ(p[3 * kPage], 0);  // goes on behind the hole
}

TEST(madvise_fork_flags) {
  char* p = Map(3);
  memset(p, 1, 3 * kPage);
  ASSERT_OK(madvise(p, kPage, MADV_WIPEONFORK));
  ASSERT_OK(madvise(p + kPage, kPage, MADV_DONTFORK));
  EXPECT_CHILD_OK([=] {
    EXPECT_EQ(p[0], 0);
    EXPECT_EQ(p[2 * kPage], 1);
    EXPECT_EQ(ReadFault(p + kPage), SIGSEGV);
  });
  EXPECT_EQ(p[0], 1);
}

TEST(mincore_and_msync) {
  char* p = Map(4);
  unsigned char vec[4] = {9, 9, 9, 9};
  memset(p, 1, 4 * kPage);
  EXPECT_OK(mincore(p, 4 * kPage, vec));
  for (unsigned char in_core : vec) EXPECT_EQ(in_core & 1, 1);
  char* untouched = Map(1, PROT_READ);
  EXPECT_OK(mincore(untouched, kPage, vec));
  EXPECT_EQ(vec[0] & 1, 0);
  EXPECT_ERRNO(mincore(p + 1, kPage, vec), EINVAL);
  EXPECT_ERRNO(mincore(p, kPage, nullptr), EFAULT);
  EXPECT_OK(msync(p, kPage, MS_ASYNC));
  EXPECT_OK(msync(p, 4 * kPage, MS_SYNC));
  EXPECT_ERRNO(msync(p, kPage, MS_SYNC | MS_ASYNC), EINVAL);
  EXPECT_ERRNO(msync(p, kPage, 0x100), EINVAL);
  EXPECT_ERRNO(msync(p + 1, kPage, MS_SYNC), EINVAL);
  ASSERT_OK(munmap(p + kPage, kPage));
  EXPECT_ERRNO(msync(p, 4 * kPage, MS_SYNC), ENOMEM);
  EXPECT_ERRNO(mincore(p, 4 * kPage, vec), ENOMEM);
}

// Memory is given in larger pieces than is asked for; that must not show.
TEST(untouched_pages_are_not_resident) {
  constexpr size_t kPages = 2048, kBeside = 64;  // what may come along with a touched page, in pages
  for (int flags : {kPrivate, MAP_SHARED | MAP_ANONYMOUS}) {
    char* p = Map(kPages, kRW, flags);
    ASSERT_NE(p, MAP_FAILED);
    ASSERT_OK(madvise(p, kPages * kPage, MADV_NOHUGEPAGE));
    auto count = [p] {
      std::vector<unsigned char> resident(kPages);
      EXPECT_OK(mincore(p, kPages * kPage, resident.data()));
      size_t pages = 0;
      for (unsigned char page : resident) pages += page & 1;
      return pages;
    };
    EXPECT_EQ(count(), 0u);
    for (size_t page : {0, 512, 1024, 1536}) p[page * kPage] = 1;
    EXPECT_GE(count(), 4u);
    EXPECT_LE(count(), 4 * kBeside);
    unsigned char resident = 0;
    EXPECT_OK(mincore(p + 512 * kPage, kPage, &resident));
    EXPECT_EQ(resident & 1, 1);
    for (size_t page : {256, 768, 2047}) {
      EXPECT_OK(mincore(p + page * kPage, kPage, &resident));
      EXPECT_EQ(resident & 1, 0);
    }
    memset(p, 1, 100 * kPage);
    EXPECT_GE(count(), 100u);
    EXPECT_LE(count(), 100 + 4 * kBeside);
    ASSERT_OK(munmap(p, kPages * kPage));
  }
}

// What /proc tells of memory: in kB.
TEST(resident_memory_is_what_was_touched) {
  auto value_of = [](const char* file, const std::string& key) {
    std::ifstream in(file);
    std::string word;
    while (in >> word && word != key) {
    }
    long value = -1;
    in >> value;
    return value;
  };
  constexpr size_t kPages = 4096;
  constexpr long kSlack = 1024;
  long before = value_of("/proc/self/status", "VmRSS:");
  char* p = Map(kPages);
  ASSERT_NE(p, MAP_FAILED);
  ASSERT_OK(madvise(p, kPages * kPage, MADV_NOHUGEPAGE));
  p[0] = p[2048 * kPage] = 1;
  EXPECT_LE(value_of("/proc/self/status", "VmRSS:"), before + kSlack);
  EXPECT_LE(value_of("/proc/self/smaps_rollup", "Rss:"), before + 2 * kSlack);
  memset(p, 1, kPages * kPage);
  EXPECT_GE(value_of("/proc/self/status", "VmRSS:"), before + 15000);
  EXPECT_GE(value_of("/proc/self/smaps_rollup", "Rss:"), 16000);
}

TEST(mlock_is_accepted_and_checked) {
  char* p = Map(4);
  EXPECT_OK(mlock(p, 4 * kPage));
  EXPECT_ERRNO(madvise(p, kPage, MADV_DONTNEED), EINVAL);
  EXPECT_OK(munlock(p, 4 * kPage));
  EXPECT_OK(madvise(p, kPage, MADV_DONTNEED));
  ASSERT_OK(munmap(p + kPage, kPage));
  EXPECT_ERRNO(mlock(p, 4 * kPage), ENOMEM);
  EXPECT_ERRNO(mlockall(0), EINVAL);
  EXPECT_ERRNO(mlockall(0x100), EINVAL);
  EXPECT_OK(munlockall());
  EXPECT_ERRNO(syscall(SYS_mlock2, p, kPage, 2), EINVAL);
}

int DeepStack(int depth) {
  volatile char room[16 << 10];
  room[0] = static_cast<char>(depth);
  int below = depth == 0 ? 0 : DeepStack(depth - 1);
  return below + (room[0] != static_cast<char>(depth));
}

TEST(the_stack_grows) { EXPECT_EQ(DeepStack(200), 0); }

volatile int endless_depth = INT_MAX;

int Endless(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth == endless_depth ? 0 : Endless(depth + 1) + room[0];
}

TEST(stack_overflow_is_sigsegv) {
  EXPECT_KILLED([] { Endless(0); }, SIGSEGV);
  EXPECT_CHILD_OK([] {
    static char alternate[64 << 10];
    stack_t stack{alternate, 0, sizeof(alternate)};
    ASSERT_OK(sigaltstack(&stack, nullptr));
    struct sigaction action {};
    action.sa_handler = [](int) { _exit(0); };
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    Endless(0);
  });
}

TEST(grows_down_mappings) {
  // Room below, so that nothing else gets in the way.
  char* room = Map(1024, PROT_NONE);
  char* top = room + 1024 * kPage;
  ASSERT_OK(munmap(room, 1024 * kPage));
  char* p = At(top - kPage, 1, kRW, kPrivate | MAP_GROWSDOWN);
  ASSERT_NE(p, MAP_FAILED);
  p[0] = 1;
  EXPECT_EQ(WriteFault(p - kPage), 0);
  EXPECT_EQ(WriteFault(p - 10 * kPage), 0);
  EXPECT_EQ(p[-20], 0);
  EXPECT_EQ(p[0], 1);
}

TEST(system_calls_check_addresses) {
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  char* p = Map(2);
  ASSERT_OK(munmap(p + kPage, kPage));
  EXPECT_ERRNO(write(pipes[1], nullptr, 1), EFAULT);
  EXPECT_ERRNO(write(pipes[1], p + kPage, 1), EFAULT);
  ASSERT_OK(mprotect(p, kPage, PROT_READ));
  EXPECT_EQ(write(pipes[1], p, 4), 4);
  EXPECT_ERRNO(read(pipes[0], p, 4), EFAULT);
  ASSERT_OK(mprotect(p, kPage, kRW));
  EXPECT_EQ(write(pipes[1], "word", 4), 4);
  EXPECT_GT(read(pipes[0], p + 100, 4), 0);
}

TEST(many_mappings) {
  char* p = Map(2000);
  for (size_t i = 0; i < 2000; i += 2) ASSERT_OK(mprotect(p + i * kPage, kPage, PROT_READ));
  for (size_t i = 1; i < 2000; i += 2) p[i * kPage] = static_cast<char>(i);
  for (size_t i = 1; i < 2000; i += 2) ASSERT_EQ(p[i * kPage], static_cast<char>(i));
  EXPECT_OK(mprotect(p, 2000 * kPage, kRW));
  p[0] = 1;
  EXPECT_OK(munmap(p, 2000 * kPage));
}

TEST(process_vm_reads_and_writes_another_process) {
  static char word[8] = "parent";
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  int back[2];
  ASSERT_OK(pipe(back));
  pid_t child = Fork([&] {
    strcpy(word, "child");
    char c = 'r';
    EXPECT_EQ(write(pipes[1], &c, 1), 1);
    EXPECT_EQ(read(back[0], &c, 1), 1);
    EXPECT_EQ(word, "WROTE");
  });
  char c;
  ASSERT_EQ(read(pipes[0], &c, 1), 1);
  char got[8] = {};
  iovec local{got, sizeof(got)};
  iovec remote{word, sizeof(word)};
  ssize_t n = process_vm_readv(child, &local, 1, &remote, 1, 0);
  if (n == -1 && (errno == EPERM || errno == ENOSYS)) {
    kill(child, SIGKILL);
    WaitFor(child);
    SKIP("not allowed here");
  }
  EXPECT_EQ(n, 8);
  EXPECT_EQ(got, "child");
  EXPECT_EQ(word, "parent");
  char put[8] = "WROTE";
  local.iov_base = put;
  EXPECT_EQ(process_vm_writev(child, &local, 1, &remote, 1, 0), 8);
  remote.iov_base = reinterpret_cast<void*>(8);
  EXPECT_ERRNO(process_vm_readv(child, &local, 1, &remote, 1, 0), EFAULT);
  EXPECT_ERRNO(process_vm_readv(child, &local, 1, &remote, 1, 1), EINVAL);
  EXPECT_EQ(write(back[1], "g", 1), 1);
  EXPECT_EQ(WaitFor(child), 0);
}

}  // namespace

TEST(mmap_looks_at_the_place_before_the_kind) {
  EXPECT_ERRNO(mmap(nullptr, size_t{1} << 60, PROT_READ, 0, -1, 0), EBADF);
  EXPECT_ERRNO(mmap(nullptr, size_t{1} << 60, PROT_READ, MAP_ANONYMOUS, -1, 0), ENOMEM);
  EXPECT_ERRNO(mmap(nullptr, 0, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
  EXPECT_ERRNO(mmap(nullptr, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
  int file = memfd_create("x", 0);
  EXPECT_ERRNO(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file, INT64_MAX & ~4095L), EOVERFLOW);
  EXPECT_ERRNO(mremap(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096,
                      size_t{1} << 60, MREMAP_MAYMOVE),
               EINVAL);
  EXPECT_OK(msync(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size_t(-1), MS_SYNC));
}

TEST(remap_file_pages_shows_pages_in_another_order) {
  int file = memfd_create("x", 0);
  ASSERT_OK(ftruncate(file, 4 * 4096));
  for (int page = 0; page < 4; ++page) pwrite(file, &"abcd"[page], 1, page * 4096);
  char* at = static_cast<char*>(mmap(nullptr, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  ASSERT_OK(remap_file_pages(at, 4096, 0, 2, 0));
  EXPECT_EQ(at[0], 'c');
  EXPECT_EQ(at[4096], 'b');
  EXPECT_ERRNO(remap_file_pages(at, 4096, 1, 2, 0), EINVAL);
  EXPECT_ERRNO(remap_file_pages(at, 100, 0, 2, 0), EINVAL);
  EXPECT_ERRNO(remap_file_pages(at + 2 * 4096, 64 * 4096, 0, 0, 0), EINVAL);
  void* anonymous = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_ERRNO(remap_file_pages(anonymous, 4096, 0, 0, 0), EINVAL);
}
