#include "sentry/fsimpl/pty.h"

#include <asm/termbits.h>

#include <catch2/catch.hpp>

#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

// Guest memory of one page, at address 0x1000.
class TestMemory final : public UserMemory {
 public:
  size_t CopyOut(UserAddr to, std::span<const std::byte> from) override {
    std::copy(from.begin(), from.end(), bytes.begin() + (to.value() - 0x1000));
    return from.size();
  }
  size_t CopyIn(UserAddr from, std::span<std::byte> to) override {
    std::copy_n(bytes.begin() + (from.value() - 0x1000), to.size(), to.begin());
    return to.size();
  }
  size_t ZeroOut(UserAddr to, size_t length) override { return length; }
  Result<size_t> WithBlocks(UserAddr, size_t, MemoryAccess, BlockFunction) override { return Errno(EFAULT); }
  Result<void> WithWord(UserAddr, MemoryAccess, absl::FunctionRef<Result<void>(uint32_t*)>) override {
    return Errno(EFAULT);
  }
  std::vector<std::byte> bytes = std::vector<std::byte>(kPageSize);
};

std::string Read(FileDescription& file, size_t limit = 100) {
  std::string text(limit, '\0');
  IoSequence to(std::as_writable_bytes(std::span(text)));
  Result<size_t> got = file.Read(to);
  if (!got.ok()) return std::string(got.error().name());
  text.resize(*got);
  return text;
}
Result<size_t> Write(FileDescription& file, std::string_view text) {
  IoSequence from(std::as_bytes(std::span(text)));
  return file.Write(from);
}

TEST_CASE("the two sides of a pty") {
  TimerQueue timers;
  TestMemory memory;
  bool closed = false;
  {
    auto pty = MakeRef<Pty>(timers, 3, [&closed] { closed = true; });
    RefPtr<FileDescription> master = pty->MakeMaster(AnonymousPath("ptmx"), O_RDWR);
    CHECK(pty->MakeReplica(AnonymousPath("3"), O_RDWR).is(EIO));  // locked
    CHECK(Read(*master) == "EAGAIN");
    int32_t unlock = 0;
    REQUIRE(memory.Write(UserPtr<int32_t>(uint64_t{0x1000}), unlock).ok());
    REQUIRE(master->Ioctl(memory, TIOCSPTLCK, 0x1000).ok());
    RefPtr<FileDescription> replica = *pty->MakeReplica(AnonymousPath("3"), O_RDWR);
    REQUIRE(Write(*master, "key\r").value_or(0) == 4);
    CHECK((replica->Readiness(EPOLLIN) & EPOLLIN) != 0);
    CHECK(Read(*replica) == "key\n");
    CHECK(Read(*replica) == "EAGAIN");
    CHECK(Read(*master) == "key\r\n");
    REQUIRE(Write(*replica, "out\n").value_or(0) == 4);
    CHECK(Read(*master) == "out\r\n");

    REQUIRE(replica->Ioctl(memory, TCGETS2, 0x1000).ok());
    KernelTermios termios = *memory.Read(UserPtr<KernelTermios>(uint64_t{0x1000}));
    CHECK((termios.c_lflag & ICANON) != 0);
    CHECK(termios.c_ospeed == 38400);
    REQUIRE(master->Ioctl(memory, TIOCGPTN, 0x1000).ok());
    CHECK(*memory.Read(UserPtr<int32_t>(uint64_t{0x1000})) == 3);

    replica.reset();
    CHECK(Read(*master) == "EIO");
    replica = *pty->MakeReplica(AnonymousPath("3"), O_RDWR);
    CHECK(Read(*master) == "EAGAIN");
    master.reset();
    CHECK(closed);
    CHECK(Read(*replica) == "");
    CHECK(Write(*replica, "x").is(EIO));
    CHECK((replica->Readiness(EPOLLIN) & EPOLLHUP) != 0);
  }
}

}  // namespace
}  // namespace runsc
