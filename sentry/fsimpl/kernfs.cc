#include "sentry/fsimpl/kernfs.h"

#include <dirent.h>

#include <algorithm>
#include <charconv>

#include "sentry/time/clock.h"

namespace runsc {

SyntheticInode::SyntheticInode(Filesystem& filesystem, uint32_t mode, Uid uid, Gid gid, uint64_t ino)
    : Inode(filesystem, mode & S_IFMT),
      ino_(ino != 0 ? ino : filesystem.NextInodeNumber()),
      mode_(mode),
      uid_(uid),
      gid_(gid),
      born_(RealtimeNow()) {}

Result<InodeAttributes> SyntheticInode::Attributes() {
  InodeAttributes attributes;
  attributes.mode = mode_;
  attributes.nlink = IsDirectory() ? 2 : 1;
  attributes.uid = uid_;
  attributes.gid = gid_;
  attributes.ino = ino_;
  attributes.device = filesystem().device();
  attributes.block_size = 1024;
  attributes.atime = attributes.mtime = attributes.ctime = born_;
  return attributes;
}

Result<void> SyntheticInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  if (change.mode || change.uid || change.gid) return Errno(EPERM);
  return Ok();
}

namespace {

constexpr uint64_t kFirstEntryOffset = 2;  // behind "." and ".."

class SyntheticDirectoryFile final : public FileDescription {
 public:
  SyntheticDirectoryFile(VfsPath path, int flags, RefPtr<SyntheticDirectory> directory)
      : FileDescription(std::move(path), flags), directory_(std::move(directory)) {}

  Result<size_t> Read(IoSequence& to) override { return Errno(EISDIR); }
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override { return Errno(EISDIR); }
  Result<void> Sync(bool data_only) override { return Errno(EINVAL); }

  Result<int64_t> Seek(int64_t offset, int whence) override {
    int64_t target = offset;
    if (whence == SEEK_CUR) {
      if (__builtin_add_overflow(static_cast<int64_t>(offset_.load()), offset, &target)) return Errno(EINVAL);
    } else if (whence != SEEK_SET) {
      return Errno(EINVAL);
    }
    if (target < 0) return Errno(EINVAL);
    offset_.store(target);
    return target;
  }

  Result<void> GetDents(DirectoryEmitter& emitter) override {
    uint64_t offset = offset_.load();
    if (offset == 0) {
      if (!emitter.Emit({".", directory_->ino(), DT_DIR, 1})) return Ok();
      offset_.store(offset = 1);
    }
    if (offset == 1) {
      RefPtr<Dentry> parent = dentry()->parent();
      uint64_t ino = directory_->ino();
      if (parent) {
        Result<InodeAttributes> attributes = parent->inode()->Attributes();
        if (attributes.ok()) ino = attributes->ino;
      }
      if (!emitter.Emit({"..", ino, DT_DIR, kFirstEntryOffset})) return Ok();
      offset_.store(offset = kFirstEntryOffset);
    }
    ASSIGN_OR_RETURN(std::vector<SyntheticEntry> entries, directory_->Entries());
    for (const SyntheticEntry& entry : entries) {
      uint64_t position = entry.position + kFirstEntryOffset;
      if (position < offset) continue;
      if (!emitter.Emit({entry.name, entry.ino, entry.type, position + 1})) return Ok();
      offset_.store(position + 1);
    }
    return Ok();
  }

 private:
  const RefPtr<SyntheticDirectory> directory_;
  std::atomic<uint64_t> offset_{0};
};

class FixedTextInode final : public TextInode {
 public:
  FixedTextInode(Filesystem& filesystem, uint32_t mode, std::string text)
      : TextInode(filesystem, mode), text_(std::move(text)) {}
  Result<std::string> Generate() override { return text_; }

 private:
  const std::string text_;
};

}  // namespace

Result<RefPtr<FileDescription>> SyntheticDirectory::Open(const VfsPath& path, const OpenOptions& options) {
  return RefPtr<FileDescription>(
      MakeRef<SyntheticDirectoryFile>(path, options.flags, RefPtr<SyntheticDirectory>(this)));
}

void StaticDirectory::Add(std::string_view name, RefPtr<SyntheticInode> inode) {
  children_.emplace_back(std::string(name), std::move(inode));
}

StaticDirectory& StaticDirectory::Subdirectory(std::string_view path) {
  size_t slash = path.find('/');
  std::string_view name = path.substr(0, slash);
  StaticDirectory* child = nullptr;
  for (auto& [child_name, inode] : children_) {
    if (child_name == name) child = static_cast<StaticDirectory*>(inode.get());
  }
  if (child == nullptr) {
    auto made = MakeRef<StaticDirectory>(filesystem(), mode() & 07777);
    child = made.get();
    Add(name, std::move(made));
  }
  return slash == std::string_view::npos ? *child : child->Subdirectory(path.substr(slash + 1));
}

Result<RefPtr<Inode>> StaticDirectory::Lookup(Dentry& dir, std::string_view name) {
  for (const auto& [child_name, inode] : children_) {
    if (child_name == name) return RefPtr<Inode>(inode);
  }
  return Errno(ENOENT);
}

Result<std::vector<SyntheticEntry>> StaticDirectory::Entries() {
  std::vector<SyntheticEntry> entries;
  entries.reserve(children_.size());
  for (const auto& [name, inode] : children_)
    entries.push_back({name, inode->ino(), static_cast<uint8_t>(IFTODT(inode->mode())), entries.size()});
  return entries;
}

Result<InodeAttributes> StaticDirectory::Attributes() {
  ASSIGN_OR_RETURN(InodeAttributes attributes, SyntheticInode::Attributes());
  for (const auto& [name, inode] : children_) attributes.nlink += inode->IsDirectory() ? 1 : 0;
  return attributes;
}

Result<RefPtr<FileDescription>> TextInode::Open(const VfsPath& path, const OpenOptions& options) {
  RETURN_IF_ERROR(CheckOpen(options));
  return RefPtr<FileDescription>(MakeRef<TextFile>(path, options.flags, RefPtr<TextInode>(this)));
}

RefPtr<SyntheticInode> MakeTextInode(Filesystem& filesystem, std::string text, uint32_t mode) {
  return MakeRef<FixedTextInode>(filesystem, mode, std::move(text));
}

TextFile::TextFile(VfsPath path, int flags, RefPtr<TextInode> inode)
    : FileDescription(std::move(path), flags), text_inode_(std::move(inode)) {}

// Of /proc Linux's proc_reg_mmap() answers for the files of the system, and nobody for those of a task, which
// are told by their number (TaskFileIno()).
Result<RefPtr<MappedObject>> TextFile::ConfigureMMap(int prot, bool shared) {
  constexpr int kTaskBits = 32;
  const bool of_system = inode()->filesystem().type_name() == "proc" && text_inode_->ino() >> kTaskBits == 0;
  return Errno(of_system ? EIO : ENODEV);
}

Result<size_t> TextFile::Read(IoSequence& to) {
  uint64_t offset = offset_.load();
  ASSIGN_OR_RETURN(size_t done, PRead(to, offset));
  offset_.compare_exchange_strong(offset, offset + done);
  return done;
}

Result<size_t> TextFile::PRead(IoSequence& to, uint64_t offset) {
  RefPtr<Text> text;
  if (offset != 0) {
    MutexLock lock(mu_);
    text = text_;
  }
  if (!text) {
    text = MakeRef<Text>();
    ASSIGN_OR_RETURN(text->value, text_inode_->Generate());
    RefPtr<Text> old = text;
    MutexLock lock(mu_);
    std::swap(text_, old);
  }
  if (offset >= text->value.size()) return size_t{0};
  return to.CopyOut(std::as_bytes(std::span(text->value).subspan(offset)));
}

Result<size_t> TextFile::Write(IoSequence& from) {
  uint64_t offset = offset_.load();
  ASSIGN_OR_RETURN(size_t done, PWrite(from, offset));
  offset_.compare_exchange_strong(offset, offset + done);
  return done;
}

Result<size_t> TextFile::PWrite(IoSequence& from, uint64_t offset) {
  std::string text(std::min<size_t>(from.size(), kPageSize), '\0');
  ASSIGN_OR_RETURN(size_t got, from.CopyIn(std::as_writable_bytes(std::span(text))));
  text.resize(got);
  RETURN_IF_ERROR(text_inode_->WriteText(text));
  return got;
}

Result<int64_t> TextFile::Seek(int64_t offset, int whence) {
  int64_t target = offset;
  switch (whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      if (__builtin_add_overflow(static_cast<int64_t>(offset_.load()), offset, &target)) return Errno(EINVAL);
      break;
    default:
      return Errno(EINVAL);
  }
  if (target < 0) return Errno(EINVAL);
  offset_.store(target);
  return target;
}

Result<int64_t> ParseNumber(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  size_t start = text.find_first_not_of(kSpace);
  if (start == std::string_view::npos) return Errno(EINVAL);
  text = text.substr(start, text.find_last_not_of(kSpace) - start + 1);
  if (text.front() == '+') text.remove_prefix(1);
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return Errno(EINVAL);
  return value;
}

}  // namespace runsc
