#include "test/fuzz/syscalls/arguments.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

#include "test/fuzz/syscalls/memory.h"
#include "test/fuzz/syscalls/vocabulary.h"

uint64_t ArgumentMaker::Make(char kind, int number, size_t index) {
  switch (kind) {
    case 'f':
      return random_.OneIn(30) ? random_.Pick(kOddNumbers) : random_.Below(kFds);
    case 'd':
      return random_.OneIn(3) ? random_.Below(kFds) : static_cast<uint64_t>(AT_FDCWD);
    case 'p':
      return Path();
    case 'P':
      return Process();
    case 'b':
      return Buffer();
    case 'n':
      return random_.OneIn(8) ? random_.Pick(kOddNumbers) : random_.Below(3 * kPage);
    case 'c':
      return random_.OneIn(20) ? random_.Pick(kOddNumbers) : random_.Below(6);
    case 'i':
      return random_.OneIn(12) ? random_.Pick(kOddNumbers) : random_.Below(24);
    case 'F':
      return Flags();
    case 'o':
      return random_.OneIn(5) ? random_.Pick(kOddNumbers)
                              : random_.Below(64) * (random_.OneIn(2) ? kPage : 77);
    case 'a':
      if (random_.OneIn(12)) return random_.OneIn(2) ? Address(arena) + random_.Below(64) * kPage : Buffer();
      return Address(scratch) + random_.Below(kScratch / kPage) * kPage + (random_.OneIn(20) ? 8 : 0);
    case 'l':
      return random_.OneIn(15) ? random_.Pick(kOddNumbers)
                               : random_.Below(40) * kPage + (random_.OneIn(6) ? 1 : 0);
    case 't':
      return Timespecs(1);
    case 'T':
      return Timespecs(2);
    case 's':
      return random_.OneIn(10) ? random_.Below(70) : random_.OneIn(2) ? 32 + random_.Below(32) : SIGUSR1;
    case 'S':
      return Words(1);
    case 'A':
      return SocketAddress();
    case 'L':
      return Word32(random_.OneIn(6) ? random_.Pick(kOddNumbers) : random_.Below(130));
    case 'M':
      return Messages();
    case 'v':
      return Iovecs(6);
    case 'u':
      return random_.OneIn(10) ? Buffer() : Address(arena) + random_.Below(8) * 4;
    case 'e':
      return Words(8);
    case 'w':
      return PollFds();
    case 'O':
      return OpenFlags();
    case 'm':
      if (random_.OneIn(4)) return (1 + random_.Below(14)) << 12 | 0666;
      return random_.Below(010000);
    case 'U':
      return random_.OneIn(2) ? 0 : random_.OneIn(2) ? 1000 : random_.Pick(kOddNumbers);
    case 'C':
      return CloneFlags();
    case 'G':
      return CloneArguments();
    case 'z':
      return Words(16);
    case 'R':
      return Words(2);
    case 'Q':
      return SignalAction();
    case 'X':
      return Strings();
    case 'k':
      return Buffer();
    case '8':
      return random_.OneIn(30) ? random_.Below(20) : 8;
    case '0':
      return 0;
    case 'E':
      return Enumerated(number, index);
    default:
      return Anything();
  }
}

uint64_t ArgumentMaker::Process() {
  uint64_t which = random_.Below(8);
  if (which == 0) return 0;
  if (which < 4) return static_cast<uint64_t>(getpid());
  const auto tid = static_cast<uint64_t>(gettid());
  if (which == 4) return tid;
  if (which == 5) return random_.Pick(kOddNumbers);
  return tid + random_.Below(10) - 5;
}

uint64_t ArgumentMaker::Anything() {
  switch (random_.Below(5)) {
    case 0:
      return random_.Pick(kOddNumbers);
    case 1:
      return Buffer();
    case 2:
      return random_.Below(256);
    case 3:
      return Address(scratch) + random_.Below(kScratch);
    default:
      return random_.Next();
  }
}

uint64_t ArgumentMaker::OpenFlags() {
  constexpr uint64_t kModes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
  uint64_t flags = random_.Pick(kModes) | (random_.OneIn(2) ? O_CREAT : 0) | O_NONBLOCK;
  return random_.OneIn(3) ? flags | Flags() : flags;
}

uint64_t ArgumentMaker::KeyArgument(int number, size_t index) {
  static constexpr const char* kStrings[] = {"user", "keyring", "logon", "a", "b", "service:c", ".d", ""};
  if (number == SYS_keyctl && index == 0) return random_.Below(35);
  if (number != SYS_keyctl && index == 0) return Address(kStrings[random_.Below(4)]);
  if (number != SYS_keyctl && index < 3) return Address(kStrings[random_.Below(std::size(kStrings))]);
  switch (random_.Below(8)) {
    case 0:
      return Address(kStrings[random_.Below(std::size(kStrings))]);
    case 1:
      return random_.Pick(kOddNumbers);
    case 2:
      return Buffer();
    default:
      return 0 - random_.Below(10);  // KEY_SPEC_*
  }
}

uint64_t ArgumentMaker::Enumerated(int number, size_t index) {
  switch (number) {
    case SYS_mmap:
    case SYS_mprotect:
      return random_.Below(8);
    case SYS_madvise:
    case SYS_process_madvise:
      return random_.OneIn(4) ? 100 + random_.Below(3) : random_.Below(26);
    case SYS_ioctl:
      return random_.OneIn(10) ? 0x5400 + random_.Below(0x80) : static_cast<uint64_t>(random_.Pick(kIoctls));
    case SYS_add_key:
    case SYS_request_key:
    case SYS_keyctl:
      return KeyArgument(number, index);
    case SYS_fcntl:
      return random_.OneIn(3) ? 1024 + random_.Below(18) : random_.Below(40);
    case SYS_socket:
    case SYS_socketpair:
      if (index == 0) return static_cast<uint64_t>(random_.Pick(kFamilies));
      return static_cast<uint64_t>(random_.Pick(kTypes)) | SOCK_NONBLOCK;
    case SYS_setsockopt:
    case SYS_getsockopt:
      return random_.Below(80);
    case SYS_prctl:
      return static_cast<uint64_t>(random_.Pick(kPrctls));
    case SYS_arch_prctl:
      return 0x1001 + random_.Below(0x20);
    default:
      return random_.Below(32);
  }
}

uint64_t ArgumentMaker::Flags() {
  uint64_t flags = 0;
  for (uint64_t n = random_.Below(4); n > 0; --n)
    flags |= uint64_t{1} << random_.Below(random_.OneIn(9) ? 64 : 24);
  return flags;
}
uint64_t ArgumentMaker::CloneFlags() {
  constexpr uint64_t kSets[] = {
      SIGCHLD,
      SIGCHLD,
      CLONE_VM | CLONE_VFORK | SIGCHLD,
      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
      CLONE_FILES | SIGCHLD,
      CLONE_VM | CLONE_SIGHAND,
      CLONE_NEWPID | SIGCHLD,
      CLONE_NEWNS | SIGCHLD,
      CLONE_NEWUSER | SIGCHLD,
      CLONE_PARENT | SIGCHLD,
      CLONE_PIDFD | SIGCHLD};
  uint64_t flags = random_.Pick(kSets);
  return random_.OneIn(3) ? flags | (Flags() & 0xffffffff) : flags;
}
