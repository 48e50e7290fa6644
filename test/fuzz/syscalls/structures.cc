// What arguments point to.
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "test/fuzz/syscalls/arguments.h"
#include "test/fuzz/syscalls/memory.h"
#include "test/fuzz/syscalls/table.h"
#include "test/fuzz/syscalls/vocabulary.h"

namespace {

void Handler(int) { counters->calls.fetch_add(1, std::memory_order_relaxed); }
__attribute__((naked)) void Restorer() {
  asm volatile(
      "mov $15, %eax\n"
      "syscall");
}

}  // namespace

char* ArgumentMaker::Place(size_t size) {
  char* at = arena + kPage + random_.Below(kArena - 4 * kPage - size);
  return at - Address(at) % 8;
}

uint64_t ArgumentMaker::Buffer() {
  switch (random_.Below(20)) {
    case 0:
      return 0;
    case 1:
      return random_.Pick(kOddNumbers);
    case 2:
      return Address(arena) + kArena - random_.Below(64);  // runs into a page that is not there
    case 3:
      return Address(scratch) + random_.Below(kScratch);
    case 4:
      return Address(calls.data());  // read-only
    default:
      return Address(Place(64)) + (random_.OneIn(10) ? random_.Below(8) : 0);
  }
}

uint64_t ArgumentMaker::Wrong(uint64_t right) { return random_.OneIn(25) ? Buffer() : right; }
uint64_t ArgumentMaker::Word32(uint64_t value) {
  char* at = Place(8);
  uint32_t word = static_cast<uint32_t>(value);
  memcpy(at, &word, sizeof(word));
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::Words(size_t count) {
  char* at = Place(8 * count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t value = Make(random_.OneIn(2) ? 'x' : 'i', 0, 0);
    memcpy(at + 8 * i, &value, sizeof(value));
  }
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::Path() {
  char* at = Place(200);
  if (random_.OneIn(40)) {
    memset(at, 'a' + static_cast<int>(random_.Below(3)), 190);
    at[random_.Below(190)] = '/';
    at[190] = '\0';
  } else {
    strcpy(at, random_.Pick(kPaths));
    if (random_.OneIn(12)) strcat(strcat(at, "/"), random_.Pick(kPaths));
  }
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::Timespecs(int count) {
  int64_t values[4] = {};
  for (int i = 0; i < 2 * count; ++i)
    values[i] = i % 2 == 0 ? 0 : static_cast<int64_t>(random_.Below(3000000));
  if (random_.OneIn(8)) values[random_.Below(4)] = static_cast<int64_t>(random_.Pick(kOddNumbers));
  char* at = Place(sizeof(values));
  memcpy(at, values, sizeof(values));
  return random_.OneIn(10) ? 0 : Wrong(Address(at));
}

uint64_t ArgumentMaker::Iovecs(size_t count) {
  iovec iov[6];
  for (size_t i = 0; i < count; ++i)
    iov[i] = {reinterpret_cast<void*>(Buffer()),
              random_.OneIn(15) ? random_.Pick(kOddNumbers) : random_.Below(5000)};
  char* at = Place(sizeof(iov));
  memcpy(at, iov, sizeof(iovec) * count);
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::PollFds() {
  pollfd fds[6];
  for (pollfd& entry : fds)
    entry = {static_cast<int>(random_.Below(kFds)), static_cast<short>(random_.Below(0x4000)), 0};
  char* at = Place(sizeof(fds));
  memcpy(at, fds, sizeof(fds));
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::SocketAddress() {
  char* at = Place(128);
  memset(at, 0, 128);
  switch (random_.Below(6)) {
    case 0:
    case 1: {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      strcpy(address.sun_path + (random_.OneIn(2) ? 1 : 0), random_.OneIn(2) ? "sock" : "a");
      memcpy(at, &address, sizeof(address));
      break;
    }
    case 2: {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(random_.Below(10)));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      memcpy(at, &address, sizeof(address));
      break;
    }
    case 3: {
      sockaddr_nl address{};
      address.nl_family = AF_NETLINK;
      memcpy(at, &address, sizeof(address));
      break;
    }
    default:
      at[0] = static_cast<char>(random_.Below(20));
  }
  return random_.OneIn(8) ? 0 : Wrong(Address(at));
}

uint64_t ArgumentMaker::Messages() {
  mmsghdr messages[4] = {};
  for (mmsghdr& entry : messages) {
    msghdr& message = entry.msg_hdr;
    message.msg_name = reinterpret_cast<void*>(random_.OneIn(3) ? SocketAddress() : 0);
    message.msg_namelen =
        static_cast<socklen_t>(random_.OneIn(10) ? random_.Pick(kOddNumbers) : random_.Below(128));
    message.msg_iov = reinterpret_cast<iovec*>(Iovecs(3));
    message.msg_iovlen = random_.OneIn(20) ? random_.Pick(kOddNumbers) : random_.Below(4);
    if (random_.OneIn(2)) {
      message.msg_control = reinterpret_cast<void*>(Control());
      message.msg_controllen = random_.OneIn(10) ? random_.Pick(kOddNumbers) : 16 + 4 * random_.Below(24);
    }
  }
  char* at = Place(sizeof(messages));
  memcpy(at, messages, sizeof(messages));
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::Control() {
  char* at = Place(512);
  size_t offset = 0;
  for (uint64_t n = random_.Below(4); n > 0; --n) {
    size_t data = 4 * random_.Below(8);
    cmsghdr header{};
    header.cmsg_len = random_.OneIn(10) ? random_.Pick(kOddNumbers) : CMSG_LEN(data);
    header.cmsg_level = random_.OneIn(10) ? static_cast<int>(random_.Below(60)) : SOL_SOCKET;
    header.cmsg_type = random_.OneIn(5) ? static_cast<int>(random_.Below(50)) : SCM_RIGHTS;
    memcpy(at + offset, &header, sizeof(header));
    for (size_t i = 0; i < data; i += 4) {
      int fd = static_cast<int>(random_.Below(kFds));
      memcpy(at + offset + sizeof(header) + i, &fd, sizeof(fd));
    }
    offset += CMSG_SPACE(data);
  }
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::CloneArguments() {
  clone_args arguments{};
  arguments.flags = CloneFlags();
  arguments.exit_signal = random_.OneIn(4) ? random_.Below(70) : SIGCHLD;
  if (random_.OneIn(3)) {
    arguments.stack = Make('a', 0, 0);
    arguments.stack_size = Make('l', 0, 0);
    arguments.tls = Buffer();
    arguments.pidfd = Buffer();
    arguments.child_tid = Buffer();
    arguments.parent_tid = Buffer();
    arguments.set_tid = Buffer();
    arguments.set_tid_size = random_.Below(4);
  }
  char* at = Place(sizeof(arguments));
  memcpy(at, &arguments, sizeof(arguments));
  return Wrong(Address(at));
}

uint64_t ArgumentMaker::SignalAction() {
  struct {
    uint64_t handler, flags, restorer, mask;
  } action = {};
  uint64_t choice = random_.Below(4);
  action.handler = choice == 0   ? 0
                   : choice == 1 ? 1
                   : choice > 2  ? Address(reinterpret_cast<void*>(&Handler))
                                 : Buffer();
  action.flags = 0x04000000 | (random_.OneIn(2) ? Flags() : SA_RESTART);
  action.restorer = Address(reinterpret_cast<void*>(&Restorer));
  action.mask = random_.OneIn(2) ? 0 : random_.Next();
  char* at = Place(sizeof(action));
  memcpy(at, &action, sizeof(action));
  return random_.OneIn(4) ? 0 : Wrong(Address(at));
}

uint64_t ArgumentMaker::Strings() {
  uint64_t pointers[4] = {Path(), Path(), Path(), 0};
  if (random_.OneIn(20)) pointers[3] = Buffer();
  char* at = Place(sizeof(pointers));
  memcpy(at, pointers, sizeof(pointers));
  return Wrong(Address(at));
}
