#include "sentry/fsimpl/dev.h"

#include <sys/random.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "sentry/fsimpl/tmpfs.h"
#include "sentry/vfs/special_file.h"

namespace runsc {
namespace {

constexpr uint32_t kMemoryMajor = 1;

// A device that has no position: lseek(2) answers 0, as null_lseek does.
class DeviceFile : public FileDescription {
 public:
  using FileDescription::FileDescription;
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override { return Read(to); }
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override { return Write(from); }
  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }
  bool has_offset() const override { return true; }

 protected:
  static size_t SkipAll(IoSequence& from) {
    size_t size = from.size();
    from.Skip(size);
    return size;
  }
};

class NullFile final : public DeviceFile {
 public:
  using DeviceFile::DeviceFile;
  Result<size_t> Read(IoSequence& to) override { return size_t{0}; }
  Result<size_t> Write(IoSequence& from) override { return SkipAll(from); }
};

class ZeroFile final : public DeviceFile {
 public:
  ZeroFile(VfsPath path, int flags, MemoryFile& memory_file)
      : DeviceFile(std::move(path), flags), memory_file_(memory_file) {}
  Result<size_t> Read(IoSequence& to) override { return to.ZeroOut(to.size()); }
  Result<size_t> Write(IoSequence& from) override { return SkipAll(from); }
  // A private mapping is anonymous memory; a shared one is a nameless object of its own.
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override {
    if (!shared) return RefPtr<MappedObject>();
    constexpr uint64_t kAddressSpace = uint64_t{1} << 47;
    ASSIGN_OR_RETURN(RefPtr<FileDescription> memory,
                     CreateSharedMemory(memory_file_, "/dev/zero", kAddressSpace));
    return RefPtr<MappedObject>(std::move(memory));
  }

 private:
  MemoryFile& memory_file_;
};

class FullFile final : public DeviceFile {
 public:
  using DeviceFile::DeviceFile;
  Result<size_t> Read(IoSequence& to) override { return to.ZeroOut(to.size()); }
  Result<size_t> Write(IoSequence& from) override { return Errno(ENOSPC); }
};

class RandomFile final : public DeviceFile {
 public:
  using DeviceFile::DeviceFile;
  Result<size_t> Read(IoSequence& to) override {
    std::array<std::byte, 4096> buffer;
    size_t done = 0;
    while (!to.empty()) {
      size_t want = std::min(buffer.size(), to.size());
      ssize_t got = getrandom(buffer.data(), want, 0);
      if (got < 0) return done > 0 ? Result<size_t>(done) : HostErrno();
      Result<size_t> moved = to.CopyOut(std::span(buffer).first(got));
      if (!moved.ok()) return done > 0 ? Result<size_t>(done) : moved;
      done += *moved;
      if (*moved < static_cast<size_t>(got)) break;
    }
    return done;
  }
  // Stirs nothing: the host's generator needs no help. But it has to be there.
  Result<size_t> Write(IoSequence& from) override {
    std::array<std::byte, 4096> buffer;
    size_t done = 0;
    while (!from.empty()) {
      const size_t want = std::min(buffer.size(), from.size());
      Result<size_t> moved = from.CopyIn(std::span(buffer).first(want));
      if (!moved.ok()) return done > 0 ? Result<size_t>(done) : moved;
      done += *moved;
      if (*moved < want) break;
    }
    return done;
  }
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override {
    constexpr uint32_t kGetEntropyCount = 0x80045200;  // RNDGETENTCNT
    if (request != kGetEntropyCount) return Errno(EINVAL);
    RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{256}));
    return 0;
  }
  WaitQueue* wait_queue() override {
    static WaitQueue* const always_ready = new WaitQueue;  // nothing ever notifies it
    return always_ready;
  }
};

template <typename File>
SpecialFileOpener Opener() {
  return [](const VfsPath& path, const OpenOptions& options) -> Result<RefPtr<FileDescription>> {
    return RefPtr<FileDescription>(MakeRef<File>(path, options.flags));
  };
}

Result<void> Have(Result<RefPtr<Inode>> made, Dentry& dir, std::string_view name) {
  if (made.is(EEXIST)) return Ok();
  if (!made.ok()) return made.error();
  if (!dir.FindChild(name)) dir.AddChild(name, std::move(*made));
  return Ok();
}

}  // namespace

void RegisterMemoryDevices(MemoryFile& memory_file) {
  DeviceRegistry& registry = DeviceRegistry::Get();
  registry.Register(S_IFCHR, kMemoryMajor, 3, 1, Opener<NullFile>());
  registry.Register(
      S_IFCHR, kMemoryMajor, 5, 1, [&memory_file](const VfsPath& path, const OpenOptions& options) {
        return Result<RefPtr<FileDescription>>(MakeRef<ZeroFile>(path, options.flags, memory_file));
      });
  registry.Register(S_IFCHR, kMemoryMajor, 7, 1, Opener<FullFile>());
  registry.Register(S_IFCHR, kMemoryMajor, 8, 2, Opener<RandomFile>());
}

Result<void> PopulateDev(Dentry& root) {
  struct Node {
    const char* name;
    uint32_t mode, major, minor;
  };
  static constexpr Node kNodes[] = {{"null", 0666, 1, 3},   {"zero", 0666, 1, 5},    {"full", 0666, 1, 7},
                                    {"random", 0666, 1, 8}, {"urandom", 0666, 1, 9}, {"tty", 0666, 5, 0}};
  static constexpr const char* kLinks[][2] = {{"fd", "/proc/self/fd"},
                                              {"stdin", "/proc/self/fd/0"},
                                              {"stdout", "/proc/self/fd/1"},
                                              {"stderr", "/proc/self/fd/2"},
                                              {"ptmx", "pts/ptmx"}};
  RefPtr<Inode> inode = root.inode();
  MutexLock lock(inode->directory_lock());
  for (const Node& node : kNodes) {
    CreateAttributes attributes{S_IFCHR | node.mode, 0, 0, makedev(node.major, node.minor)};
    RETURN_IF_ERROR(Have(inode->Mknod(root, node.name, attributes), root, node.name));
  }
  for (const auto& [name, target] : kLinks)
    RETURN_IF_ERROR(Have(inode->Symlink(root, name, target, {S_IFLNK | 0777}), root, name));
  return Ok();
}

Result<void> PopulateDevWithMountPoints(Dentry& root) {
  static constexpr struct {
    const char* name;
    uint32_t mode;
  } kDirectories[] = {{"pts", 0755}, {"shm", 01777}, {"mqueue", 01777}};
  RETURN_IF_ERROR(PopulateDev(root));
  RefPtr<Inode> inode = root.inode();
  MutexLock lock(inode->directory_lock());
  for (const auto& directory : kDirectories)
    RETURN_IF_ERROR(
        Have(inode->Mkdir(root, directory.name, {S_IFDIR | directory.mode}), root, directory.name));
  return Ok();
}

}  // namespace runsc
