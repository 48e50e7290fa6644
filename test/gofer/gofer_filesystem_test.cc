// The Sentry's filesystem client against a real Gofer on a temporary directory.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

using gofer::TemporaryDirectory;
using gofer::ThreadedGofer;

std::string HostRead(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST_CASE("files are read, written and made on the host") {
  bool exclusive = GENERATE(false, true);
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "a/b/c");
  directory.Write("a/b/c/file", "hello");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, exclusive));

  CHECK(guest.Read("/a/b/c/file").value() == "hello");
  CHECK(guest.Read("/a/b/none/file").is(ENOENT));
  CHECK(guest.Read("/a/b/c/file/x").is(ENOTDIR));
  REQUIRE(guest.Write("/a/new", "one").ok());
  CHECK(HostRead(directory / "a/new") == "one");
  REQUIRE(guest.Write("/a/new", "two", O_APPEND).ok());
  CHECK(HostRead(directory / "a/new") == "onetwo");
  CHECK(guest.Stat("/a/new").value().size == 6);
  REQUIRE(guest.Write("/a/new", "x").ok());
  CHECK(guest.Stat("/a/new").value().size == 1);
  CHECK(guest.Open("/a/new", O_RDWR | O_CREAT | O_EXCL).is(EEXIST));

  struct stat stat {};
  REQUIRE(::stat((directory / "a/new").c_str(), &stat) == 0);
  CHECK(guest.Stat("/a/new").value().ino == stat.st_ino);
  CHECK(guest.Stat("/a/new").value().mode == stat.st_mode);
}

TEST_CASE("names are made, linked, renamed and removed") {
  bool exclusive = GENERATE(false, true);
  TemporaryDirectory directory;
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, exclusive));
  REQUIRE(guest.Mkdir("/d").ok());
  REQUIRE(guest.Write("/d/f", "text").ok());
  REQUIRE(guest.Symlink("d/f", "/l").ok());
  CHECK(guest.Read("/l").value() == "text");
  REQUIRE(guest.Link("/d/f", "/hard").ok());
  CHECK(guest.Stat("/hard").value().nlink == 2);
  CHECK(guest.Stat("/d/f").value().nlink == 2);
  CHECK(guest.Stat("/hard").value().ino == guest.Stat("/d/f").value().ino);
  REQUIRE(guest.Rename("/hard", "/d/g").ok());
  CHECK(guest.Stat("/hard").is(ENOENT));
  CHECK(guest.List("/d") == std::vector<std::string>{".", "..", "f", "g"});
  CHECK(guest.Rmdir("/d").is(ENOTEMPTY));
  REQUIRE(guest.Unlink("/d/f").ok());
  CHECK(guest.Stat("/d/g").value().nlink == 1);
  CHECK(guest.Read("/l").is(ENOENT));
  REQUIRE(guest.Unlink("/d/g").ok());
  REQUIRE(guest.Rmdir("/d").ok());
  CHECK(guest.List("/") == std::vector<std::string>{".", "..", "l"});
}

TEST_CASE("an open file goes on after its name is gone") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, true));
  auto file = guest.Open("/f", O_RDWR).value();
  REQUIRE(guest.Unlink("/f").ok());
  CHECK(Guest::ReadAll(*file).value() == "text");
  CHECK(Guest::WriteTo(*file, "more").value() == 4);
  CHECK(file->Attributes().value().nlink == 0);
  CHECK(file->Attributes().value().size == 8);
}

TEST_CASE("a shared mount sees what others do") {
  TemporaryDirectory directory;
  directory.Write("f", "one");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, false));
  CHECK(guest.Read("/f").value() == "one");
  directory.Write("f", "three");
  CHECK(guest.Stat("/f").value().size == 5);
  CHECK(guest.Stat("/g").is(ENOENT));
  directory.Write("g", "x");
  CHECK(guest.Read("/g").value() == "x");
  std::filesystem::rename(directory / "g", directory / "f");
  CHECK(guest.Read("/f").value() == "x");
  CHECK(guest.Stat("/g").is(ENOENT));
}

TEST_CASE("attributes change") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, true));
  VfsPath path = guest.Find("/f").value();
  REQUIRE(VfsChmod(guest.context, path, 0600).ok());
  CHECK(guest.Stat("/f").value().mode == (S_IFREG | 0600));
  REQUIRE(VfsTruncate(guest.context, path, 2).ok());
  CHECK(guest.Stat("/f").value().size == 2);
  REQUIRE(VfsUtimens(guest.context, path, TimeChange{false, {100, 7}}, TimeChange{false, {200, 9}}).ok());
  CHECK(guest.Stat("/f").value().mtime.tv_sec == 200);
  CHECK(guest.Stat("/f").value().atime.tv_nsec == 7);
}

TEST_CASE("a mapping sees the host's pages and ends with the file") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, true));
  auto file = guest.Open("/f", O_RDWR).value();
  auto object = file->ConfigureMMap(PROT_READ | PROT_WRITE, true).value();
  auto translation = object->mappable().Translate(0, 1 << 20, MemoryAccess::kRead);
  REQUIRE(translation.ok());
  CHECK(translation->range.length == kPageSize);
  CHECK(translation->writable);
  std::byte* memory = translation->file->At(translation->range);
  REQUIRE(memory != nullptr);
  CHECK(std::memcmp(memory, "text", 4) == 0);
  memory[0] = std::byte{'n'};
  CHECK(guest.Read("/f").value() == "next");
  CHECK(object->mappable().Translate(kPageSize, kPageSize, MemoryAccess::kRead).is(ENXIO));
  translation->file->ReleasePageRefs(translation->range);
}

TEST_CASE("more files than the Gofer may hold nodes") {
  TemporaryDirectory directory;
  for (int i = 0; i < 600; ++i) directory.Write(std::to_string(i), std::to_string(i));
  ThreadedGofer server(directory.path(), 100);
  Guest guest(MountGofer(server, true));
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 600; ++i) REQUIRE(guest.Read(std::to_string(i)).value() == std::to_string(i));
  }
}

TEST_CASE("a read-only root says EROFS") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ThreadedGofer server(directory.path());
  Guest guest(MountGofer(server, true, 1));
  CHECK(guest.Read("/f").value() == "text");
  CHECK(guest.Open("/f", O_RDWR).is(EROFS));
  CHECK(guest.Write("/g", "x").is(EROFS));
}

}  // namespace
}  // namespace runsc
