// Small reads that come again and again are answered from a mapping: they must go on to say what pread(2)
// says, whatever becomes of the file meanwhile.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "sentry/usermem/safe_copy.h"
#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

using gofer::TemporaryDirectory;
using gofer::ThreadedGofer;

constexpr size_t kPage = 4096;

std::string Pattern(size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i / 7 + seed) % 26);
  return text;
}

std::string ReadInside(FileDescription& file, uint64_t offset, size_t length) {
  OperationScope operation;
  std::string text(length, '\0');
  IoSequence to(std::as_writable_bytes(std::span(text)));
  auto read = file.PRead(to, offset);
  if (!read.ok()) return "error " + std::string(read.error().name());
  text.resize(*read);
  return text;
}

std::string ReadOutside(int fd, uint64_t offset, size_t length) {
  std::string text(length, '\0');
  ssize_t read = pread(fd, text.data(), length, static_cast<off_t>(offset));
  REQUIRE(read >= 0);
  text.resize(static_cast<size_t>(read));
  return text;
}

void ReadOften(FileDescription& file) {
  for (int i = 0; i < 64; ++i) (void)ReadInside(file, 0, 16);
}

TEST_CASE("mapped reads of a file that others change") {
  InstallSafeCopyHandler();
  TemporaryDirectory directory;
  directory.Write("file", Pattern(5 * kPage + 100, 0));
  UniqueFd host(open((directory / "file").c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(host);
  ThreadedGofer server(directory.path(), 4096, 4096);
  NewFilesystem made = MountGofer(server, /*exclusive=*/false);
  Guest guest(made);
  for (int i = 0; i < 20; ++i) REQUIRE(guest.Stat("/file").ok());
  auto file = guest.Open("/file", O_RDONLY).value();
  ReadOften(*file);

  std::mt19937 random(GENERATE(1u, 2u, 3u));
  auto below = [&](size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random); };
  for (int step = 0; step < 4000; ++step) {
    switch (below(12)) {
      case 0:
        REQUIRE(ftruncate(host.get(), static_cast<off_t>(below(7 * kPage))) == 0);
        break;
      case 1: {
        std::string text = Pattern(below(2 * kPage), static_cast<unsigned>(step));
        REQUIRE(pwrite(host.get(), text.data(), text.size(), static_cast<off_t>(below(6 * kPage))) ==
                static_cast<ssize_t>(text.size()));
        break;
      }
      default: {
        const uint64_t offset = below(7 * kPage);
        const size_t length = below(20 << 10);
        REQUIRE(ReadInside(*file, offset, length) == ReadOutside(host.get(), offset, length));
      }
    }
  }
}

TEST_CASE("mapped reads of a file that is written inside") {
  InstallSafeCopyHandler();
  TemporaryDirectory directory;
  directory.Write("file", Pattern(kPage, 0));
  ThreadedGofer server(directory.path());
  NewFilesystem made = MountGofer(server, /*exclusive=*/GENERATE(true, false));
  Guest guest(made);
  for (int i = 0; i < 20; ++i) REQUIRE(guest.Stat("/file").ok());
  auto file = guest.Open("/file", O_RDONLY).value();
  ReadOften(*file);
  CHECK(ReadInside(*file, 0, 2 * kPage) == Pattern(kPage, 0));
  REQUIRE(guest.Write("/file", Pattern(10, 1), 0).ok());
  CHECK(ReadInside(*file, 0, 2 * kPage) == Pattern(10, 1) + Pattern(kPage, 0).substr(10));
  REQUIRE(guest.Write("/file", Pattern(3 * kPage, 2)).ok());
  CHECK(ReadInside(*file, kPage, kPage) == Pattern(3 * kPage, 2).substr(kPage, kPage));
  ReadOften(*file);
  REQUIRE(guest.Write("/file", "").ok());
  CHECK(ReadInside(*file, 0, kPage).empty());
  REQUIRE(guest.Write("/file", "short").ok());
  CHECK(ReadInside(*file, 0, kPage) == "short");
}

TEST_CASE("a file that is cut short while it is read from a mapping") {
  InstallSafeCopyHandler();
  TemporaryDirectory directory;
  constexpr size_t kSize = 4 * kPage;
  directory.Write("file", std::string(kSize, 'x'));
  ThreadedGofer server(directory.path(), 4096, 4096);
  NewFilesystem made = MountGofer(server, /*exclusive=*/GENERATE(true, false));
  Guest guest(made);
  for (int i = 0; i < 20; ++i) REQUIRE(guest.Stat("/file").ok());
  auto file = guest.Open("/file", O_RDONLY).value();
  ReadOften(*file);
  std::atomic<bool> done{false};
  std::thread cutter([&] {
    UniqueFd host(open((directory / "file").c_str(), O_RDWR | O_CLOEXEC));
    const std::string all(kSize, 'x');
    while (!done.load()) {
      (void)!ftruncate(host.get(), 0);
      (void)!pwrite(host.get(), all.data(), all.size(), 0);
    }
  });
  size_t strange = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = ReadInside(*file, kPage, 2 * kPage);
    // Zeros: of a page that is there again and not yet written.
    strange += text.find_first_not_of(std::string("x\0", 2)) != std::string::npos;
  }
  done = true;
  cutter.join();
  CHECK(strange == 0);
}

}  // namespace
}  // namespace runsc
