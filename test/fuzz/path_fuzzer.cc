// Paths of a hostile guest through the vfs and tmpfs: a script of operations (make, link, rename, remove,
// open, walk with every RESOLVE_ flag) on names made of a few pieces, so that loops, "..", long names and
// deleted directories come up often. Also the options of mount(2) for tmpfs.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "sentry/fsimpl/tmpfs.h"
#include "sentry/vfs/path_walk.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {
namespace {

constexpr uint64_t kMemory = 16 << 20;
constexpr int kMaxOperations = 60;
constexpr const char* kPieces[] = {"a", "b", "c", "..", ".", "/", "//", "a/b", "l", "m", "/l/", "/a/"};

std::string Path(InputReader& input) {
  std::string path;
  for (size_t n = input.Below(6); n > 0; --n) {
    size_t choice = input.Below(std::size(kPieces) + 3);
    if (choice < std::size(kPieces)) {
      path.append(path.empty() || path.back() == '/' ? "" : "/").append(kPieces[choice]);
    } else if (choice == std::size(kPieces)) {
      path.append(input.Below(600), 'x');
    } else if (choice == std::size(kPieces) + 1) {
      path.append(input.Below(5000), '/');
    } else {
      path += input.Take(input.Below(8));
    }
  }
  return path;
}

class Names final : public DirectoryEmitter {
 public:
  bool Emit(const DirectoryEntry& entry) override {
    CHECK(!entry.name.empty() && entry.name.size() <= 255);
    CHECK(entry.name.find('/') == std::string_view::npos);
    return ++count < 1000;
  }
  int count = 0;
};

class World {
 public:
  explicit World(MemoryFile& memory) {
    NewFilesystem made = MakeTmpfs(memory, TmpfsOptions{.max_bytes = 1 << 20, .max_inodes = 200});
    context_.mounts = MakeRef<MountNamespace>(MakeRef<Mount>(made.filesystem, made.root, 0, "tmpfs"));
    context_.root = context_.cwd = context_.mounts->Root();
    context_.creds = Credentials::Root();
  }

  void Step(InputReader& input) {
    std::string path = Path(input);
    const VfsPath& start = context_.cwd;
    switch (input.Below(14)) {
      case 0:
        (void)VfsMkdir(context_, start, path, input.Value<uint16_t>()).ok();
        break;
      case 1:
        (void)VfsSymlink(context_, Path(input), start, path).ok();
        break;
      case 2:
        (void)VfsRename(context_, start, path, start, Path(input), static_cast<uint32_t>(input.Below(8)))
            .ok();
        break;
      case 3:
        (void)VfsUnlink(context_, start, path).ok();
        break;
      case 4:
        (void)VfsRmdir(context_, start, path).ok();
        break;
      case 5:
        Open(path, input);
        break;
      case 6: {
        auto found = Walk(context_, start, path, {.follow_final = input.Below(2) != 0});
        if (found.ok()) (void)VfsLink(context_, *found, start, Path(input)).ok();
        break;
      }
      case 7: {
        auto found = Walk(context_, start, path, {.must_be_directory = true});
        if (found.ok()) context_.cwd = *found;
        break;
      }
      case 8:
        (void)VfsMknod(context_, start, path, input.Value<uint16_t>(), input.Value<uint64_t>()).ok();
        break;
      case 9: {
        auto found = Walk(context_, start, path, {.must_be_directory = true});
        if (found.ok() && input.Below(4) == 0) context_.root = *found;
        break;
      }
      case 10:
        As(input.Below(2) == 0 ? 0 : 1000);
        break;
      case 11: {
        auto found = Walk(context_, start, path);
        if (found.ok()) Change(*found, input);
        break;
      }
      default: {
        WalkOptions options;
        options.follow_final = input.Below(2) != 0;
        options.allow_empty = input.Below(2) != 0;
        options.resolve = input.Value<uint8_t>() & 0x1f;
        auto found = Walk(context_, start, path, options);
        if (found.ok()) {
          CHECK(found->dentry && found->mount && found->inode());
          std::string text = MountNamespace::PathText(*found, context_.root);
          CHECK(text.find('/') != std::string::npos);
        }
      }
    }
  }

 private:
  void Open(const std::string& path, InputReader& input) {
    OpenHow how{input.Value<uint32_t>(), static_cast<uint64_t>(input.Value<uint16_t>() & 07777),
                static_cast<uint64_t>(input.Value<uint8_t>() & 0x1f)};
    if (input.Below(2) != 0) how.flags &= O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY | O_NOFOLLOW;
    auto file = VfsOpen(context_, context_.cwd, path, how);
    if (!file.ok()) return;
    Names names;
    (void)(*file)->GetDents(names).ok();
    std::string text(100, 'x');
    IoSequence from(std::as_bytes(std::span(text)));
    (void)(*file)->PWrite(from, input.Below(1 << 20)).ok();
    (void)(*file)->Seek(input.Value<int64_t>(), static_cast<int>(input.Below(6))).ok();
    IoSequence to(std::as_writable_bytes(std::span(text)));
    (void)(*file)->Read(to).ok();
  }
  void Change(const VfsPath& path, InputReader& input) {
    (void)VfsChmod(context_, path, input.Value<uint16_t>()).ok();
    (void)VfsChown(context_, path, input.Value<uint16_t>(), input.Value<uint16_t>()).ok();
    (void)VfsTruncate(context_, path, input.Value<uint64_t>()).ok();
    std::string name = input.Below(2) != 0 ? "user.a" : std::string(input.Take(8));
    (void)VfsSetXattr(context_, path, name, input.Take(20), static_cast<int>(input.Below(4))).ok();
    (void)VfsGetXattr(context_, path, name).ok();
    (void)VfsListXattrs(context_, path).ok();
  }
  void As(Uid uid) {
    RefPtr<Credentials> creds = context_.creds->Clone();
    creds->fsuid = creds->euid = uid;
    creds->fsgid = creds->egid = uid;
    context_.creds = uid == 0 ? Credentials::Root() : RefPtr<const Credentials>(std::move(creds));
  }

  PathContext context_;
};

}  // namespace

std::vector<std::string> Seeds() {
  // Make a, link l to a, walk l, rename a to b, open c.
  return {Text("\1\0\0\1\1\1\1\0\0\xff\1\1\1\x08\x0d\1\1\xff"), "size=64m,mode=755,nr_inodes=5,uid=1,gid=2",
          "size=50%,mode=1777"};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  static const std::unique_ptr<MemoryFile> memory = *MemoryFile::Create(fuzz::kMemory);
  (void)ParseTmpfsOptions({reinterpret_cast<const char*>(data), size}, fuzz::kMemory).ok();
  fuzz::InputReader input(data, size);
  fuzz::World world(*memory);
  for (int i = 0; i < fuzz::kMaxOperations && !input.empty(); ++i) world.Step(input);
  return 0;
}
