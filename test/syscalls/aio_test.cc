// Linux's asynchronous I/O: io_setup(2) and its family.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <fstream>
#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

long Setup(unsigned requests, aio_context_t* context) { return syscall(SYS_io_setup, requests, context); }
long Destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
long Submit(aio_context_t context, long count, iocb** requests) {
  return syscall(SYS_io_submit, context, count, requests);
}
long Submit(aio_context_t context, iocb& request) {
  iocb* pointer = &request;
  return Submit(context, 1, &pointer);
}
long GetEvents(aio_context_t context, long minimum, long count, io_event* events,
               timespec* timeout = nullptr) {
  return syscall(SYS_io_getevents, context, minimum, count, events, timeout);
}
iocb Request(int opcode, int fd, const void* buffer, size_t length, long long offset = 0) {
  iocb request{};
  request.aio_lio_opcode = opcode;
  request.aio_fildes = fd;
  request.aio_buf = reinterpret_cast<uint64_t>(buffer);
  request.aio_nbytes = length;
  request.aio_offset = offset;
  request.aio_data = 0x1234;
  return request;
}
int TemporaryFile() {
  char name[] = "/tmp/aio_testXXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  return fd;
}
// The result of a request that is submitted and waited for.
long long Do(aio_context_t context, iocb& request) {
  if (Submit(context, request) != 1) return -1000 - errno;
  io_event event{};
  EXPECT_EQ(GetEvents(context, 1, 1, &event), 1);
  EXPECT_EQ(event.data, request.aio_data);
  EXPECT_EQ(event.obj, reinterpret_cast<uint64_t>(&request));
  return event.res;
}
aio_context_t New(unsigned requests = 8) {
  aio_context_t context = 0;
  EXPECT_OK(Setup(requests, &context));
  return context;
}
long AioNr() {
  long value = -1;
  std::ifstream("/proc/sys/fs/aio-nr") >> value;
  return value;
}

struct Ring {
  unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
  io_event events[1];
};

}  // namespace

TEST(SetupAndDestroy) {
  aio_context_t context = 1;
  EXPECT_ERRNO(Setup(1, &context), EINVAL);
  context = 0;
  EXPECT_ERRNO(Setup(0, &context), EINVAL);
  EXPECT_ERRNO(Setup(0xffffffff, &context), EINVAL);
  EXPECT_ERRNO(Setup(1, nullptr), EFAULT);
  EXPECT_ERRNO(Setup(0x100000, &context), EAGAIN);
  EXPECT_OK(Setup(10, &context));
  EXPECT_NE(context, 0);
  EXPECT_GE(AioNr(), 10);
  EXPECT_OK(Destroy(context));
  EXPECT_ERRNO(Destroy(context), EINVAL);
  EXPECT_ERRNO(Destroy(0), EINVAL);
  io_event event;
  EXPECT_ERRNO(GetEvents(context, 0, 1, &event), EINVAL);
  iocb request{};
  EXPECT_ERRNO(Submit(context, request), EINVAL);
}

TEST(ReadsAndWrites) {
  aio_context_t context = New();
  int fd = ASSERT_OK(TemporaryFile());
  iocb request = Request(IOCB_CMD_PWRITE, fd, "hello", 5, 10);
  EXPECT_EQ(Do(context, request), 5);
  char buffer[100] = {};
  request = Request(IOCB_CMD_PREAD, fd, buffer, sizeof(buffer), 8);
  EXPECT_EQ(Do(context, request), 7);
  EXPECT_EQ(std::string(buffer, 7), std::string("\0\0hello", 7));
  char a[2], b[10];
  iovec vectors[2] = {{a, 2}, {b, 10}};
  request = Request(IOCB_CMD_PREADV, fd, vectors, 2, 10);
  EXPECT_EQ(Do(context, request), 5);
  EXPECT_EQ(std::string(a, 2) + std::string(b, 3), std::string("hello"));
  vectors[0] = {const_cast<char*>("xy"), 2};
  request = Request(IOCB_CMD_PWRITEV, fd, vectors, 1, 0);
  EXPECT_EQ(Do(context, request), 2);
  request = Request(IOCB_CMD_FSYNC, fd, nullptr, 0);
  EXPECT_EQ(Do(context, request), 0);
  request = Request(IOCB_CMD_FDSYNC, fd, nullptr, 0);
  EXPECT_EQ(Do(context, request), 0);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 0);
  request = Request(IOCB_CMD_PREAD, fd, reinterpret_cast<void*>(8), 4, 0);
  EXPECT_EQ(Do(context, request), -EFAULT);
}

TEST(ErrorsOfRequests) {
  aio_context_t context = New();
  int fd = ASSERT_OK(TemporaryFile());
  char buffer[10];
  iocb request = Request(IOCB_CMD_PREAD, 777, buffer, 10);
  EXPECT_ERRNO(Submit(context, request), EBADF);
  request = Request(99, fd, buffer, 10);
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  request = Request(IOCB_CMD_NOOP, fd, buffer, 10);
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  request = Request(IOCB_CMD_PREAD, fd, buffer, ~0ul);
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  request = Request(IOCB_CMD_PREAD, fd, buffer, 10);
  request.aio_reserved2 = 1;
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  request = Request(IOCB_CMD_PREAD, fd, buffer, 10);
  request.aio_rw_flags = 1 << 30;
  EXPECT_ERRNO(Submit(context, request), EOPNOTSUPP);
  request = Request(IOCB_CMD_FSYNC, fd, buffer, 0);
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  int read_only = ASSERT_OK(open("/proc/self/exe", O_RDONLY));
  request = Request(IOCB_CMD_PWRITE, read_only, buffer, 10);
  EXPECT_ERRNO(Submit(context, request), EBADF);
  request = Request(IOCB_CMD_PREAD, fd, buffer, 10);
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = 777;
  EXPECT_ERRNO(Submit(context, request), EBADF);
  request.aio_resfd = fd;
  EXPECT_ERRNO(Submit(context, request), EINVAL);
  EXPECT_ERRNO(Submit(context, -1, nullptr), EINVAL);
  EXPECT_OK(Submit(context, 0, nullptr));
  EXPECT_ERRNO(Submit(context, 1, nullptr), EFAULT);
  iocb* bad = reinterpret_cast<iocb*>(8);
  EXPECT_ERRNO(Submit(context, 1, &bad), EFAULT);
  // What stands before the first error is done.
  iocb good = Request(IOCB_CMD_PREAD, fd, buffer, 10);
  iocb* list[3] = {&good, bad, &good};
  EXPECT_EQ(Submit(context, 3, list), 1);
  io_event events[4];
  EXPECT_EQ(GetEvents(context, 0, 4, events), 1);
}

TEST(Getevents) {
  aio_context_t context = New();
  io_event events[4];
  timespec zero{}, little{0, 3000000};
  EXPECT_EQ(GetEvents(context, 1, 4, events, &zero), 0);
  EXPECT_EQ(GetEvents(context, 1, 4, events, &little), 0);
  EXPECT_EQ(GetEvents(context, 0, 4, events), 0);
  EXPECT_ERRNO(GetEvents(context, 1, 4, events, reinterpret_cast<timespec*>(8)), EFAULT);
  EXPECT_ERRNO(GetEvents(context, 5, 4, events), EINVAL);
  EXPECT_ERRNO(GetEvents(context, -1, 4, events), EINVAL);
  int fd = ASSERT_OK(TemporaryFile());
  iocb requests[3];
  iocb* list[3];
  for (int i = 0; i < 3; ++i) {
    requests[i] = Request(IOCB_CMD_PWRITE, fd, "abc", i + 1, 0);
    list[i] = &requests[i];
  }
  EXPECT_EQ(Submit(context, 3, list), 3);
  EXPECT_ERRNO(GetEvents(context, 1, 4, nullptr), EFAULT);
  EXPECT_EQ(GetEvents(context, 2, 2, events), 2);
  EXPECT_EQ(events[1].res, 2);
  EXPECT_EQ(GetEvents(context, 3, 4, events, &little), 1);
  EXPECT_EQ(events[0].res, 3);
}

TEST(TheRingCanBeReadAndIsNotTrusted) {
  aio_context_t context = New(4);
  auto* ring = reinterpret_cast<Ring*>(context);
  EXPECT_EQ(ring->magic, 0xa10a10a1);
  EXPECT_GE(ring->nr, 4);
  EXPECT_EQ(ring->header_length, 32);
  EXPECT_EQ(ring->head, ring->tail);
  int fd = ASSERT_OK(TemporaryFile());
  iocb request = Request(IOCB_CMD_PWRITE, fd, "abc", 3, 0);
  EXPECT_EQ(Submit(context, request), 1);
  EXPECT_EQ(ring->tail, ring->head + 1);
  EXPECT_EQ(ring->events[ring->head].res, 3);
  ring->head = ring->tail;  // read by ourselves
  io_event events[100];
  EXPECT_EQ(GetEvents(context, 0, 100, events), 0);
  for (unsigned head : {0xffffffffu, 0x80000000u, ring->nr, ring->nr - 1}) {
    ring->head = head;
    long got = GetEvents(context, 0, 100, events);
    EXPECT_GE(got, 0);
    EXPECT_LT(got, static_cast<long>(ring->nr));
  }
  unsigned nr = ring->nr;
  ring->nr = 0xffffffff;
  ring->tail = 0x12345678;
  GetEvents(context, 0, 100, events);
  ring->nr = nr;
  EXPECT_OK(Destroy(context));
}

TEST(AFullRingRefuses) {
  aio_context_t context = New(1);
  int fd = ASSERT_OK(TemporaryFile());
  iocb request = Request(IOCB_CMD_PWRITE, fd, "abc", 3, 0);
  unsigned nr = reinterpret_cast<Ring*>(context)->nr;
  long done = 0;
  while (Submit(context, request) == 1) ++done;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GT(done, 0);
  EXPECT_LT(done, nr);
  io_event event;
  EXPECT_EQ(GetEvents(context, 1, 1, &event), 1);
}

TEST(AnEventfdIsTold) {
  aio_context_t context = New();
  int fd = ASSERT_OK(TemporaryFile());
  int event = ASSERT_OK(eventfd(0, 0));
  iocb request = Request(IOCB_CMD_PWRITE, fd, "abc", 3, 0);
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = event;
  EXPECT_EQ(Do(context, request), 3);
  EXPECT_EQ(Do(context, request), 3);
  uint64_t count = 0;
  EXPECT_EQ(read(event, &count, sizeof(count)), 8);
  EXPECT_EQ(count, 2);
}

TEST(PollWaitsAndIsCancelled) {
  aio_context_t context = New();
  int ends[2];
  ASSERT_OK(pipe(ends));
  iocb request = Request(IOCB_CMD_POLL, ends[0], reinterpret_cast<void*>(POLLIN), 0);
  EXPECT_EQ(Submit(context, request), 1);
  io_event event{};
  timespec zero{};
  EXPECT_EQ(GetEvents(context, 1, 1, &event, &zero), 0);
  std::thread writer([&] { EXPECT_EQ(write(ends[1], "x", 1), 1); });
  EXPECT_EQ(GetEvents(context, 1, 1, &event), 1);
  writer.join();
  EXPECT_EQ(event.res & POLLIN, POLLIN);
  EXPECT_EQ(event.obj, reinterpret_cast<uint64_t>(&request));
  // Ready at once.
  EXPECT_EQ(Do(context, request), POLLIN);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  EXPECT_EQ(Submit(context, request), 1);
  EXPECT_ERRNO(syscall(SYS_io_cancel, context, &request, &event), EINPROGRESS);
  EXPECT_EQ(GetEvents(context, 1, 1, &event), 1);
  EXPECT_EQ(event.res, 0);
  EXPECT_ERRNO(syscall(SYS_io_cancel, context, &request, &event), EINVAL);
  // What waits when the context goes is forgotten.
  EXPECT_EQ(Submit(context, request), 1);
  EXPECT_OK(Destroy(context));
  EXPECT_EQ(write(ends[1], "x", 1), 1);
}

TEST(PipesAreReadInOrder) {
  aio_context_t context = New();
  int ends[2];
  ASSERT_OK(pipe(ends));
  iocb request = Request(IOCB_CMD_PWRITE, ends[1], "pipe", 4, 0);
  EXPECT_EQ(Do(context, request), 4);
  char buffer[10];
  request = Request(IOCB_CMD_PREAD, ends[0], buffer, 10, 0);
  EXPECT_EQ(Do(context, request), 4);
  EXPECT_EQ(std::string(buffer, 4), std::string("pipe"));
}

TEST(PgeteventsTakesAMask) {
  aio_context_t context = New();
  struct {
    const void* mask;
    size_t size;
  } mask;
  uint64_t set = 0;
  mask = {&set, sizeof(set)};
  struct sigaction action = {};
  static volatile sig_atomic_t came = 0;
  action.sa_handler = [](int) { came = 1; };
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  raise(SIGUSR1);
  io_event event;
  EXPECT_EQ(came, 0);
  EXPECT_ERRNO(syscall(SYS_io_pgetevents, context, 1, 1, &event, nullptr, &mask), EINTR);
  EXPECT_EQ(came, 1);
  mask.size = 4;
  EXPECT_ERRNO(syscall(SYS_io_pgetevents, context, 1, 1, &event, nullptr, &mask), EINVAL);
}

TEST(ContextsAreNotInherited) {
  aio_context_t context = New();
  io_event event;
  EXPECT_CHILD_OK([&] { EXPECT_ERRNO(GetEvents(context, 0, 1, &event), EINVAL); });
  EXPECT_EQ(GetEvents(context, 0, 1, &event), 0);
}
