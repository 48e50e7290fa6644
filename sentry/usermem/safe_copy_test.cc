#include "sentry/usermem/safe_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

namespace runsc {
namespace {

// Two pages of a file that then shrinks to one.
struct ShrunkFile {
  ShrunkFile() {
    int fd = memfd_create("shrunk", MFD_CLOEXEC);
    REQUIRE(ftruncate(fd, 8192) == 0);
    memory = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    memset(memory, 'a', 8192);
    REQUIRE(ftruncate(fd, 4096) == 0);
    close(fd);
  }
  ~ShrunkFile() { munmap(memory, 8192); }
  char* memory;
};

}  // namespace

TEST_CASE("copies of every length are exact") {
  char from[600], to[600];
  for (int i = 0; i < 600; ++i) from[i] = static_cast<char>(i * 7 + 1);
  for (size_t length = 0; length < 580; ++length) {
    memset(to, 0, sizeof(to));
    REQUIRE(SafeCopy(to + 3, from + 5, length) == length);
    REQUIRE(memcmp(to + 3, from + 5, length) == 0);
    REQUIRE(to[2] == 0);
    REQUIRE(to[3 + length] == 0);
    REQUIRE(SafeZero(to + 3, length) == length);
    REQUIRE(std::string(to, 600) == std::string(600, '\0'));
  }
}

TEST_CASE("a copy stops at the page that a file lost") {
  InstallSafeCopyHandler();
  ShrunkFile file;
  char buffer[4096];
  for (size_t before : {0, 1, 3, 7, 8, 15, 16, 100, 300, 2000}) {
    for (size_t length : {1, 2, 3, 4, 8, 9, 16, 17, 64, 255, 256, 257, 1000, 2096}) {
      size_t expected = std::min(before, length);
      REQUIRE(SafeCopy(buffer, file.memory + 4096 - before, length) == expected);
      REQUIRE(SafeCopy(file.memory + 4096 - before, buffer, length) == expected);
      REQUIRE(SafeZero(file.memory + 4096 - before, length) == expected);
    }
  }
  uint32_t value = 1;
  bool exchanged = false;
  CHECK_FALSE(SafeLoad32(reinterpret_cast<uint32_t*>(file.memory + 4096), &value));
  CHECK_FALSE(SafeCompareExchange32(reinterpret_cast<uint32_t*>(file.memory + 4096), &value, 2, &exchanged));
  auto* word = reinterpret_cast<uint32_t*>(file.memory);
  *word = 5;
  CHECK(SafeLoad32(word, &value));
  CHECK(value == 5);
  value = 4;
  CHECK(SafeCompareExchange32(word, &value, 9, &exchanged));
  CHECK_FALSE(exchanged);
  CHECK(value == 5);
  CHECK(SafeCompareExchange32(word, &value, 9, &exchanged));
  CHECK(exchanged);
  CHECK(*word == 9);
  CHECK(SafeCopy(buffer, reinterpret_cast<void*>(16), 10) == 0);
}

}  // namespace runsc
