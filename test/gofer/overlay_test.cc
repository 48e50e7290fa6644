// An overlay of a tmpfs over a Gofer's directory: the host's files never change.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>

#include "sentry/fsimpl/overlay_filesystem.h"
#include "sentry/fsimpl/tmpfs.h"
#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

using gofer::TemporaryDirectory;
using gofer::ThreadedGofer;

// The lower tree: d/{one,two}, d/sub/deep, link -> d/one, and hard1 = hard2.
struct OverlayGuest {
  OverlayGuest() {
    std::filesystem::create_directories(directory / "d/sub");
    directory.Write("d/one", "1");
    directory.Write("d/two", "22");
    directory.Write("d/sub/deep", "333");
    REQUIRE(symlink("d/one", (directory / "link").c_str()) == 0);
    directory.Write("hard1", "h");
    REQUIRE(link((directory / "hard1").c_str(), (directory / "hard2").c_str()) == 0);
    before = Snapshot();
    memory = std::move(MemoryFile::Create(1 << 28)).value();
    server = std::make_unique<ThreadedGofer>(directory.path());
    guest = std::make_unique<Guest>(
        OverlayFilesystem::Make(MountGofer(*server, true, 1), MakeTmpfs(*memory, {})).value());
  }
  ~OverlayGuest() {
    guest.reset();
    server.reset();
    CHECK(Snapshot() == before);
  }
  std::vector<std::string> Snapshot() const {
    std::vector<std::string> all;
    for (auto& entry : std::filesystem::recursive_directory_iterator(directory.path())) {
      std::string line = entry.path().string();
      if (entry.is_regular_file()) {
        std::ifstream file(entry.path());
        line += "=" + std::string(std::istreambuf_iterator<char>(file), {});
      }
      all.push_back(line);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  Guest* operator->() const { return guest.get(); }

  TemporaryDirectory directory;
  std::vector<std::string> before;
  std::unique_ptr<MemoryFile> memory;
  std::unique_ptr<ThreadedGofer> server;
  std::unique_ptr<Guest> guest;
};

using Names = std::vector<std::string>;

TEST_CASE("overlay: the lower tree shows, and a write copies up") {
  OverlayGuest guest;
  CHECK(guest->Read("/d/sub/deep").value() == "333");
  CHECK(guest->Read("/link").value() == "1");
  uint64_t ino = guest->Stat("/d/one").value().ino;
  auto reader = guest->Open("/d/one", O_RDONLY).value();
  REQUIRE(guest->Write("/d/one", "changed", 0).ok());
  CHECK(guest->Read("/d/one").value() == "changed");
  CHECK(Guest::ReadAll(*reader).value() == "changed");
  CHECK(guest->Stat("/d/one").value().ino == ino);
  CHECK(guest->Stat("/d/one").value().nlink == 1);
  CHECK(guest->List("/d") == Names{".", "..", "one", "sub", "two"});
}

TEST_CASE("overlay: numbers in a listing are those of stat") {
  OverlayGuest guest;
  REQUIRE(guest->Write("/d/one", "changed", 0).ok());
  REQUIRE(guest->Write("/d/new", "x").ok());
  auto file = guest->Open("/d", O_RDONLY | O_DIRECTORY).value();
  NameCollector collector;
  REQUIRE(file->GetDents(collector).ok());
  for (size_t i = 0; i < collector.names.size(); ++i) {
    INFO(collector.names[i]);
    CHECK(guest->Stat("/d/" + collector.names[i]).value().ino == collector.inos[i]);
  }
}

TEST_CASE("overlay: removed names stay removed, and may be made anew") {
  OverlayGuest guest;
  REQUIRE(guest->Unlink("/d/one").ok());
  CHECK(guest->Stat("/d/one").is(ENOENT));
  CHECK(guest->List("/d") == Names{".", "..", "sub", "two"});
  guest->context.root.mount->filesystem().ShrinkDentryCache();
  CHECK(guest->Stat("/d/one").is(ENOENT));
  REQUIRE(guest->Write("/d/one", "new").ok());
  CHECK(guest->Read("/d/one").value() == "new");
  REQUIRE(guest->Unlink("/d/one").ok());
  guest->context.root.mount->filesystem().ShrinkDentryCache();
  CHECK(guest->Stat("/d/one").is(ENOENT));
}

TEST_CASE("overlay: a directory made in place of a lower one is empty") {
  OverlayGuest guest;
  CHECK(guest->Rmdir("/d/sub").is(ENOTEMPTY));
  REQUIRE(guest->Unlink("/d/sub/deep").ok());
  REQUIRE(guest->Rmdir("/d/sub").ok());
  CHECK(guest->Stat("/d/sub").is(ENOENT));
  REQUIRE(guest->Mkdir("/d/sub").ok());
  CHECK(guest->List("/d/sub") == Names{".", ".."});
  guest->context.root.mount->filesystem().ShrinkDentryCache();
  CHECK(guest->Stat("/d/sub/deep").is(ENOENT));
  REQUIRE(guest->Write("/d/sub/deep", "other").ok());
  CHECK(guest->Read("/d/sub/deep").value() == "other");
}

TEST_CASE("overlay: rename") {
  OverlayGuest guest;
  REQUIRE(guest->Rename("/d/one", "/d/sub/moved").ok());
  CHECK(guest->Read("/d/sub/moved").value() == "1");
  CHECK(guest->Stat("/d/one").is(ENOENT));
  REQUIRE(guest->Rename("/d/sub/moved", "/d/two").ok());
  CHECK(guest->Read("/d/two").value() == "1");
  REQUIRE(guest->Rename("/d/two", "/d/one").ok());
  CHECK(guest->Read("/d/one").value() == "1");
  CHECK(guest->List("/d") == Names{".", "..", "one", "sub"});
  CHECK(guest->Rename("/d/sub", "/elsewhere").is(EXDEV));
  REQUIRE(guest->Mkdir("/own").ok());
  REQUIRE(guest->Write("/own/f", "f").ok());
  REQUIRE(guest->Rename("/own", "/renamed").ok());
  CHECK(guest->Read("/renamed/f").value() == "f");
  REQUIRE(guest->Rename("/d/one", "/renamed/f", RENAME_EXCHANGE).ok());
  CHECK(guest->Read("/renamed/f").value() == "1");
  CHECK(guest->Read("/d/one").value() == "f");
  guest->context.root.mount->filesystem().ShrinkDentryCache();
  CHECK(guest->Stat("/d/two").is(ENOENT));
  CHECK(guest->Read("/d/one").value() == "f");
}

TEST_CASE("overlay: a directory over an emptied lower one") {
  OverlayGuest guest;
  REQUIRE(guest->Unlink("/d/sub/deep").ok());
  REQUIRE(guest->Mkdir("/own").ok());
  REQUIRE(guest->Write("/own/f", "f").ok());
  REQUIRE(guest->Rename("/own", "/d/sub").ok());
  CHECK(guest->List("/d/sub") == Names{".", "..", "f"});
  CHECK(guest->Stat("/own").is(ENOENT));
}

TEST_CASE("overlay: names of one lower file stay one file") {
  OverlayGuest guest;
  CHECK(guest->Stat("/hard1").value().ino == guest->Stat("/hard2").value().ino);
  REQUIRE(guest->Write("/hard1", "H", 0).ok());
  CHECK(guest->Read("/hard2").value() == "H");
  guest->context.root.mount->filesystem().ShrinkDentryCache();
  CHECK(guest->Read("/hard2").value() == "H");
  REQUIRE(guest->Link("/d/one", "/third").ok());
  CHECK(guest->Stat("/third").value().nlink == 2);
  CHECK(guest->Stat("/third").value().ino == guest->Stat("/d/one").value().ino);
}

// What the overlay remembers of files keeps them with the Gofer, which has room for 256 here.
TEST_CASE("overlay: more files are looked at than the Gofer can hold") {
  TemporaryDirectory directory;
  constexpr int kFiles = 1200;
  auto path = [](int i) { return "d" + std::to_string(i % 7) + "/file" + std::to_string(i); };
  for (int i = 0; i < 7; ++i) std::filesystem::create_directories(directory / ("d" + std::to_string(i)));
  for (int i = 0; i < kFiles; ++i) directory.Write(path(i), std::to_string(i));
  auto memory = std::move(MemoryFile::Create(1 << 28)).value();
  ThreadedGofer server(directory.path());
  Guest guest(OverlayFilesystem::Make(MountGofer(server, true, 1), MakeTmpfs(*memory, {})).value());
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kFiles; ++i) CHECK(guest.Read("/" + path(i)).value() == std::to_string(i));
  }
}

TEST_CASE("overlay: attributes, symlinks, open files without a name") {
  OverlayGuest guest;
  VfsPath sub = guest->Find("/d/sub").value();
  REQUIRE(VfsChmod(guest->context, sub, 0700).ok());
  CHECK(guest->Stat("/d/sub").value().mode == (S_IFDIR | 0700));
  CHECK(guest->Read("/d/sub/deep").value() == "333");
  CHECK(guest->List("/d/sub") == Names{".", "..", "deep"});
  REQUIRE(guest->Symlink("two", "/d/to-two").ok());
  CHECK(guest->Read("/d/to-two").value() == "22");
  auto file = guest->Open("/d/two", O_RDONLY).value();
  REQUIRE(guest->Unlink("/d/two").ok());
  CHECK(file->Attributes().value().nlink == 0);
  CHECK(Guest::ReadAll(*file).value() == "22");
  AttributeChange change;
  change.mode = 0600;
  CHECK(file->SetAttributes(change).ok());
  CHECK(guest->Stat("/d/two").is(ENOENT));
  CHECK(guest->List("/d") == Names{".", "..", "one", "sub", "to-two"});
}

TEST_CASE("overlay: what copies up keeps its bytes") {
  OverlayGuest guest;
  TemporaryDirectory& directory = guest.directory;
  std::string big(3 << 20, 'x');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 >> 3);
  directory.Write("big", big);
  REQUIRE(truncate((directory / "big").c_str(), 8 << 20) == 0);
  guest.before = guest.Snapshot();
  auto file = guest->Open("/big", O_RDWR).value();
  CHECK(file->Attributes().value().size == 8 << 20);
  std::string text(big.size(), '\0');
  IoSequence to(std::as_writable_bytes(std::span(text)));
  CHECK(file->PRead(to, 0).value() == text.size());
  CHECK(text == big);
  char end = 1;
  IoSequence last(std::as_writable_bytes(std::span(&end, 1)));
  CHECK(file->PRead(last, (8 << 20) - 1).value() == 1);
  CHECK(end == 0);
}

}  // namespace
}  // namespace runsc
