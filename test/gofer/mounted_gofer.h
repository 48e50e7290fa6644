// A guest's view of a filesystem under test: a mount namespace with it as the root, and short
// forms of the vfs calls.
#ifndef TEST_GOFER_MOUNTED_GOFER_H_
#define TEST_GOFER_MOUNTED_GOFER_H_

#include <algorithm>
#include <string>
#include <vector>

#include "sentry/fsimpl/gofer_filesystem.h"
#include "sentry/vfs/operation.h"
#include "sentry/vfs/path_walk.h"
#include "test/gofer/gofer_fixture.h"

namespace runsc {

class NameCollector final : public DirectoryEmitter {
 public:
  bool Emit(const DirectoryEntry& entry) override {
    names.emplace_back(entry.name);
    inos.emplace_back(entry.ino);
    return true;
  }
  std::vector<std::string> names;
  std::vector<uint64_t> inos;
};

class Guest {
 public:
  explicit Guest(NewFilesystem made) {
    auto mount = MakeRef<Mount>(made.filesystem, made.root, 0, "none");
    context.mounts = MakeRef<MountNamespace>(std::move(mount));
    context.root = context.cwd = context.mounts->Root();
    context.creds = Credentials::Root();
    context.umask = 0;
  }

  Result<RefPtr<FileDescription>> Open(std::string_view path, int flags, uint64_t mode = 0644) {
    OperationScope operation;
    return VfsOpen(context, context.root, path,
                   OpenHow{static_cast<uint64_t>(flags), (flags & O_CREAT) != 0 ? mode : 0, 0});
  }
  Result<std::string> Read(std::string_view path) {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, Open(path, O_RDONLY));
    return ReadAll(*file);
  }
  static Result<std::string> ReadAll(FileDescription& file) {
    std::string text(64 << 10, '\0');
    IoSequence to(std::as_writable_bytes(std::span(text)));
    ASSIGN_OR_RETURN(size_t size, file.Read(to));
    text.resize(size);
    return text;
  }
  static Result<size_t> WriteTo(FileDescription& file, const std::string& text) {
    IoSequence from(std::as_bytes(std::span(text)));
    return file.Write(from);
  }
  Result<void> Write(std::string_view path, const std::string& text, int flags = O_CREAT | O_TRUNC) {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, Open(path, O_WRONLY | flags));
    RETURN_IF_ERROR(WriteTo(*file, text));
    return Ok();
  }
  Result<InodeAttributes> Stat(std::string_view path) {
    OperationScope operation;
    ASSIGN_OR_RETURN(VfsPath found, Walk(context, context.root, path, {.follow_final = false}));
    return found.inode()->Attributes();
  }
  std::vector<std::string> List(std::string_view path) {
    auto file = Open(path, O_RDONLY | O_DIRECTORY);
    if (!file.ok()) return {"error"};
    NameCollector collector;
    if (!(*file)->GetDents(collector).ok()) return {"error"};
    std::sort(collector.names.begin(), collector.names.end());
    return collector.names;
  }
  Result<void> Mkdir(std::string_view path) {
    OperationScope operation;
    return VfsMkdir(context, context.root, path, 0755);
  }
  Result<void> Unlink(std::string_view path) {
    OperationScope operation;
    return VfsUnlink(context, context.root, path);
  }
  Result<void> Rmdir(std::string_view path) {
    OperationScope operation;
    return VfsRmdir(context, context.root, path);
  }
  Result<void> Rename(std::string_view from, std::string_view to, uint32_t flags = 0) {
    OperationScope operation;
    return VfsRename(context, context.root, from, context.root, to, flags);
  }
  Result<void> Symlink(std::string_view target, std::string_view path) {
    OperationScope operation;
    return VfsSymlink(context, target, context.root, path);
  }
  Result<void> Link(std::string_view from, std::string_view to) {
    OperationScope operation;
    ASSIGN_OR_RETURN(VfsPath found, Walk(context, context.root, from, {.follow_final = false}));
    return VfsLink(context, found, context.root, to);
  }
  Result<VfsPath> Find(std::string_view path) {
    OperationScope operation;
    return Walk(context, context.root, path);
  }

  PathContext context;
};

inline NewFilesystem MountGofer(gofer::ThreadedGofer& server, bool exclusive, uint32_t root = 0) {
  auto connection = MakeRef<GoferConnection>(std::move(server.socket), nullptr);
  return GoferFilesystem::Make(
             std::move(connection),
             GoferMountOptions{.root = root, .exclusive = exclusive, .read_only = root == 1})
      .value();
}

}  // namespace runsc

#endif  // TEST_GOFER_MOUNTED_GOFER_H_
