#include "sentry/fsimpl/tmpfs.h"

#include <limits.h>
#include <linux/magic.h>
#include <linux/memfd.h>

#include <charconv>

#include "absl/container/flat_hash_map.h"
#include "sentry/fsimpl/tmpfs_inode.h"

namespace runsc {

namespace {

constexpr uint32_t kSealExec = 0x20;        // F_SEAL_EXEC
constexpr int kLargeFile = 0100000;         // the kernel's O_LARGEFILE; glibc hides it
constexpr uint32_t kMemfdNoexecSeal = 0x8;  // MFD_NOEXEC_SEAL
constexpr uint32_t kMemfdExec = 0x10;       // MFD_EXEC

template <typename T>
bool ParseNumber(std::string_view text, int base, T* value, std::string_view* rest) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  *rest = text.substr(static_cast<size_t>(end - text.data()));
  return error == std::errc();
}

// Linux: memparse(), and "%" of the total.
Result<uint64_t> ParseSize(std::string_view text, uint64_t total) {
  uint64_t value = 0;
  std::string_view rest;
  if (!ParseNumber(text, 10, &value, &rest)) return Errno(EINVAL);
  if (rest == "%") {
    if (value > 100 || __builtin_mul_overflow(total / 100, value, &value)) return Errno(EINVAL);
    return value;
  }
  int shift = 0;
  if (!rest.empty()) {
    switch (rest.front() | 0x20) {
      case 'k':
        shift = 10;
        break;
      case 'm':
        shift = 20;
        break;
      case 'g':
        shift = 30;
        break;
      case 't':
        shift = 40;
        break;
      default:
        return Errno(EINVAL);
    }
    if (rest.size() != 1) return Errno(EINVAL);
  }
  if (__builtin_mul_overflow(value, uint64_t{1} << shift, &value)) return Errno(EINVAL);
  return value;
}

Result<void> ParseOption(std::string_view option, uint64_t total, TmpfsOptions* options) {
  size_t equals = option.find('=');
  std::string_view key = option.substr(0, equals);
  std::string_view value = equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  std::string_view rest;
  if (key == "size" || key == "nr_blocks") {
    ASSIGN_OR_RETURN(uint64_t amount, ParseSize(value, total));
    if (key == "nr_blocks" && __builtin_mul_overflow(amount, kPageSize, &amount)) return Errno(EINVAL);
    std::optional<uint64_t> rounded = PageRoundUp(amount);
    if (!rounded) return Errno(EINVAL);
    options->max_bytes = *rounded;
    return Ok();
  }
  if (key == "nr_inodes") {
    ASSIGN_OR_RETURN(options->max_inodes, ParseSize(value, total));
    return Ok();
  }
  if (key == "mode") {
    if (!ParseNumber(value, 8, &options->root_mode, &rest) || !rest.empty()) return Errno(EINVAL);
    options->root_mode &= 07777;
    return Ok();
  }
  if (key == "uid")
    return ParseNumber(value, 10, &options->uid, &rest) && rest.empty() ? Ok() : Errno(EINVAL);
  if (key == "gid")
    return ParseNumber(value, 10, &options->gid, &rest) && rest.empty() ? Ok() : Errno(EINVAL);
  // Hints that change nothing here.
  if (key == "huge" && value != "never" && value != "always" && value != "within_size" && value != "advise")
    return Errno(EINVAL);
  if (key == "huge" || key == "mpol" || key == "inode32" || key == "inode64" || key == "noswap") return Ok();
  return Errno(EINVAL);
}

Result<void> ParseOptions(std::string_view text, uint64_t total, TmpfsOptions* options) {
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view option = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (!option.empty()) RETURN_IF_ERROR(ParseOption(option, total, options));
  }
  return Ok();
}

class TmpfsType final : public FilesystemType {
 public:
  TmpfsType(MemoryFile& memory_file, std::string_view type_name)
      : memory_file_(memory_file), type_name_(type_name) {}
  std::string_view name() const override { return type_name_; }
  bool may_be_mounted_by_all() const override { return type_name_ != "devtmpfs"; }
  Result<NewFilesystem> Make(const FilesystemSource& source) override {
    ASSIGN_OR_RETURN(TmpfsOptions options,
                     ParseTmpfsOptions(source.options, memory_file_.limit(), source.creds));
    return MakeTmpfs(memory_file_, options, type_name_);
  }
  std::vector<std::string_view> option_names() const override {
    return {"size", "nr_blocks", "nr_inodes", "mode",    "uid",   "gid",
            "huge", "mpol",      "inode32",   "inode64", "noswap"};
  }
  Result<void> CheckOptions(std::string_view text) const override {
    TmpfsOptions options;
    return ParseOptions(text, memory_file_.limit(), &options);
  }

 private:
  MemoryFile& memory_file_;
  const std::string type_name_;
};

// Where files without a name live: one instance for a memory file, for ever.
RefPtr<Mount> InternalMount(MemoryFile& memory_file) {
  static Mutex* mu = new Mutex(LockRank::kAny);
  static auto* mounts = new absl::flat_hash_map<MemoryFile*, RefPtr<Mount>>;
  MutexLock lock(*mu);
  RefPtr<Mount>& mount = (*mounts)[&memory_file];
  if (!mount) {
    NewFilesystem made = MakeTmpfs(memory_file, TmpfsOptions{});
    mount = MakeRef<Mount>(made.filesystem, made.root, MS_NOSUID | MS_NODEV, "none");
  }
  return mount;
}

VfsPath UnnamedFile(MemoryFile& memory_file, std::string name, const CreateAttributes& attributes,
                    uint32_t seals) {
  RefPtr<Mount> mount = InternalMount(memory_file);
  auto& filesystem = static_cast<TmpfsFilesystem&>(mount->filesystem());
  CHECK(filesystem.ChargeInode());  // it has no limit
  auto inode = MakeRef<TmpfsRegular>(filesystem, attributes);
  inode->ChangeLinks(-1);
  inode->SetInitialSeals(seals);
  auto dentry = MakeRef<Dentry>(filesystem, std::move(inode), std::move(name));
  dentry->MarkDeleted();
  return VfsPath{std::move(mount), std::move(dentry)};
}

}  // namespace

Result<FilesystemStats> TmpfsFilesystem::Stats() {
  FilesystemStats stats;
  stats.type = TMPFS_MAGIC;
  uint64_t used = used_bytes_.load(std::memory_order_relaxed);
  uint64_t limit = max_bytes_;
  if (limit == 0) {
    uint64_t free = memory_file_.limit() - std::min(memory_file_.limit(), memory_file_.allocated_bytes());
    limit = used + free;
  }
  stats.blocks = limit / kPageSize;
  stats.blocks_free = stats.blocks_available = (limit - std::min(limit, used)) / kPageSize;
  uint64_t inodes = used_inodes_.load(std::memory_order_relaxed);
  stats.files = max_inodes_ != 0 ? max_inodes_.load() : std::max(stats.blocks, inodes);
  stats.files_free = stats.files - std::min(stats.files, inodes);
  return stats;
}

std::string TmpfsFilesystem::MountOptions() const {
  std::string text;
  auto add = [&](const std::string& option) { text.append(text.empty() ? "" : ",").append(option); };
  if (max_bytes_ != 0) add("size=" + std::to_string(max_bytes_ >> 10) + "k");
  if (max_inodes_ != 0) add("nr_inodes=" + std::to_string(max_inodes_));
  if (options_.root_mode != 01777) {
    char mode[16];
    snprintf(mode, sizeof(mode), "mode=%o", options_.root_mode);
    add(mode);
  }
  if (options_.uid != 0) add("uid=" + std::to_string(options_.uid));
  if (options_.gid != 0) add("gid=" + std::to_string(options_.gid));
  return text;
}

bool TmpfsFilesystem::ChargeBytes(uint64_t bytes) {
  uint64_t used = used_bytes_.load(std::memory_order_relaxed);
  do {
    if (max_bytes_ != 0 && (used > max_bytes_ || bytes > max_bytes_ - used)) return false;
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

bool TmpfsFilesystem::ChargeInode() {
  uint64_t used = used_inodes_.load(std::memory_order_relaxed);
  do {
    if (max_inodes_ != 0 && used >= max_inodes_) return false;
  } while (!used_inodes_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed));
  return true;
}

Result<void> TmpfsFilesystem::Reconfigure(std::string_view text) {
  TmpfsOptions options = options_;
  options.max_bytes = max_bytes_;
  options.max_inodes = max_inodes_;
  RETURN_IF_ERROR(ParseOptions(text, memory_file_.limit(), &options));
  auto is_too_small = [](uint64_t limit, uint64_t old, uint64_t used) {
    return limit != 0 && (old == 0 || used > limit);
  };
  if (options.max_bytes != max_bytes_ && is_too_small(options.max_bytes, max_bytes_, used_bytes_))
    return Errno(EINVAL);
  if (options.max_inodes != max_inodes_ && is_too_small(options.max_inodes, max_inodes_, used_inodes_))
    return Errno(EINVAL);
  max_bytes_ = options.max_bytes;
  max_inodes_ = options.max_inodes;
  return Ok();
}

Result<TmpfsOptions> ParseTmpfsOptions(std::string_view text, uint64_t total,
                                       const RefPtr<const Credentials>& creds) {
  TmpfsOptions options;
  options.max_bytes = PageRoundDown(total / 2);
  options.uid = options.gid = kNoId;
  RETURN_IF_ERROR(ParseOptions(text, total, &options));
  const UserNamespace& space = creds ? *creds->user_ns : UserNamespace::Initial();
  const bool gives_uid = options.uid != kNoId, gives_gid = options.gid != kNoId;
  options.uid = gives_uid ? space.ToKernelUid(options.uid) : creds ? creds->fsuid : 0;
  options.gid = gives_gid ? space.ToKernelGid(options.gid) : creds ? creds->fsgid : 0;
  if (!space.MapsUid(options.uid) || !space.MapsGid(options.gid)) return Errno(EINVAL);
  return options;
}

NewFilesystem MakeTmpfs(MemoryFile& memory_file, const TmpfsOptions& options, std::string_view type_name) {
  auto filesystem = MakeRef<TmpfsFilesystem>(memory_file, options, type_name);
  CHECK(filesystem->ChargeInode());  // the first one
  CreateAttributes attributes{S_IFDIR | options.root_mode, options.uid, options.gid, 0};
  auto root = MakeRef<Dentry>(*filesystem, MakeRef<TmpfsDirectory>(*filesystem, attributes), "/");
  return NewFilesystem{std::move(filesystem), std::move(root)};
}

std::unique_ptr<FilesystemType> MakeTmpfsType(MemoryFile& memory_file, std::string_view type_name) {
  return std::make_unique<TmpfsType>(memory_file, type_name);
}

Result<RefPtr<FileDescription>> CreateMemfd(MemoryFile& memory_file, std::string_view name, uint32_t flags,
                                            const RefPtr<const Credentials>& creds) {
  constexpr std::string_view kPrefix = "/memfd:";
  if (name.size() > NAME_MAX - (kPrefix.size() - 1)) return Errno(EINVAL);
  bool no_exec = (flags & kMemfdNoexecSeal) != 0;
  if (no_exec && (flags & kMemfdExec) != 0) return Errno(EINVAL);
  uint32_t mode = S_IFREG | (no_exec ? 0666 : 0777);
  uint32_t seals = (flags & MFD_ALLOW_SEALING) != 0 ? 0 : F_SEAL_SEAL;
  if (no_exec) seals = kSealExec;
  VfsPath path = UnnamedFile(memory_file, std::string(kPrefix).append(name),
                             CreateAttributes{mode, creds->fsuid, creds->fsgid, 0}, seals);
  return RefPtr<FileDescription>(MakeRef<TmpfsFile>(std::move(path), O_RDWR | kLargeFile));
}

Result<RefPtr<FileDescription>> CreateSharedMemory(MemoryFile& memory_file, std::string_view name,
                                                   uint64_t size) {
  VfsPath path =
      UnnamedFile(memory_file, std::string(name), CreateAttributes{S_IFREG | 0777, 0, 0, 0}, F_SEAL_SEAL);
  AttributeChange change;
  change.size = size;
  RETURN_IF_ERROR(path.inode()->SetAttributes(*path.dentry, change));
  return RefPtr<FileDescription>(MakeRef<TmpfsFile>(std::move(path), O_RDWR | kLargeFile));
}

}  // namespace runsc
