// Synthetic filesystems: files whose content the Sentry makes up (proc, sys, devpts).
//
// A directory is either fixed (StaticDirectory, filled before it is reached) or answers
// Lookup and Entries itself; a text file makes its content when it is read from the start;
// a symlink has a text or leads to an object.
// Threading: any thread; a static tree does not change once it is mounted.
// Linux counterpart: fs/kernfs, fs/proc/generic.c, seq_file.
#ifndef SENTRY_FSIMPL_KERNFS_H_
#define SENTRY_FSIMPL_KERNFS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sentry/vfs/file_description.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

class SyntheticInode : public Inode {
 public:
  // `mode` with S_IFMT. `ino` 0: the filesystem's next one.
  SyntheticInode(Filesystem& filesystem, uint32_t mode, Uid uid = 0, Gid gid = 0, uint64_t ino = 0);

  Result<InodeAttributes> Attributes() override;
  // A truncation of a writable file (O_TRUNC) changes nothing and succeeds; the rest is EPERM.
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override;

  // Whether a cached dentry must not be used any more (Filesystem::Revalidate).
  virtual bool IsStale() { return false; }

  uint64_t ino() const { return ino_; }
  uint32_t mode() const { return mode_; }

 private:
  const uint64_t ino_;
  const uint32_t mode_;
  const Uid uid_;
  const Gid gid_;
  const timespec born_;
};

// --- directories ---

struct SyntheticEntry {
  std::string name;
  uint64_t ino = 0;
  uint8_t type = 0;  // DT_*
  // Where the entry stands: ascending, from 0, and the same at every reading as far as entries come and go.
  uint64_t position = 0;
};

class SyntheticDirectory : public SyntheticInode {
 public:
  SyntheticDirectory(Filesystem& filesystem, uint32_t mode = 0555, Uid uid = 0, Gid gid = 0, uint64_t ino = 0)
      : SyntheticInode(filesystem, S_IFDIR | mode, uid, gid, ino) {}

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override = 0;
  // Everything but "." and "..". Called without locks.
  virtual Result<std::vector<SyntheticEntry>> Entries() = 0;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;
  // In procfs a name that is not there is an error of the lookup, before that of the creation.
  Result<RefPtr<Inode>> Create(Dentry&, std::string_view, const CreateAttributes&) override {
    return NoNewEntry();
  }
  Result<RefPtr<Inode>> Mkdir(Dentry&, std::string_view, const CreateAttributes&) override {
    return NoNewEntry();
  }

 private:
  Errno NoNewEntry() const { return Errno(filesystem().type_name() == "proc" ? ENOENT : EPERM); }
};

class StaticDirectory : public SyntheticDirectory {
 public:
  using SyntheticDirectory::SyntheticDirectory;
  // Before the directory is reached by anyone.
  void Add(std::string_view name, RefPtr<SyntheticInode> inode);
  // A directory below, made if it is not there: "kernel/random".
  StaticDirectory& Subdirectory(std::string_view path);

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override;
  Result<std::vector<SyntheticEntry>> Entries() override;
  Result<InodeAttributes> Attributes() override;
  bool IsAlwaysEmpty() const override { return children_.empty(); }

 private:
  std::vector<std::pair<std::string, RefPtr<SyntheticInode>>> children_;  // in the order added
};

// --- text files ---

class TextInode : public SyntheticInode {
 public:
  TextInode(Filesystem& filesystem, uint32_t mode, Uid uid = 0, Gid gid = 0, uint64_t ino = 0)
      : SyntheticInode(filesystem, S_IFREG | mode, uid, gid, ino) {}

  virtual Result<std::string> Generate() = 0;
  // One write(2), at most a page; takes all of it or fails.
  virtual Result<void> WriteText(std::string_view text) { return Errno(EIO); }
  // Checked when it is opened, behind the mode bits.
  virtual Result<void> CheckOpen(const OpenOptions& options) { return Ok(); }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;
};

// A text file of two functions.
class FunctionInode final : public TextInode {
 public:
  using Reader = std::function<Result<std::string>()>;
  using Writer = std::function<Result<void>(std::string_view)>;
  FunctionInode(Filesystem& filesystem, uint32_t mode, Reader reader, Writer writer = nullptr)
      : TextInode(filesystem, mode), reader_(std::move(reader)), writer_(std::move(writer)) {}
  Result<std::string> Generate() override { return reader_ ? reader_() : Result<std::string>(Errno(EIO)); }
  Result<void> WriteText(std::string_view text) override {
    return writer_ ? writer_(text) : Result<void>(Errno(EPERM));
  }

 private:
  const Reader reader_;
  const Writer writer_;
};

// A text that never changes.
RefPtr<SyntheticInode> MakeTextInode(Filesystem& filesystem, std::string text, uint32_t mode = 0444);

// The text of a file is made when it is read at offset 0 and kept for the reads behind it. Its
// generator takes the kernel's locks, so the offset has no lock that is held meanwhile.
class TextFile : public FileDescription {
 public:
  TextFile(VfsPath path, int flags, RefPtr<TextInode> inode);
  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override;
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override;
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> Sync(bool data_only) override { return Errno(EINVAL); }
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override;

 private:
  struct Text : RefCounted {
    std::string value;
  };
  const RefPtr<TextInode> text_inode_;
  std::atomic<uint64_t> offset_{0};
  Mutex mu_{LockRank::kLeaf};
  RefPtr<Text> text_ ABSL_GUARDED_BY(mu_);
};

// --- symlinks ---

class SymlinkInode : public SyntheticInode {
 public:
  SymlinkInode(Filesystem& filesystem, std::string target, uint64_t ino = 0)
      : SyntheticInode(filesystem, S_IFLNK | 0777, 0, 0, ino), target_(std::move(target)) {}
  Result<std::string> ReadLink(const Credentials& creds) override { return target_; }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    return Errno(ELOOP);
  }

 private:
  const std::string target_;
};

// A decimal number, white space around it allowed (what sysctl files take). EINVAL.
Result<int64_t> ParseNumber(std::string_view text);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_KERNFS_H_
