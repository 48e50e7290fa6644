// Shared roots: what others do to the files is seen by the very next call inside, and what nobody changes is
// not asked for again.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <random>

#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

using gofer::TemporaryDirectory;
using gofer::ThreadedGofer;

// A guest on a shared root, and how often it has asked the Gofer.
struct SharedGuest {
  explicit SharedGuest(const std::string& path, size_t max_watches = 4096)
      : server(path, 4096, max_watches), made(MountGofer(server, false)), guest(made) {}
  uint64_t Requests() { return static_cast<GoferFilesystem&>(*made.filesystem).client().requests(); }
  // How many requests `work` costs once it has been done often.
  template <typename F>
  uint64_t WhenHot(F work) {
    for (int i = 0; i < 20; ++i) work();
    uint64_t before = Requests();
    work();
    return Requests() - before;
  }

  ThreadedGofer server;
  NewFilesystem made;
  Guest guest;
};

std::string Host(const std::string& path) {
  struct stat s {};
  if (lstat(path.c_str(), &s) != 0) return "errno " + std::to_string(errno);
  std::string text = std::to_string(s.st_mode) + " " + std::to_string(s.st_ino) + " " +
                     std::to_string(s.st_nlink) + " " + std::to_string(s.st_size) + " " +
                     std::to_string(s.st_uid) + " " + std::to_string(s.st_mtim.tv_sec) + "." +
                     std::to_string(s.st_mtim.tv_nsec) + " " + std::to_string(s.st_ctim.tv_sec) + "." +
                     std::to_string(s.st_ctim.tv_nsec);
  char target[PATH_MAX] = {};
  if (S_ISLNK(s.st_mode) && readlink(path.c_str(), target, sizeof(target) - 1) > 0) text += target;
  return text;
}

std::string Inside(Guest& guest, const std::string& path) {
  OperationScope operation;
  auto found = Walk(guest.context, guest.context.root, path, {.follow_final = false});
  if (!found.ok()) return "errno " + std::to_string(found.error().value());
  auto a = found->inode()->Attributes();
  if (!a.ok()) return "errno " + std::to_string(a.error().value());
  std::string text = std::to_string(a->mode) + " " + std::to_string(a->ino) + " " + std::to_string(a->nlink) +
                     " " + std::to_string(a->size) + " " + std::to_string(a->uid) + " " +
                     std::to_string(a->mtime.tv_sec) + "." + std::to_string(a->mtime.tv_nsec) + " " +
                     std::to_string(a->ctime.tv_sec) + "." + std::to_string(a->ctime.tv_nsec);
  if (S_ISLNK(a->mode)) text += found->inode()->ReadLink(*guest.context.creds).value();
  return text;
}

TEST_CASE("what is used often is not asked for again") {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "a/b/c");
  directory.Write("a/b/c/file", "text");
  REQUIRE(symlink("a/b", (directory / "link").c_str()) == 0);
  SharedGuest shared(directory.path());
  Guest& guest = shared.guest;
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Stat("/a/b/c/file").ok()); }) == 0);
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Stat("/a/b/c/none").is(ENOENT)); }) == 0);
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Find("/link/c/file").ok()); }) == 0);
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Stat("/a/b").ok()); }) == 0);
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Read("/a/b/c/file").ok()); }) == 0);
  CHECK(shared.WhenHot([&] { REQUIRE(guest.Open("/a/b/none/file", O_RDONLY).is(ENOENT)); }) == 0);
}

TEST_CASE("without watches everything is asked for") {
  TemporaryDirectory directory;
  directory.Write("file", "text");
  SharedGuest shared(directory.path(), /*max_watches=*/0);
  CHECK(shared.WhenHot([&] { REQUIRE(shared.guest.Stat("/file").ok()); }) > 0);
  CHECK(shared.WhenHot([&] { REQUIRE(shared.guest.Stat("/none").is(ENOENT)); }) > 0);
  REQUIRE(chmod((directory / "file").c_str(), 0640) == 0);
  CHECK(Inside(shared.guest, "/file") == Host(directory / "file"));
}

// Random changes by somebody else, in strict turns with questions inside. The host is the model.
class Others {
 public:
  Others(std::string top, std::string elsewhere, uint32_t seed)
      : top_(std::move(top)), elsewhere_(std::move(elsewhere)), random_(seed) {}

  std::string Path() {
    constexpr const char* kNames[] = {"a", "b", "c", "d"};
    std::string path;
    for (size_t depth = 1 + random_() % 3; depth > 0; --depth)
      path += std::string("/") + kNames[random_() % 4];
    return path;
  }

  // The return values do not matter: what cannot be done is not done.
  void Change() {
    std::string path = top_ + Path(), other = (random_() % 8 == 0 ? elsewhere_ : top_) + Path();
    switch (random_() % 14) {
      case 0:
        std::ofstream(path) << std::string(random_() % 100, 'x');
        break;
      case 1:
        std::ofstream(path, std::ios::app) << "more";
        break;
      case 2:
      case 3:
      case 4:
        mkdir(path.c_str(), 0700 + random_() % 64);
        break;
      case 5:
        unlink(path.c_str());
        break;
      case 6:
        rmdir(path.c_str());
        break;
      case 7:
      case 8:
        rename(path.c_str(), other.c_str());
        break;
      case 9:
        chmod(path.c_str(), 0600 + random_() % 64);
        break;
      case 10:
        (void)!truncate(path.c_str(), static_cast<off_t>(random_() % 1000));
        break;
      case 11:
        (void)!link(path.c_str(), other.c_str());
        break;
      case 12:
        unlink(path.c_str());
        (void)!symlink(random_() % 2 != 0 ? "a" : "b/c", path.c_str());
        break;
      default: {
        std::error_code ignored;
        if (random_() % 4 == 0) std::filesystem::remove_all(path, ignored);
        timespec times[2] = {{1, 0}, {static_cast<time_t>(random_() % 1000), 7}};
        utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
      }
    }
  }

  bool OneIn(uint32_t n) { return random_() % n == 0; }

 private:
  const std::string top_, elsewhere_;
  std::mt19937 random_;
};

std::vector<std::string> HostList(const std::string& path) {
  std::vector<std::string> names = {".", ".."};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error))
    names.push_back(entry.path().filename());
  if (error) return {"error"};
  std::sort(names.begin(), names.end());
  return names;
}

std::string HostRead(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void CheckOne(SharedGuest& shared, const std::string& top, const std::string& path, Others& others) {
  INFO(path);
  REQUIRE(Inside(shared.guest, path) == Host(top + path));
  struct stat stat {};
  if (lstat((top + path).c_str(), &stat) != 0) return;
  if (S_ISDIR(stat.st_mode) && others.OneIn(4)) REQUIRE(shared.guest.List(path) == HostList(top + path));
  if (S_ISREG(stat.st_mode) && others.OneIn(4)) {
    auto text = shared.guest.Read(path);
    REQUIRE(text.ok());
    REQUIRE(*text == HostRead(top + path));
  }
}

TEST_CASE("the next call sees what others did") {
  // Watches for all, for some, for none.
  size_t max_watches = GENERATE(4096, 6, 0);
  uint32_t seed = GENERATE(1, 2, 3);
  TemporaryDirectory outside;
  std::string top = outside / "top", elsewhere = outside / "elsewhere";
  std::filesystem::create_directories(top);
  std::filesystem::create_directories(elsewhere);
  Others others(top, elsewhere, seed);
  SharedGuest shared(top, max_watches);
  for (int step = 0; step < 4000; ++step) {
    INFO("step " << step << " with " << max_watches << " watches, seed " << seed);
    others.Change();
    for (int i = 0; i < 4; ++i) CheckOne(shared, top, others.Path(), others);
    // Some of it is done inside.
    if (others.OneIn(4)) {
      std::string path = others.Path(), other = others.Path();
      switch (step % 6) {
        case 0:
          (void)shared.guest.Mkdir(path).ok();
          break;
        case 1:
          (void)shared.guest.Write(path, "inside").ok();
          break;
        case 2:
          (void)shared.guest.Rename(path, other).ok();
          break;
        case 3:
          (void)shared.guest.Unlink(path).ok();
          break;
        case 4:
          (void)shared.guest.Link(path, other).ok();
          break;
        default:
          if (auto found = shared.guest.Find(path); found.ok())
            (void)VfsChmod(shared.guest.context, *found, 0755).ok();
      }
      CheckOne(shared, top, path, others);
      CheckOne(shared, top, other, others);
    }
  }
}

TEST_CASE("more changes than the host queues") {
  TemporaryDirectory directory;
  directory.Write("file", "text");
  SharedGuest shared(directory.path());
  auto look = [&] { (void)shared.guest.Stat("/file").ok(), (void)shared.guest.Stat("/none").ok(); };
  CHECK(shared.WhenHot(look) == 0);
  int most = 16384;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
  std::string a = directory / "x", b = directory / "y";
  directory.Write("x", "");
  for (int i = 0; i < most / 2 + 10; ++i)
    REQUIRE(rename((i % 2 == 0 ? a : b).c_str(), (i % 2 == 0 ? b : a).c_str()) == 0);
  // Nothing of this is in the queue any more.
  REQUIRE(chmod((directory / "file").c_str(), 0600) == 0);
  directory.Write("none", "is there");
  CHECK(Inside(shared.guest, "/file") == Host(directory / "file"));
  CHECK(shared.guest.Read("/none").value() == "is there");
  CHECK(shared.WhenHot(look) == 0);
}

TEST_CASE("a root that is a file") {
  TemporaryDirectory directory;
  directory.Write("file", "text");
  SharedGuest shared(directory / "file");
  CHECK(shared.WhenHot([&] { REQUIRE(shared.guest.Stat("/").value().size == 4); }) == 0);
  directory.Write("file", "longer");
  CHECK(shared.guest.Stat("/").value().size == 6);
}

TEST_CASE("a file's link count and bytes change under a name that is not watched") {
  TemporaryDirectory directory, elsewhere;
  directory.Write("file", "text");
  SharedGuest shared(directory.path());
  auto stat = [&] { return shared.guest.Stat("/file").value(); };
  CHECK(shared.WhenHot([&] { (void)stat(); }) == 0);
  REQUIRE(link((directory / "file").c_str(), (elsewhere / "other").c_str()) == 0);
  CHECK(stat().nlink == 2);
  CHECK(shared.WhenHot([&] { (void)stat(); }) == 0);
  std::ofstream(elsewhere / "other", std::ios::app) << "more";
  CHECK(stat().size == 8);
  REQUIRE(unlink((elsewhere / "other").c_str()) == 0);
  CHECK(stat().nlink == 1);
}

TEST_CASE("going through a directory asks for many files at once") {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "d");
  constexpr int kFiles = 200;
  for (int i = 0; i < kFiles; ++i) directory.Write("d/f" + std::to_string(i), std::to_string(i));
  REQUIRE(symlink("f1", (directory / "d/link").c_str()) == 0);
  SharedGuest shared(directory.path());
  REQUIRE(shared.guest.Stat("/d").ok());
  uint64_t before = shared.Requests();
  REQUIRE(shared.guest.List("/d").size() == kFiles + 3);
  for (int i = 0; i < kFiles; ++i) {
    std::string path = "/d/f" + std::to_string(i);
    REQUIRE(Inside(shared.guest, path) == Host(directory.path() + path));
  }
  REQUIRE(Inside(shared.guest, "/d/link") == Host(directory / "d/link"));
  CHECK(shared.Requests() - before < 20);
  before = shared.Requests();
  CHECK(shared.guest.List("/d").size() == kFiles + 3);
  CHECK(shared.guest.Stat("/d/none").is(ENOENT));
  CHECK(shared.Requests() == before);
}

TEST_CASE("what was fetched ahead is not used once it has changed") {
  TemporaryDirectory directory;
  for (char c = 'a'; c <= 'h'; ++c) directory.Write(std::string(1, c), "text");
  SharedGuest shared(directory.path());
  for (int i = 0; i < 3; ++i) REQUIRE(shared.guest.Stat("/").ok());
  REQUIRE(shared.guest.List("/").size() == 10);
  REQUIRE(shared.guest.Stat("/a").ok());
  uint64_t before = shared.Requests();
  REQUIRE(shared.guest.Stat("/b").ok());
  REQUIRE(shared.Requests() == before);
  directory.Write("c", "longer text");
  REQUIRE(unlink((directory / "d").c_str()) == 0);
  REQUIRE(rename((directory / "f").c_str(), (directory / "e").c_str()) == 0);
  REQUIRE(chmod((directory / "g").c_str(), 0600) == 0);
  REQUIRE(unlink((directory / "h").c_str()) == 0);
  REQUIRE(mkdir((directory / "h").c_str(), 0700) == 0);
  for (const char* path : {"/c", "/d", "/e", "/f", "/g", "/h"}) {
    INFO(path);
    CHECK(Inside(shared.guest, path) == Host(directory.path() + path));
  }
  CHECK(shared.guest.List("/") == HostList(directory.path()));
}

TEST_CASE("a file is opened and a new one made in one round trip") {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "a/b");
  for (int i = 0; i < 600; ++i) directory.Write("a/b/" + std::to_string(i), "text");
  SharedGuest shared(directory.path());
  for (int i = 0; i < 5; ++i) REQUIRE(shared.guest.Stat("/a/b/0").ok());
  // Also beyond the number of descriptors that lie idle.
  for (int i = 1; i < 600; ++i) {
    uint64_t before = shared.Requests();
    REQUIRE(shared.guest.Read("/a/b/" + std::to_string(i)).value() == "text");
    REQUIRE(shared.Requests() - before <= 2);  // at times old nodes are closed
  }
  for (int i = 0; i < 50; ++i) {
    std::string name = "/a/b/new" + std::to_string(i);
    uint64_t before = shared.Requests();
    REQUIRE(shared.guest.Open(name, O_RDWR | O_CREAT | O_EXCL).ok());
    REQUIRE(shared.guest.Mkdir(name + "d").ok());
    REQUIRE(shared.Requests() - before <= 3);
  }
}

TEST_CASE("what somebody else has made is not made again") {
  TemporaryDirectory directory;
  SharedGuest shared(directory.path());
  for (int i = 0; i < 5; ++i) {
    REQUIRE(shared.guest.Stat("/file").is(ENOENT));
    REQUIRE(shared.guest.Stat("/d").is(ENOENT));
  }
  directory.Write("file", "theirs");
  std::filesystem::create_directories(directory / "d");
  CHECK(shared.guest.Open("/file", O_RDWR | O_CREAT | O_EXCL).is(EEXIST));
  CHECK(shared.guest.Mkdir("/d").is(EEXIST));
  CHECK(shared.guest.Mkdir("/file").is(EEXIST));
  CHECK(shared.guest.Open("/d", O_RDWR | O_CREAT | O_EXCL).is(EEXIST));
  CHECK(shared.guest.Read("/file").value() == "theirs");
  CHECK(shared.guest.List("/d") == std::vector<std::string>{".", ".."});
  // Who may not write is told that it is there.
  REQUIRE(chmod(directory.path().c_str(), 0755) == 0);
  RefPtr<Credentials> other = shared.guest.context.creds->Clone();
  other->fsuid = other->euid = other->ruid = other->suid = 1000;
  other->effective = {};
  shared.guest.context.creds = std::move(other);
  CHECK(shared.guest.Mkdir("/d").is(EEXIST));
  CHECK(shared.guest.Mkdir("/e").is(EACCES));
}

TEST_CASE("names and watches go with the memory that they may take") {
  TemporaryDirectory directory;
  SharedGuest shared(directory.path());
  auto& watches = static_cast<GoferFilesystem&>(*shared.made.filesystem).watches();
  for (size_t i = 0; i < GoferNames::kMost + 100; ++i) {
    REQUIRE(shared.guest.Stat("/missing" + std::to_string(i)).is(ENOENT));
    REQUIRE(watches.names().load() <= GoferNames::kMost);
  }
  CHECK(watches.names().load() > 0);
}

}  // namespace
}  // namespace runsc
