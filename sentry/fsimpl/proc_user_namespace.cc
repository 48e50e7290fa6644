// /proc/<pid>/uid_map, gid_map, projid_map and setgroups; /proc/sys/user. user_namespaces(7).
//
// A descriptor may reach somebody with other rights than its opener, as the output of a set-user-ID program.
// So what the opener may do counts, and, where that program's own rights would be used, what it may do too.
// Linux counterpart: kernel/user_namespace.c.
#include <array>
#include <charconv>

#include "sentry/fsimpl/proc_internal.h"

namespace runsc {
namespace {

using Kind = UserNamespace::Kind;
using Extent = IdMap::Extent;

// Of Linux's isspace().
constexpr std::string_view kSpace = " \t\n\v\f\r";

// --- parsing ---

void SkipSpace(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
}

// A number and, but for the last one, white space behind it.
Result<uint32_t> TakeNumber(std::string_view& text, bool is_last) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return Errno(EINVAL);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  const bool has_space = !text.empty() && kSpace.find(text.front()) != std::string_view::npos;
  if (!is_last && !has_space) return Errno(EINVAL);
  SkipSpace(text);
  return value;
}

bool Overlap(uint32_t a, uint32_t b, uint32_t a_count, uint32_t b_count) {
  return a < uint64_t{b} + b_count && b < uint64_t{a} + a_count;
}

// A line: an id in the namespace, one in the parent, how many. EINVAL.
Result<Extent> ParseExtent(std::string_view line) {
  Extent extent{};
  SkipSpace(line);
  ASSIGN_OR_RETURN(extent.first, TakeNumber(line, false));
  ASSIGN_OR_RETURN(extent.kernel, TakeNumber(line, false));
  ASSIGN_OR_RETURN(extent.count, TakeNumber(line, true));
  if (!line.empty() || extent.count == 0) return Errno(EINVAL);
  // kNoId is in no extent.
  if (extent.count > kNoId - extent.first || extent.count > kNoId - extent.kernel) return Errno(EINVAL);
  return extent;
}

// With the parent's ids.
Result<std::vector<Extent>> ParseExtents(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  std::vector<Extent> extents;
  do {
    const size_t end = std::min(text.find('\n'), text.size());
    ASSIGN_OR_RETURN(Extent extent, ParseExtent(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    for (const Extent& other : extents) {
      if (Overlap(extent.first, other.first, extent.count, other.count) ||
          Overlap(extent.kernel, other.kernel, extent.count, other.count))
        return Errno(EINVAL);
    }
    extents.push_back(extent);
    if (extents.size() == IdMap::kMaxExtents && !text.empty()) return Errno(EINVAL);
  } while (!text.empty());
  return extents;
}

// --- who may write what ---

struct MapWrite {
  UserNamespace& space;
  Kind kind;
  const Credentials& opener;
  const Credentials& writer;
};

// A map that gives the parent's root to the namespace makes file capabilities that count in the parent.
// Linux: verify_root_map().
bool MayMapRoot(const MapWrite& write, const std::vector<Extent>& extents) {
  auto maps_root = [](const Extent& extent) { return extent.kernel == 0; };
  if (std::none_of(extents.begin(), extents.end(), maps_root)) return true;
  if (write.opener.user_ns.get() == &write.space) return write.space.owner_could_setfcap();
  return write.opener.HasCapabilityIn(*write.space.parent(), CAP_SETFCAP);
}

// Linux: new_idmap_permitted().
bool MayWriteMap(const MapWrite& write, const std::vector<Extent>& extents) {
  const UserNamespace& parent = *write.space.parent();
  if (write.kind == Kind::kUser && !MayMapRoot(write, extents)) return false;
  // Who made the namespace may map itself.
  if (extents.size() == 1 && extents[0].count == 1 && write.space.owner() == write.opener.euid) {
    const uint32_t id = extents[0].kernel;
    if (write.kind == Kind::kUser && parent.ToKernelUid(id) == write.opener.euid) return true;
    if (write.kind == Kind::kGroup && !write.space.setgroups_allowed() &&
        parent.ToKernelGid(id) == write.opener.egid)
      return true;
  }
  if (write.kind == Kind::kProject) return true;
  const int capability = write.kind == Kind::kUser ? CAP_SETUID : CAP_SETGID;
  return write.writer.HasCapabilityIn(parent, capability) && write.opener.HasCapabilityIn(parent, capability);
}

uint32_t ParentToKernel(const UserNamespace& parent, Kind kind, uint32_t id) {
  if (kind == Kind::kUser) return parent.ToKernelUid(id);
  if (kind == Kind::kGroup) return parent.ToKernelGid(id);
  const IdMap* map = parent.map(kind);
  return parent.IsInitial() ? id : map != nullptr ? map->ToKernel(id) : kNoId;
}

uint32_t ShownIn(const UserNamespace& viewer, Kind kind, uint32_t kernel_id) {
  if (kind == Kind::kUser) return viewer.FromKernelUid(kernel_id);
  if (kind == Kind::kGroup) return viewer.FromKernelGid(kernel_id);
  const IdMap* map = viewer.map(kind);
  return viewer.IsInitial() ? kernel_id : map != nullptr ? map->FromKernel(kernel_id) : kNoId;
}

// To the kernel's ids. Linux: map_id_range_down(): an extent lies in one of the parent's. EPERM.
Result<void> ResolveInParent(const UserNamespace& parent, Kind kind, std::vector<Extent>& extents) {
  for (Extent& extent : extents) {
    const uint32_t first = ParentToKernel(parent, kind, extent.kernel);
    if (first == kNoId) return Errno(EPERM);
    if (!parent.IsInitial() && !parent.map(kind)->MapsWhole(extent.kernel, extent.count)) return Errno(EPERM);
    extent.kernel = first;
  }
  return Ok();
}

// Linux: map_write().
Result<void> WriteMap(const MapWrite& write, std::string_view text) {
  if (write.space.IsInitial()) return Errno(EPERM);
  const UserNamespace* of_opener = write.opener.user_ns.get();
  if (of_opener != &write.space && of_opener != write.space.parent().get()) return Errno(EPERM);
  if (write.space.map(write.kind) != nullptr) return Errno(EPERM);
  if (write.kind != Kind::kProject && !write.opener.HasCapabilityIn(write.space, CAP_SYS_ADMIN))
    return Errno(EPERM);
  ASSIGN_OR_RETURN(std::vector<Extent> extents, ParseExtents(text));
  if (!MayWriteMap(write, extents)) return Errno(EPERM);
  RETURN_IF_ERROR(ResolveInParent(*write.space.parent(), write.kind, extents));
  return write.space.SetMap(write.kind, std::move(extents));
}

// Linux: proc_setgroups_write().
Result<void> WriteSetgroups(UserNamespace& space, std::string_view text) {
  constexpr size_t kMaxLength = 7;
  if (text.size() > kMaxLength) return Errno(EINVAL);
  text = text.substr(0, text.find('\0'));
  const bool allow = text.substr(0, 5) == "allow";
  if (!allow && text.substr(0, 4) != "deny") return Errno(EINVAL);
  text.remove_prefix(allow ? 5 : 4);
  SkipSpace(text);
  if (!text.empty()) return Errno(EINVAL);
  return space.AllowSetgroups(allow);
}

// --- the files ---

// What an open file shows: of the namespace that the task was in then, to whom opened it.
class OpenedMap final : public TextInode {
 public:
  OpenedMap(Filesystem& filesystem, RefPtr<UserNamespace> space, RefPtr<const Credentials> opener,
            std::optional<Kind> kind)
      : TextInode(filesystem, 0644), space_(std::move(space)), opener_(std::move(opener)), kind_(kind) {}

  Result<std::string> Generate() override {
    if (!kind_) return std::string(space_->setgroups_allowed() ? "allow\n" : "deny\n");
    if (space_->IsInitial()) return fmt::format("{:>10} {:>10} {:>10}\n", 0, 0, kNoId);
    const IdMap* map = space_->map(*kind_);
    TextBuilder text;
    if (map == nullptr) return text.Take();
    const UserNamespace& viewer = opener_->user_ns == space_ ? *space_->parent() : *opener_->user_ns;
    for (const Extent& extent : map->extents())
      text.Add("{:>10} {:>10} {:>10}\n", extent.first, ShownIn(viewer, *kind_, extent.kernel), extent.count);
    return text.Take();
  }
  Result<void> WriteText(std::string_view text) override {
    if (!kind_) return WriteSetgroups(*space_, text);
    Task* task = Task::CurrentOrNull();
    return WriteMap({*space_, *kind_, *opener_, task != nullptr ? task->creds() : *opener_}, text);
  }

 private:
  const RefPtr<UserNamespace> space_;
  const RefPtr<const Credentials> opener_;
  const std::optional<Kind> kind_;  // none: setgroups
};

// Written at once, from the start.
class MapFile final : public TextFile {
 public:
  using TextFile::TextFile;
  Result<size_t> Write(IoSequence& from) override {
    if (from.size() >= kPageSize) return Errno(EINVAL);
    ASSIGN_OR_RETURN(int64_t offset, Seek(0, SEEK_CUR));
    if (offset != 0) return Errno(EINVAL);
    ASSIGN_OR_RETURN(size_t done, TextFile::PWrite(from, 0));
    RETURN_IF_ERROR(Seek(static_cast<int64_t>(done), SEEK_SET));
    return done;
  }
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override { return Errno(ESPIPE); }
};

class MapInode final : public TaskInode<SyntheticInode> {
 public:
  MapInode(ProcFilesystem& filesystem, RefPtr<Task> task, std::optional<Kind> kind, uint64_t ino)
      : TaskInode<SyntheticInode>(filesystem, std::move(task), S_IFREG | 0644, Uid{0}, Gid{0}, ino),
        kind_(kind) {}
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    RefPtr<const Credentials> creds = IsStale() ? nullptr : task_->GetCreds();
    if (!creds) return Errno(EINVAL);
    const bool writes = (options.flags & O_ACCMODE) != O_RDONLY;
    if (!kind_ && writes && !options.creds->HasCapabilityIn(*creds->user_ns, CAP_SYS_ADMIN))
      return Errno(EACCES);
    auto opened = MakeRef<OpenedMap>(proc_, creds->user_ns, options.creds, kind_);
    return RefPtr<FileDescription>(MakeRef<MapFile>(path, options.flags, std::move(opened)));
  }

 private:
  const std::optional<Kind> kind_;
};

// --- /proc/sys/user ---

// The limit of whoever looks: of its own namespace. Root there may change it. Linux: kernel/ucount.c.
class NamespaceLimitInode final : public TextInode {
 public:
  explicit NamespaceLimitInode(Filesystem& filesystem) : TextInode(filesystem, 0644) {}
  Result<void> CheckAccess(const Credentials& creds, int mask) override {
    const bool may_write = creds.HasOwnCapability(CAP_SYS_RESOURCE);
    const int granted = may_write ? R_OK | W_OK : R_OK;
    return (mask & 7 & ~granted) == 0 ? Ok() : Result<void>(Errno(EACCES));
  }
  Result<std::string> Generate() override {
    return fmt::format("{}\n", ReaderNamespace().max_user_namespaces.load(std::memory_order_relaxed));
  }
  Result<void> WriteText(std::string_view text) override {
    ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
    if (value < 0 || value > INT32_MAX) return Errno(EINVAL);
    Task* writer = Task::CurrentOrNull();
    if (writer == nullptr) return Errno(EPERM);
    writer->creds().user_ns->max_user_namespaces.store(static_cast<int32_t>(value),
                                                       std::memory_order_relaxed);
    return Ok();
  }
};

}  // namespace

RefPtr<SyntheticInode> MakeIdMapInode(ProcFilesystem& filesystem, RefPtr<Task> task,
                                      std::optional<UserNamespace::Kind> kind, uint64_t ino) {
  return MakeRef<MapInode>(filesystem, std::move(task), kind, ino);
}

void AddUserSysctls(ProcFilesystem& filesystem, StaticDirectory& root) {
  root.Subdirectory("sys").Subdirectory("user").Add("max_user_namespaces",
                                                    MakeRef<NamespaceLimitInode>(filesystem));
}

}  // namespace runsc
