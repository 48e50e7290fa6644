#include "sentry/fsimpl/devpts.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>

#include <charconv>

#include "absl/container/btree_map.h"
#include "sentry/fsimpl/kernfs.h"
#include "sentry/fsimpl/pty.h"
#include "sentry/vfs/special_file.h"

namespace runsc {
namespace {

constexpr uint64_t kPtmxIno = 2;
constexpr uint64_t kFirstReplicaIno = 3;
constexpr uint32_t kReplicaMajor = 136;

uint64_t ReplicaDevice(int index) { return makedev(kReplicaMajor, static_cast<unsigned>(index)); }

// A device node whose owner and mode can be changed (grantpt(3), mesg(1)).
class TerminalNode : public Inode {
 public:
  TerminalNode(Filesystem& filesystem, uint64_t ino, uint64_t rdev, uint32_t mode, Uid uid, Gid gid)
      : Inode(filesystem, S_IFCHR) {
    attributes_.mode = S_IFCHR | mode;
    attributes_.uid = uid;
    attributes_.gid = gid;
    attributes_.ino = ino;
    attributes_.rdev = rdev;
    attributes_.device = filesystem.device();
    attributes_.block_size = 1024;
    attributes_.atime = attributes_.mtime = attributes_.ctime = RealtimeNow();
  }
  Result<InodeAttributes> Attributes() override {
    MutexLock lock(mu_);
    return attributes_;
  }
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override {
    MutexLock lock(mu_);
    timespec now = RealtimeNow();
    if (change.mode) attributes_.mode = S_IFCHR | (*change.mode & 07777);
    if (change.uid) attributes_.uid = *change.uid;
    if (change.gid) attributes_.gid = *change.gid;
    if (change.atime) attributes_.atime = change.atime->now ? now : change.atime->value;
    if (change.mtime) attributes_.mtime = change.mtime->now ? now : change.mtime->value;
    attributes_.ctime = now;
    return Ok();
  }

 private:
  Mutex mu_{LockRank::kInodeAttributes};
  InodeAttributes attributes_ ABSL_GUARDED_BY(mu_);
};

class Devpts;

class ReplicaNode final : public TerminalNode {
 public:
  ReplicaNode(Filesystem& filesystem, RefPtr<Pty> pty, uint32_t mode, Uid uid, Gid gid)
      : TerminalNode(filesystem, kFirstReplicaIno + pty->index(), pty->device(), mode, uid, gid),
        pty_(std::move(pty)) {}
  Pty& pty() const { return *pty_; }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, pty_->MakeReplica(path, options.flags));
    pty_->SetReplicaPath(path);
    MaybeBecomeControlling(*pty_, options.flags);
    return file;
  }

 private:
  const RefPtr<Pty> pty_;
};

// A terminal that is not one of ours: the host's.
class ForeignNode final : public TerminalNode {
 public:
  ForeignNode(Filesystem& filesystem, int index, uint32_t mode, Uid uid, Gid gid, RefPtr<Terminal> terminal)
      : TerminalNode(filesystem, kFirstReplicaIno + static_cast<uint64_t>(index), ReplicaDevice(index), mode,
                     uid, gid),
        terminal_(std::move(terminal)) {}
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, terminal_->OpenFile(options.flags));
    MaybeBecomeControlling(*terminal_, options.flags);
    return file;
  }

 private:
  const RefPtr<Terminal> terminal_;
};

class PtmxNode final : public TerminalNode {
 public:
  PtmxNode(Devpts& devpts, uint32_t mode);
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

 private:
  Devpts& devpts_;
};

class DevptsRoot final : public SyntheticDirectory {
 public:
  explicit DevptsRoot(Devpts& devpts);
  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override;
  Result<std::vector<SyntheticEntry>> Entries() override;

 private:
  Devpts& devpts_;
};

// The instance that /dev/ptmx and pts numbers mean outside of a devpts.
struct FirstInstance {
  Mutex mu{LockRank::kLeaf};
  Devpts* devpts ABSL_GUARDED_BY(mu) = nullptr;
};
FirstInstance& First() {
  static auto* const first = new FirstInstance;
  return *first;
}
RefPtr<Devpts> FirstDevpts();

class Devpts final : public Filesystem {
 public:
  Devpts(Kernel& kernel, const DevptsOptions& options) : kernel_(kernel), options_(options) {
    if (!options.may_be_first) return;
    FirstInstance& first = First();
    MutexLock lock(first.mu);
    if (first.devpts == nullptr) first.devpts = this;
  }

  std::string_view type_name() const override { return "devpts"; }
  Result<FilesystemStats> Stats() override {
    FilesystemStats stats;
    stats.type = DEVPTS_SUPER_MAGIC;
    return stats;
  }
  std::string MountOptions() const override {
    std::string text;
    if (options_.uid >= 0) text += fmt::format("uid={},", options_.uid);
    if (options_.gid >= 0) text += fmt::format("gid={},", options_.gid);
    return text + fmt::format("mode={:03o},ptmxmode={:03o}", options_.mode, options_.ptmx_mode);
  }
  bool allows_devices() const override { return true; }
  bool caches_negative() const override { return false; }
  bool needs_revalidation() const override { return true; }
  bool Revalidate(Dentry& dir, Dentry& child) override {
    auto* node = dynamic_cast<ReplicaNode*>(child.borrow_inode());
    return node == nullptr || Find(node->pty().index()) == node;
  }

  const DevptsOptions& options() const { return options_; }
  RefPtr<PtmxNode> ptmx() { return ptmx_; }
  void MakePtmx() { ptmx_ = MakeRef<PtmxNode>(*this, options_.ptmx_mode); }

  RefPtr<TerminalNode> Find(int index) {
    MutexLock lock(mu_);
    auto found = nodes_.find(index);
    return found != nodes_.end() ? found->second : nullptr;
  }
  std::vector<int> Indices() {
    MutexLock lock(mu_);
    std::vector<int> indices;
    for (const auto& [index, node] : nodes_) indices.push_back(index);
    return indices;
  }

  // Its number, the wanted one if that is free.
  int AddForeign(RefPtr<Terminal> terminal, int wanted, Uid uid) {
    MutexLock lock(mu_);
    while (nodes_.contains(wanted)) ++wanted;
    Gid gid = options_.gid >= 0 ? static_cast<Gid>(options_.gid) : 0;
    nodes_[wanted] = MakeRef<ForeignNode>(*this, wanted, options_.mode, uid, gid, std::move(terminal));
    return wanted;
  }

  // open(2) of ptmx: a new pair. `path` is the node that was opened.
  Result<RefPtr<FileDescription>> NewPair(const VfsPath& path, const OpenOptions& options) {
    RefPtr<Pty> pty;
    {
      MutexLock lock(mu_);
      if (nodes_.size() >= static_cast<size_t>(options_.max)) return Errno(ENOSPC);
      int index = 0;
      for (const auto& [used, node] : nodes_) {
        if (used != index) break;
        ++index;
      }
      // The pty may outlive this instance.
      RefPtr<Devpts> self(this);
      pty = MakeRef<Pty>(kernel_.timers(), index, [self, index] { self->Remove(index); });
      Uid uid = options_.uid >= 0 ? static_cast<Uid>(options_.uid) : options.creds->fsuid;
      Gid gid = options_.gid >= 0 ? static_cast<Gid>(options_.gid) : options.creds->fsgid;
      nodes_[index] = MakeRef<ReplicaNode>(*this, pty, options_.mode, uid, gid);
    }
    // A place for the replica that TIOCGPTPEER can name even if nobody has walked to it.
    if (&path.dentry->filesystem() == this) {
      if (RefPtr<Dentry> root = path.dentry->parent()) {
        std::string name = fmt::format("{}", pty->index());
        RefPtr<Inode> directory = root->inode();
        MutexLock lock(directory->directory_lock());
        if (root->FindChild(name)) root->DropChild(name);
        pty->SetReplicaPath({path.mount, root->AddChild(name, Find(pty->index()))});
      }
    }
    return pty->MakeMaster(path, options.flags);
  }

 protected:
  void OnLastRelease() override {
    {
      FirstInstance& first = First();
      MutexLock lock(first.mu);
      if (first.devpts == this) first.devpts = nullptr;
    }
    Filesystem::OnLastRelease();
  }

 private:
  void Remove(int index) {
    RefPtr<TerminalNode> node;
    MutexLock lock(mu_);
    auto found = nodes_.find(index);
    if (found == nodes_.end()) return;
    node = std::move(found->second);
    nodes_.erase(found);
  }

  Kernel& kernel_;
  const DevptsOptions options_;
  RefPtr<PtmxNode> ptmx_;
  Mutex mu_{LockRank::kInodeData};
  absl::btree_map<int, RefPtr<TerminalNode>> nodes_ ABSL_GUARDED_BY(mu_);
};

RefPtr<Devpts> FirstDevpts() {
  FirstInstance& first = First();
  MutexLock lock(first.mu);
  return RefPtr<Devpts>::TryFrom(first.devpts);
}

PtmxNode::PtmxNode(Devpts& devpts, uint32_t mode)
    : TerminalNode(devpts, kPtmxIno, makedev(5, 2), mode, 0, 0), devpts_(devpts) {}

Result<RefPtr<FileDescription>> PtmxNode::Open(const VfsPath& path, const OpenOptions& options) {
  return devpts_.NewPair(path, options);
}

DevptsRoot::DevptsRoot(Devpts& devpts) : SyntheticDirectory(devpts, 0755, 0, 0, 1), devpts_(devpts) {}

Result<RefPtr<Inode>> DevptsRoot::Lookup(Dentry& dir, std::string_view name) {
  if (name == "ptmx") return RefPtr<Inode>(devpts_.ptmx());
  int index = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index < 0 ||
      (name.size() > 1 && name[0] == '0'))
    return Errno(ENOENT);
  RefPtr<TerminalNode> node = devpts_.Find(index);
  if (!node) return Errno(ENOENT);
  return RefPtr<Inode>(std::move(node));
}

Result<std::vector<SyntheticEntry>> DevptsRoot::Entries() {
  std::vector<SyntheticEntry> entries;
  entries.push_back({"ptmx", kPtmxIno, DT_CHR, 0});
  for (int index : devpts_.Indices())
    entries.push_back({fmt::format("{}", index), kFirstReplicaIno + index, DT_CHR, uint64_t{1} + index});
  return entries;
}

class DevptsType final : public FilesystemType {
 public:
  explicit DevptsType(Kernel& kernel) : kernel_(kernel) {}
  std::string_view name() const override { return "devpts"; }
  bool may_be_mounted_by_all() const override { return true; }
  Result<NewFilesystem> Make(const FilesystemSource& source) override {
    ASSIGN_OR_RETURN(DevptsOptions options, ParseDevptsOptions(source.options));
    const UserNamespace& space = source.creds ? *source.creds->user_ns : UserNamespace::Initial();
    if (options.uid >= 0) options.uid = space.ToKernelUid(static_cast<Uid>(options.uid));
    if (options.gid >= 0) options.gid = space.ToKernelGid(static_cast<Gid>(options.gid));
    if (options.uid == kNoId || options.gid == kNoId) return Errno(EINVAL);
    options.may_be_first = space.IsInitial();
    return MakeDevpts(kernel_, options);
  }
  std::vector<std::string_view> option_names() const override {
    return {"mode", "ptmxmode", "uid", "gid", "max", "newinstance"};
  }
  Result<void> CheckOptions(std::string_view text) const override {
    ASSIGN_OR_RETURN(DevptsOptions options, ParseDevptsOptions(text));
    (void)options;
    return Ok();
  }

 private:
  Kernel& kernel_;
};

Result<RefPtr<FileDescription>> OpenControllingTerminal(const VfsPath& path, const OpenOptions& options) {
  Task* task = Task::CurrentOrNull();
  RefPtr<Session> session = task != nullptr ? task->thread_group().session() : nullptr;
  RefPtr<Terminal> terminal = session ? session->terminal() : nullptr;
  if (!terminal) return Errno(ENXIO);
  return terminal->OpenFile(options.flags);
}

}  // namespace

Result<DevptsOptions> ParseDevptsOptions(std::string_view text) {
  DevptsOptions options;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(text.size(), comma + 1));
    if (item.empty() || item == "newinstance") continue;
    size_t equals = item.find('=');
    if (equals == std::string_view::npos) return Errno(EINVAL);
    std::string_view key = item.substr(0, equals), value = item.substr(equals + 1);
    bool octal = key == "mode" || key == "ptmxmode";
    uint32_t number = 0;
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number, octal ? 8 : 10);
    if (value.empty() || error != std::errc() || end != value.data() + value.size()) return Errno(EINVAL);
    if (key == "mode") {
      options.mode = number & 0777;
    } else if (key == "ptmxmode") {
      options.ptmx_mode = number & 0777;
    } else if (key == "uid") {
      options.uid = number;
    } else if (key == "gid") {
      options.gid = number;
    } else if (key == "max") {
      if (number > 1 << 20) return Errno(EINVAL);
      options.max = static_cast<int>(number);
    } else {
      return Errno(EINVAL);
    }
  }
  return options;
}

NewFilesystem MakeDevpts(Kernel& kernel, const DevptsOptions& options) {
  auto filesystem = MakeRef<Devpts>(kernel, options);
  filesystem->MakePtmx();
  auto root = MakeRef<Dentry>(*filesystem, MakeRef<DevptsRoot>(*filesystem), "/");
  return {std::move(filesystem), std::move(root)};
}

std::unique_ptr<FilesystemType> MakeDevptsType(Kernel& kernel) {
  return std::make_unique<DevptsType>(kernel);
}

Result<PlacedTerminal> PlaceTerminal(const VfsPath& devpts, RefPtr<Terminal> terminal, int wanted, Uid uid) {
  auto* filesystem = dynamic_cast<Devpts*>(&devpts.dentry->filesystem());
  if (filesystem == nullptr) return Errno(ENODEV);
  int index = filesystem->AddForeign(std::move(terminal), wanted, uid);
  RefPtr<Inode> directory = devpts.dentry->inode();
  MutexLock lock(directory->directory_lock());
  RefPtr<Dentry> node = devpts.dentry->AddChild(fmt::format("{}", index), filesystem->Find(index));
  return PlacedTerminal{{devpts.mount, std::move(node)}, ReplicaDevice(index)};
}

void RegisterTerminalDevices() {
  constexpr uint32_t kTtyMajor = 5, kReplicas = 1 << 20;
  DeviceRegistry& registry = DeviceRegistry::Get();
  registry.Register(S_IFCHR, kTtyMajor, 0, 2, OpenControllingTerminal);
  registry.Register(S_IFCHR, kTtyMajor, 2, 1,
                    [](const VfsPath& path, const OpenOptions& options) -> Result<RefPtr<FileDescription>> {
                      RefPtr<Devpts> devpts = FirstDevpts();
                      if (!devpts) return Errno(ENODEV);
                      return devpts->NewPair(path, options);
                    });
  registry.Register(S_IFCHR, kReplicaMajor, 0, kReplicas,
                    [](const VfsPath& path, const OpenOptions& options) -> Result<RefPtr<FileDescription>> {
                      RefPtr<Devpts> devpts = FirstDevpts();
                      ASSIGN_OR_RETURN(InodeAttributes attributes, path.inode()->Attributes());
                      RefPtr<TerminalNode> node =
                          devpts ? devpts->Find(static_cast<int>(minor(attributes.rdev))) : nullptr;
                      if (!node) return Errno(ENXIO);
                      return node->Open(path, options);
                    });
}

}  // namespace runsc
