#include "sentry/syscalls/strace.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstring>

namespace runsc {
namespace {

// Guest memory that is this process's, in one window.
class WindowMemory final : public UserMemory {
 public:
  size_t CopyOut(UserAddr, std::span<const std::byte>) override { return 0; }
  size_t ZeroOut(UserAddr, size_t) override { return 0; }
  size_t CopyIn(UserAddr from, std::span<std::byte> to) override {
    if (from.value() < kBase || from.value() >= kBase + sizeof(bytes)) return 0;
    size_t offset = from.value() - kBase;
    size_t size = std::min(to.size(), sizeof(bytes) - offset);
    std::memcpy(to.data(), bytes + offset, size);
    return size;
  }
  Result<size_t> WithBlocks(UserAddr, size_t, MemoryAccess, BlockFunction) override { return Errno(EFAULT); }
  Result<void> WithWord(UserAddr, MemoryAccess, absl::FunctionRef<Result<void>(uint32_t*)>) override {
    return Errno(EFAULT);
  }
  static constexpr uint64_t kBase = 0x10000;
  char bytes[8192] = {};
};

std::string Show(ArgumentFormat format, uint64_t value) {
  WindowMemory memory;
  return FormatArgument(memory, format, value, 0, nullptr);
}

TEST_CASE("flag words read as in strace") {
  CHECK(Show(ArgumentFormat::kOpenFlags, O_RDONLY | O_CLOEXEC) == "O_RDONLY|O_CLOEXEC");
  CHECK(Show(ArgumentFormat::kOpenFlags, O_WRONLY | O_CREAT | O_TRUNC) == "O_WRONLY|O_CREAT|O_TRUNC");
  CHECK(Show(ArgumentFormat::kProtection, 0) == "PROT_NONE");
  CHECK(Show(ArgumentFormat::kProtection, PROT_READ | PROT_EXEC) == "PROT_READ|PROT_EXEC");
  CHECK(Show(ArgumentFormat::kMapFlags, MAP_PRIVATE | MAP_ANONYMOUS) == "MAP_PRIVATE|MAP_ANONYMOUS");
  CHECK(Show(ArgumentFormat::kSocketType, SOCK_STREAM | SOCK_CLOEXEC) == "SOCK_STREAM|SOCK_CLOEXEC");
  CHECK(Show(ArgumentFormat::kSignal, SIGTERM) == "SIGTERM");
  CHECK(Show(ArgumentFormat::kDirFd, static_cast<uint32_t>(AT_FDCWD)) == "AT_FDCWD");
  CHECK(Show(ArgumentFormat::kFileMode, 0644) == "0644");
}

TEST_CASE("memory is quoted, and an address where it cannot be read") {
  WindowMemory memory;
  std::strcpy(memory.bytes,
              "a\"b\n\x01"
              "7");
  CHECK(FormatArgument(memory, ArgumentFormat::kPath, WindowMemory::kBase, 0, nullptr) ==
        "\"a\\\"b\\n\\0017\"");
  CHECK(FormatArgument(memory, ArgumentFormat::kPath, 0x5000, 0, nullptr) == "0x5000");
  CHECK(FormatArgument(memory, ArgumentFormat::kPath, 0, 0, nullptr) == "NULL");
  std::memset(memory.bytes, 'x', 100);
  CHECK(FormatArgument(memory, ArgumentFormat::kBuffer, WindowMemory::kBase, 100, nullptr) ==
        "\"" + std::string(32, 'x') + "\"...");
  Result<int64_t> three = 3;
  CHECK(FormatArgument(memory, ArgumentFormat::kBuffer, WindowMemory::kBase, 100, &three) == "\"xxx\"");
}

}  // namespace
}  // namespace runsc
