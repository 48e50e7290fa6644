#include "sentry/fsimpl/tmpfs.h"

#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <sys/xattr.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "sentry/vfs/inotify.h"
#include "sentry/vfs/path_walk.h"

namespace runsc {
namespace {

constexpr uint64_t kMemory = 64 << 20;

// A namespace with one tmpfs as its root, seen by root.
struct World {
  std::unique_ptr<MemoryFile> memory = *MemoryFile::Create(kMemory);
  PathContext context;
  explicit World(const TmpfsOptions& options = {}) {
    NewFilesystem made = MakeTmpfs(*memory, options);
    context.mounts = MakeRef<MountNamespace>(MakeRef<Mount>(made.filesystem, made.root, 0, "tmpfs"));
    context.root = context.cwd = context.mounts->Root();
    context.creds = Credentials::Root();
  }
  Result<RefPtr<FileDescription>> Open(std::string_view path, uint64_t flags, uint64_t mode = 0644,
                                       uint64_t resolve = 0) {
    return VfsOpen(context, context.cwd, path, OpenHow{flags, mode, resolve});
  }
  int Mkdir(std::string_view path, uint32_t mode = 0755) {
    return Code(VfsMkdir(context, context.cwd, path, mode));
  }
  int Link(std::string_view target, std::string_view path) {
    return Code(VfsSymlink(context, target, context.cwd, path));
  }
  int Rename(std::string_view from, std::string_view to, uint32_t flags = 0) {
    return Code(VfsRename(context, context.cwd, from, context.cwd, to, flags));
  }
  int Unlink(std::string_view path) { return Code(VfsUnlink(context, context.cwd, path)); }
  int Rmdir(std::string_view path) { return Code(VfsRmdir(context, context.cwd, path)); }
  int WalkCode(std::string_view path, const WalkOptions& options = {}) {
    return Code(Walk(context, context.cwd, path, options));
  }
  void Make(std::string_view path) { REQUIRE(Open(path, O_CREAT | O_RDWR).ok()); }
  std::string Text(std::string_view path) {
    return MountNamespace::PathText(*Walk(context, context.cwd, path), context.root);
  }
  template <typename T>
  static int Code(const Result<T>& result) {
    return result.ok() ? 0 : result.error().value();
  }
  void As(Uid uid) {
    RefPtr<Credentials> creds = context.creds->Clone();
    creds->ruid = creds->euid = creds->suid = creds->fsuid = uid;
    creds->rgid = creds->egid = creds->sgid = creds->fsgid = uid;
    creds->permitted = creds->effective = CapabilitySet();
    context.creds = std::move(creds);
  }
};

size_t Put(FileDescription& file, std::string_view text, uint64_t offset) {
  IoSequence from(std::as_bytes(std::span(text)));
  return file.PWrite(from, offset).value_or(0);
}

std::string Get(FileDescription& file, uint64_t offset, size_t length) {
  std::string text(length, '?');
  IoSequence to(std::as_writable_bytes(std::span(text)));
  text.resize(file.PRead(to, offset).value_or(0));
  return text;
}

uint64_t Blocks(FileDescription& file) { return file.Attributes()->blocks; }

class Names final : public DirectoryEmitter {
 public:
  explicit Names(size_t limit = SIZE_MAX) : limit_(limit) {}
  bool Emit(const DirectoryEntry& entry) override {
    if (names.size() == limit_) return false;
    names.emplace_back(entry.name);
    return true;
  }
  std::vector<std::string> names;

 private:
  size_t limit_;
};

TEST_CASE("paths are walked through directories, links and dots") {
  World w;
  REQUIRE(w.Mkdir("/a") == 0);
  REQUIRE(w.Mkdir("/a/b/") == 0);
  REQUIRE(w.Mkdir("/a/b") == EEXIST);
  REQUIRE(w.Mkdir("/x/y") == ENOENT);
  w.Make("/a/b/f");
  CHECK(w.WalkCode("/a/./b/../b/f") == 0);
  CHECK(w.WalkCode("/../../a/b/f") == 0);
  CHECK(w.WalkCode("/a/b/f/") == ENOTDIR);
  CHECK(w.WalkCode("/a/b/f/g") == ENOTDIR);
  CHECK(w.WalkCode("/a/b/none") == ENOENT);
  CHECK(w.WalkCode("/a/b/none") == ENOENT);
  CHECK(w.WalkCode("") == ENOENT);
  CHECK(w.WalkCode(std::string(256, 'n')) == ENAMETOOLONG);
  CHECK(w.WalkCode(std::string(5000, '/')) == ENAMETOOLONG);
  REQUIRE(w.Link("b/f", "/a/l") == 0);
  REQUIRE(w.Link("/a/b", "/d") == 0);
  REQUIRE(w.Link("loop2", "/loop1") == 0);
  REQUIRE(w.Link("loop1", "/loop2") == 0);
  REQUIRE(w.Link("/new", "/dangling") == 0);
  CHECK(w.Text("/a/l") == "/a/b/f");
  CHECK(w.Text("/d/f") == "/a/b/f");
  CHECK(w.Text("/d/..") == "/a");
  CHECK(w.WalkCode("/loop1") == ELOOP);
  CHECK(w.WalkCode("/dangling") == ENOENT);
  CHECK(w.WalkCode("/dangling", WalkOptions{false}) == 0);
  CHECK(w.Open("/a/l", O_RDONLY | O_NOFOLLOW).is(ELOOP));
  CHECK(w.Open("/dangling", O_CREAT | O_EXCL | O_RDWR).is(EEXIST));
  CHECK(w.Open("/dangling", O_CREAT | O_RDWR).ok());
  CHECK(w.WalkCode("/new") == 0);
}

TEST_CASE("openat2's RESOLVE flags confine a walk") {
  World w;
  REQUIRE(w.Mkdir("/jail") == 0);
  w.Make("/jail/f");
  w.Make("/outside");
  REQUIRE(w.Link("/f", "/jail/abs") == 0);
  VfsPath jail = *Walk(w.context, w.context.cwd, "/jail");
  auto open = [&](std::string_view path, uint64_t resolve) {
    return World::Code(VfsOpen(w.context, jail, path, OpenHow{O_RDONLY, 0, resolve}));
  };
  CHECK(open("f", RESOLVE_BENEATH) == 0);
  CHECK(open("../outside", RESOLVE_BENEATH) == EXDEV);
  CHECK(open("/outside", RESOLVE_BENEATH) == EXDEV);
  CHECK(open("abs", RESOLVE_BENEATH) == EXDEV);
  CHECK(open("abs", RESOLVE_IN_ROOT) == 0);
  CHECK(open("../../f", RESOLVE_IN_ROOT) == 0);
  CHECK(open("abs", RESOLVE_NO_SYMLINKS) == ELOOP);
}

TEST_CASE("opening obeys types and permissions in Linux's order") {
  World w;
  REQUIRE(w.Mkdir("/d", 0755) == 0);
  w.Make("/f");
  CHECK(w.Open("/d", O_WRONLY).is(EISDIR));
  CHECK(w.Open("/d", O_CREAT | O_RDONLY).is(EISDIR));
  CHECK(w.Open("/new/", O_CREAT | O_RDWR).is(EISDIR));
  CHECK(w.Open("/f", O_DIRECTORY).is(ENOTDIR));
  CHECK(w.Open("/f", O_CREAT | O_EXCL).is(EEXIST));
  CHECK(w.Open("/d", O_TMPFILE | O_RDONLY).is(EINVAL));
  w.As(1000);
  CHECK(w.Open("/f", O_RDONLY).ok());
  CHECK(w.Open("/f", O_WRONLY).is(EACCES));
  CHECK(w.Open("/f", O_RDONLY | O_TRUNC).is(EACCES));
  CHECK(w.Open("/d/x", O_CREAT | O_RDWR).is(EACCES));
  CHECK(w.Open("/f", O_RDONLY | O_NOATIME).is(EPERM));
  CHECK(w.Unlink("/f") == EPERM);  // the root is 1777
  Result<RefPtr<FileDescription>> path_only = w.Open("/f", O_PATH | O_RDWR);
  REQUIRE(path_only.ok());
  CHECK(!(*path_only)->writable());
}

TEST_CASE("rename replaces, refuses and exchanges") {
  World w;
  REQUIRE(w.Mkdir("/d") == 0);
  REQUIRE(w.Mkdir("/d/sub") == 0);
  REQUIRE(w.Mkdir("/e") == 0);
  w.Make("/f");
  w.Make("/g");
  CHECK(w.Rename("/f", "/d") == EISDIR);
  CHECK(w.Rename("/d", "/f") == ENOTDIR);
  CHECK(w.Rename("/d", "/d/sub/x") == EINVAL);
  CHECK(w.Rename("/d/sub", "/d") == ENOTEMPTY);
  CHECK(w.Rename("/e", "/d") == ENOTEMPTY);
  CHECK(w.Rename("/f", "/g", RENAME_NOREPLACE) == EEXIST);
  CHECK(w.Rename("/f", "/none/x") == ENOENT);
  CHECK(w.Rename("/f", "/h/") == ENOTDIR);
  CHECK(w.Rename("/f", "/g") == 0);
  CHECK(w.WalkCode("/f") == ENOENT);
  CHECK(w.Rename("/d/sub", "/e/sub") == 0);
  CHECK(Walk(w.context, w.context.cwd, "/e")->inode()->Attributes()->nlink == 3);
  CHECK(Walk(w.context, w.context.cwd, "/d")->inode()->Attributes()->nlink == 2);
  CHECK(w.Text("/e/sub/..") == "/e");
  CHECK(w.Rename("/g", "/e", RENAME_EXCHANGE) == 0);
  CHECK(w.WalkCode("/g/sub") == 0);
  CHECK(w.WalkCode("/e/sub") == ENOTDIR);
  CHECK(w.Rename("/g/..", "/z") == EBUSY);
  CHECK(w.Rmdir("/g") == ENOTEMPTY);
  CHECK(w.Rmdir("/g/sub/.") == EINVAL);
  CHECK(w.Rmdir("/e") == ENOTDIR);
  CHECK(w.Unlink("/g") == EISDIR);
  CHECK(w.Rmdir("/g/sub") == 0);
  CHECK(w.Rmdir("/g") == 0);
}

TEST_CASE("an unlinked file lives on while it is open, and its memory goes with it") {
  World w;
  uint64_t before = w.memory->allocated_bytes();
  RefPtr<FileDescription> file = *w.Open("/f", O_CREAT | O_RDWR);
  REQUIRE(Put(*file, std::string(1 << 20, 'x'), 0) == 1 << 20);
  REQUIRE(w.Unlink("/f") == 0);
  CHECK(file->Attributes()->nlink == 0);
  CHECK(Get(*file, (1 << 20) - 2, 10) == "xx");
  CHECK(MountNamespace::PathText(file->path(), w.context.root) == "/f (deleted)");
  file.reset();
  CHECK(w.memory->allocated_bytes() == before);
}

TEST_CASE("holes, punching and truncation") {
  World w;
  RefPtr<FileDescription> file = *w.Open("/f", O_CREAT | O_RDWR);
  REQUIRE(Put(*file, "end", 5 * kPageSize) == 3);
  CHECK(Blocks(*file) == 8);
  CHECK(Get(*file, 5 * kPageSize - 2, 10) == std::string("\0\0end", 5));
  CHECK(*file->Seek(0, SEEK_DATA) == 5 * static_cast<int64_t>(kPageSize));
  CHECK(*file->Seek(0, SEEK_HOLE) == 0);
  CHECK(file->Seek(6 * kPageSize, SEEK_DATA).is(ENXIO));
  REQUIRE(Put(*file, std::string(3 * kPageSize, 'a'), 0) == 3 * kPageSize);
  CHECK(*file->Seek(0, SEEK_HOLE) == 3 * static_cast<int64_t>(kPageSize));
  REQUIRE(file->Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 2 * kPageSize).ok());
  CHECK(Blocks(*file) == 24);
  CHECK(Get(*file, 99, 2) == std::string("a\0", 2));
  CHECK(Get(*file, 2 * kPageSize + 99, 2) == std::string("\0a", 2));
  AttributeChange change;
  change.size = 2 * kPageSize + 101;
  REQUIRE(file->SetAttributes(change).ok());
  change.size = 3 * kPageSize;
  REQUIRE(file->SetAttributes(change).ok());
  CHECK(Get(*file, 2 * kPageSize + 100, 2) == std::string("a\0", 2));
  CHECK(Blocks(*file) == 16);
}

TEST_CASE("a file that never had a name can be given one, once it is unlinked not") {
  World w;
  RefPtr<FileDescription> file = *w.Open("/", O_TMPFILE | O_RDWR);
  CHECK(VfsLink(w.context, file->path(), w.context.cwd, "/named").ok());
  CHECK(file->Attributes()->nlink == 1);
  RefPtr<FileDescription> named = *w.Open("/named", O_RDWR);
  REQUIRE(w.Unlink("/named") == 0);
  CHECK(VfsLink(w.context, named->path(), w.context.cwd, "/again").is(ENOENT));
}

TEST_CASE("limits of bytes and inodes give ENOSPC") {
  TmpfsOptions options;
  options.max_bytes = 4 * kPageSize;
  options.max_inodes = 3;
  World w(options);
  RefPtr<FileDescription> file = *w.Open("/f", O_CREAT | O_RDWR);
  CHECK(Put(*file, std::string(5 * kPageSize, 'x'), 0) == 4 * kPageSize);
  IoSequence one(std::as_bytes(std::span("y", 1)));
  CHECK(file->PWrite(one, 4 * kPageSize).is(ENOSPC));
  CHECK(w.context.root.mount->filesystem().Stats()->blocks_free == 0);
  w.Make("/g");
  CHECK(w.Open("/h", O_CREAT | O_RDWR).is(ENOSPC));
  REQUIRE(w.Unlink("/g") == 0);
  CHECK(w.Open("/h", O_CREAT | O_RDWR).ok());
}

TEST_CASE("a directory is listed at stable positions") {
  World w;
  for (int i = 0; i < 5; ++i) w.Make("/f" + std::to_string(i));
  RefPtr<FileDescription> dir = *w.Open("/", O_RDONLY | O_DIRECTORY);
  Names first(4);
  REQUIRE(dir->GetDents(first).ok());
  CHECK(first.names == std::vector<std::string>{".", "..", "f0", "f1"});
  REQUIRE(w.Unlink("/f0") == 0);
  REQUIRE(w.Unlink("/f2") == 0);
  w.Make("/g");
  Names rest;
  REQUIRE(dir->GetDents(rest).ok());
  CHECK(rest.names == std::vector<std::string>{"f3", "f4", "g"});
}

TEST_CASE("mounts are stacked, kept busy, moved and pivoted") {
  World w;
  REQUIRE(w.Mkdir("/m") == 0);
  REQUIRE(w.Mkdir("/n") == 0);
  auto attach = [&](std::string_view where) {
    NewFilesystem made = MakeTmpfs(*w.memory, TmpfsOptions{});
    return World::Code(w.context.mounts->Attach(MakeRef<Mount>(made.filesystem, made.root, 0, "t"),
                                                *Walk(w.context, w.context.cwd, where)));
  };
  auto unmount = [&](std::string_view where, int flags = 0) {
    return World::Code(w.context.mounts->Unmount(*Walk(w.context, w.context.cwd, where), flags));
  };
  REQUIRE(attach("/m") == 0);
  w.Make("/m/inner");
  REQUIRE(attach("/m") == 0);
  CHECK(w.WalkCode("/m/inner") == ENOENT);
  CHECK(w.Text("/m/..") == "/");
  CHECK(w.Rmdir("/m") == EBUSY);
  CHECK(w.Rename("/m", "/q") == EBUSY);
  CHECK(w.Rename("/n", "/m/n") == EXDEV);
  CHECK(unmount("/m") == 0);
  CHECK(w.WalkCode("/m/inner") == 0);
  {
    RefPtr<FileDescription> open = *w.Open("/m/inner", O_RDONLY);
    CHECK(unmount("/m") == EBUSY);
  }
  CHECK(unmount("/n") == EINVAL);
  CHECK(w.context.mounts->Move(*Walk(w.context, w.context.cwd, "/m"), *Walk(w.context, w.context.cwd, "/n"))
            .ok());
  CHECK(w.WalkCode("/n/inner") == 0);
  CHECK(w.WalkCode("/m/inner") == ENOENT);
  CHECK(w.Text("/n/inner") == "/n/inner");

  absl::flat_hash_map<const Mount*, RefPtr<Mount>> copies;
  RefPtr<MountNamespace> clone = *w.context.mounts->Clone(w.context.mounts->user_ns(), &copies);
  CHECK(clone->Mounts().size() == 2);
  CHECK(unmount("/n", MNT_DETACH) == 0);
  CHECK(clone->Mounts().size() == 2);
  CHECK(w.context.mounts->Mounts().size() == 1);

  REQUIRE(w.Mkdir("/new") == 0);
  REQUIRE(attach("/new") == 0);
  REQUIRE(w.Mkdir("/new/old") == 0);
  VfsPath new_root = *Walk(w.context, w.context.cwd, "/new");
  REQUIRE(w.context.mounts->PivotRoot(w.context.root, new_root, *Walk(w.context, w.context.cwd, "/new/old"))
              .ok());
  w.context.root = w.context.cwd = new_root;
  CHECK(w.Text("/old/new") == "/old/new");
  CHECK(w.WalkCode("/old/m") == 0);
}

TEST_CASE("the mounts of a copied namespace are peers or slaves of the old ones") {
  World w;
  REQUIRE(w.Mkdir("/shared") == 0);
  REQUIRE(w.Mkdir("/private") == 0);
  auto attach = [&](MountNamespace& mounts, const VfsPath& where) {
    NewFilesystem made = MakeTmpfs(*w.memory, TmpfsOptions{});
    return World::Code(mounts.Attach(MakeRef<Mount>(made.filesystem, made.root, 0, "t"), where));
  };
  auto at = [&](std::string_view path) { return *Walk(w.context, w.context.cwd, path); };
  REQUIRE(attach(*w.context.mounts, at("/shared")) == 0);
  REQUIRE(w.Mkdir("/shared/x") == 0);
  REQUIRE(attach(*w.context.mounts, at("/private")) == 0);
  REQUIRE(w.context.mounts->ChangePropagation(at("/shared"), MS_SHARED).ok());
  absl::flat_hash_map<const Mount*, RefPtr<Mount>> peers, slaves;
  RefPtr<MountNamespace> with_peers = *w.context.mounts->Clone(w.context.mounts->user_ns(), &peers);
  // A less privileged user namespace's are slaves.
  RefPtr<UserNamespace> child = *UserNamespace::Make(w.context.mounts->user_ns(), 0, 0, true);
  RefPtr<MountNamespace> with_slaves = *w.context.mounts->Clone(child, &slaves);
  const int group = w.context.mounts->Mounts()[1].shared;
  CHECK(group != 0);
  CHECK(with_peers->Mounts()[1].shared == group);
  CHECK(with_slaves->Mounts()[1].shared == 0);
  CHECK(with_slaves->Mounts()[1].master == group);
  CHECK(with_slaves->Mounts()[2].master == 0);
  CHECK(attach(*w.context.mounts, at("/shared/x")) == 0);
  CHECK(with_peers->Mounts().size() == 4);
  CHECK(with_slaves->Mounts().size() == 4);
  // Slaves keep what they mount to themselves.
  VfsPath place{slaves[at("/shared").mount.get()], at("/shared").dentry};
  CHECK(attach(*with_slaves, place) == 0);
  CHECK(w.context.mounts->Mounts().size() == 4);
  CHECK(World::Code(w.context.mounts->Unmount(at("/shared/x"), 0)) == 0);
  CHECK(with_peers->Mounts().size() == 3);
}

TEST_CASE("a read-only mount refuses changes") {
  World w;
  w.Make("/f");
  w.context.root.mount->set_flags(MS_RDONLY);
  CHECK(w.Open("/f", O_RDWR).is(EROFS));
  CHECK(w.Open("/new", O_CREAT | O_RDWR).is(EROFS));
  CHECK(w.Open("/f", O_CREAT | O_RDONLY).ok());
  CHECK(w.Mkdir("/d") == EROFS);
  CHECK(w.Unlink("/f") == EROFS);
}

TEST_CASE("seals of a memfd hold") {
  World w;
  RefPtr<FileDescription> file = *CreateMemfd(*w.memory, "x", MFD_ALLOW_SEALING, w.context.creds);
  CHECK(file->Name() == "/memfd:x (deleted)");
  REQUIRE(Put(*file, "hello", 0) == 5);
  REQUIRE(file->FileCommand(F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW).ok());
  AttributeChange change;
  change.size = 4;
  CHECK(file->SetAttributes(change).is(EPERM));
  change.size = 6;
  CHECK(file->SetAttributes(change).is(EPERM));
  REQUIRE(file->FileCommand(F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL).ok());
  IoSequence from(std::as_bytes(std::span("x", 1)));
  CHECK(file->PWrite(from, 0).is(EPERM));
  CHECK(file->FileCommand(F_ADD_SEALS, F_SEAL_WRITE).is(EPERM));
  CHECK(file->ConfigureMMap(2, true).is(EPERM));
}

TEST_CASE("extended attributes") {
  World w;
  w.Make("/f");
  VfsPath path = *Walk(w.context, w.context.cwd, "/f");
  CHECK(VfsSetXattr(w.context, path, "user.a", "1", XATTR_REPLACE).is(ENODATA));
  CHECK(VfsSetXattr(w.context, path, "user.a", "1", XATTR_CREATE).ok());
  CHECK(VfsSetXattr(w.context, path, "user.a", "1", XATTR_CREATE).is(EEXIST));
  CHECK(VfsSetXattr(w.context, path, "trusted.b", "2", 0).ok());
  CHECK(*VfsGetXattr(w.context, path, "user.a") == "1");
  CHECK(VfsListXattrs(w.context, path)->size() == 2);
  CHECK(VfsSetXattr(w.context, path, "bogus.a", "1", 0).is(EOPNOTSUPP));
  w.As(1000);
  CHECK(VfsListXattrs(w.context, path)->size() == 1);
  CHECK(VfsGetXattr(w.context, path, "trusted.b").is(ENODATA));
  CHECK(VfsSetXattr(w.context, path, "user.a", "3", 0).is(EACCES));
}

TEST_CASE("inotify tells of what happens in a directory") {
  World w;
  REQUIRE(w.Mkdir("/d") == 0);
  RefPtr<InotifyFile> inotify = *InotifyFile::Create(O_NONBLOCK, 0);
  int watch = *inotify->AddWatch(Walk(w.context, w.context.cwd, "/d")->inode(), IN_ALL_EVENTS);
  w.Make("/d/f");
  REQUIRE(w.Rename("/d/f", "/d/g") == 0);
  REQUIRE(w.Unlink("/d/g") == 0);
  REQUIRE(w.Rmdir("/d") == 0);
  std::vector<std::byte> buffer(4096);
  IoSequence to{std::span<std::byte>(buffer)};
  size_t size = *inotify->Read(to);
  std::vector<std::pair<uint32_t, std::string>> events;
  for (size_t at = 0; at < size;) {
    inotify_event event;
    std::memcpy(&event, &buffer[at], sizeof(event));
    CHECK(event.wd == watch);
    std::string name = event.len != 0 ? reinterpret_cast<const char*>(&buffer[at + sizeof(event)]) : "";
    events.emplace_back(event.mask, name);
    at += sizeof(event) + event.len;
  }
  std::vector<std::pair<uint32_t, std::string>> expected = {
      {IN_CREATE, "f"},   {IN_OPEN, "f"},   {IN_CLOSE_WRITE, "f"}, {IN_MOVED_FROM, "f"},
      {IN_MOVED_TO, "g"}, {IN_DELETE, "g"}, {IN_DELETE_SELF, ""},  {IN_IGNORED, ""}};
  CHECK(events == expected);
  CHECK(inotify->Read(to).is(EAGAIN));
}

TEST_CASE("a very deep tree is taken down without recursion") {
  World w;
  VfsPath at = w.context.cwd;
  for (int i = 0; i < 50000; ++i) {
    REQUIRE(VfsMkdir(w.context, at, "d", 0755).ok());
    at = *Walk(w.context, at, "d");
  }
}

TEST_CASE("many threads in one directory") {
  World w;
  auto work = [&](int id) {
    for (int i = 0; i < 500; ++i) {
      std::string mine = "/t" + std::to_string(id), shared = "/s" + std::to_string(i % 7);
      (void)w.Open(mine, O_CREAT | O_RDWR);
      (void)w.Open(shared, O_CREAT | O_RDWR);
      (void)w.Rename(mine, shared);
      (void)w.Unlink(shared);
      (void)w.Mkdir("/dir", 0755);
      (void)w.Open("/dir/x", O_CREAT | O_RDWR);
      (void)w.Unlink("/dir/x");
      (void)w.Rmdir("/dir");
    }
  };
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) threads.emplace_back(work, id);
  for (std::thread& thread : threads) thread.join();
  RefPtr<FileDescription> dir = *w.Open("/", O_RDONLY);
  Names names;
  REQUIRE(dir->GetDents(names).ok());
  for (const std::string& name : names.names) CHECK(w.WalkCode("/" + name) == 0);
}

}  // namespace
}  // namespace runsc
