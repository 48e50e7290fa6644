#include "sentry/boot/container_tree.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "platform/base/log.h"
#include "sentry/fsimpl/dev.h"
#include "sentry/fsimpl/overlay_filesystem.h"
#include "sentry/fsimpl/tmpfs.h"

namespace runsc {
namespace {

class ContainerTreeBuilder {
 public:
  ContainerTreeBuilder(TreeBuilder& builder, const RefPtr<GoferConnection>& gofer, const BootOptions& options,
                       std::string* wrong)
      : builder_(builder), gofer_(gofer), options_(options), wrong_(*wrong) {}

  Result<void> Build() {
    const BootOptions::ContainerTree& tree = *options_.container;
    // First, since what is mounted on a shared mount is shared as well. To slaves there is no master inside.
    if ((options_.root_propagation & MS_SHARED) != 0)
      RETURN_IF_ERROR(Propagate("/", options_.root_propagation));
    bool has_dev = std::any_of(tree.mounts.begin(), tree.mounts.end(),
                               [](const auto& mount) { return mount.destination == "/dev"; });
    // Device nodes are the Sentry's: those in the root filesystem lead nowhere.
    if (!has_dev) {
      wrong_ = "/dev";
      RETURN_IF_ERROR(MountDev({.destination = "/dev",
                                .type = "tmpfs",
                                .source = "tmpfs",
                                .gofer_root = {},
                                .flags = MS_NOSUID,
                                .data = "mode=755"},
                               PopulateDevWithMountPoints));
    }
    for (const auto& mount : tree.mounts) {
      wrong_ = fmt::format("the mount at {}", mount.destination);
      RETURN_IF_ERROR(Mount(mount));
      if (mount.propagation != 0) RETURN_IF_ERROR(Propagate(mount.destination, mount.propagation));
    }
    for (const auto& device : tree.devices) {
      wrong_ = fmt::format("the device {}", device.path);
      RETURN_IF_ERROR(MakeDevice(device));
    }
    for (const auto& [name, value] : tree.sysctls) {
      wrong_ = fmt::format("the sysctl {}", name);
      RETURN_IF_ERROR(SetSysctl(name, value));
    }
    // First, so that what is hidden does not come back.
    for (const std::string& path : tree.read_only_paths) {
      wrong_ = fmt::format("the read-only path {}", path);
      RETURN_IF_ERROR(MakeReadOnly(path));
    }
    for (const std::string& path : tree.masked_paths) {
      wrong_ = fmt::format("the masked path {}", path);
      RETURN_IF_ERROR(Mask(path));
    }
    if (options_.root_read_only) {
      RefPtr<runsc::Mount> root = builder_.mounts().Root().mount;
      root->set_flags(root->flags() | MS_RDONLY);
    }
    // Last, for paths of it had to be bound.
    if ((options_.root_propagation & MS_UNBINDABLE) != 0)
      RETURN_IF_ERROR(Propagate("/", options_.root_propagation));
    wrong_.clear();
    return Ok();
  }

 private:
  using MountSpec = BootOptions::MountSpec;

  Result<void> Mount(const MountSpec& mount) {
    if (mount.gofer_root) return MountBind(mount);
    if (mount.destination == "/dev" && mount.type == "tmpfs") return MountDev(mount, PopulateDev);
    if (mount.type == "cgroup" || mount.type == "cgroup2") return MountCgroup(mount);
    if (mount.type == "tmpfs" && mount.copy_up) return MountWithCopy(mount);
    return builder_.MountType(mount.type, mount.destination, mount.flags, mount.data, mount.source);
  }

  Result<void> Propagate(const std::string& path, uint64_t propagation) {
    PathContext context = builder_.Context();
    ASSIGN_OR_RETURN(VfsPath place, Walk(context, context.root, path));
    return builder_.mounts().ChangePropagation(place, propagation);
  }

  Result<void> MountBind(const MountSpec& mount) {
    GoferMountOptions gofer;
    gofer.root = *mount.gofer_root;
    gofer.watch_after = kWatchDelay;
    gofer.read_only = (mount.flags & MS_RDONLY) != 0;
    ASSIGN_OR_RETURN(NewFilesystem made, GoferFilesystem::Make(gofer_, gofer));
    return builder_.Attach(std::move(made), mount.destination, mount.flags, mount.source);
  }

  Result<void> MountDev(const MountSpec& mount, Result<void> (*populate)(Dentry& root)) {
    ASSIGN_OR_RETURN(TmpfsOptions tmpfs,
                     ParseTmpfsOptions(mount.data, builder_.kernel().memory_file().limit()));
    NewFilesystem made = MakeTmpfs(builder_.kernel().memory_file(), tmpfs);
    RETURN_IF_ERROR(populate(*made.root));
    return builder_.Attach(std::move(made), mount.destination, mount.flags, mount.source);
  }

  // Version 2 inside, whatever the host has.
  Result<void> MountCgroup(const MountSpec& mount) {
    return builder_.MountType("cgroup2", mount.destination, mount.flags | MS_RDONLY, "", "cgroup");
  }

  // An overlay, whose lower layer is the directory in the image.
  Result<void> MountWithCopy(const MountSpec& mount) {
    MemoryFile& memory_file = builder_.kernel().memory_file();
    ASSIGN_OR_RETURN(TmpfsOptions tmpfs, ParseTmpfsOptions(mount.data, memory_file.limit()));
    ASSIGN_OR_RETURN(VfsPath place, builder_.MountPoint(mount.destination, true));
    NewFilesystem lower{RefPtr<Filesystem>(&place.mount->filesystem()), place.dentry};
    ASSIGN_OR_RETURN(NewFilesystem made,
                     OverlayFilesystem::Make(std::move(lower), MakeTmpfs(memory_file, tmpfs)));
    return builder_.Attach(std::move(made), mount.destination, mount.flags, mount.source);
  }

  Result<void> MakeDevice(const BootOptions::DeviceSpec& device) {
    PathContext context = builder_.Context();
    if (size_t slash = device.path.rfind('/'); slash != 0 && slash != std::string::npos)
      RETURN_IF_ERROR(builder_.MountPoint(device.path.substr(0, slash), true));
    auto made = VfsMknod(context, context.root, device.path, device.mode, device.device);
    // In a root filesystem of the host there are no device nodes to make.
    if (made.is(EPERM) || made.is(EACCES) || made.is(EOPNOTSUPP)) {
      LOG_WARNING("the device {} cannot be made there: {}", device.path, made.error().message());
      return Ok();
    }
    if (!made.ok() && !made.is(EEXIST)) return made;
    WalkOptions as_is;
    as_is.follow_final = false;
    ASSIGN_OR_RETURN(VfsPath node, Walk(context, context.root, device.path, as_is));
    if ((node.inode()->file_type() == S_IFCHR) != S_ISCHR(device.mode)) return Ok();
    RETURN_IF_ERROR(VfsChmod(context, node, device.mode & 07777));
    return VfsChown(context, node, device.uid, device.gid);
  }

  Result<void> SetSysctl(const std::string& name, const std::string& value) {
    PathContext context = builder_.Context();
    std::string path = "/proc/sys/" + name;
    std::replace(path.begin() + 10, path.end(), '.', '/');
    auto opened = VfsOpen(context, context.root, path, {.flags = O_WRONLY});
    // The monitor has set the host's, whose sockets they are; what is known here is to show the same.
    if (!options_.own_network && name.starts_with("net.") && !opened.ok()) return Ok();
    if (!opened.ok()) return opened.error();
    RefPtr<FileDescription> file = std::move(*opened);
    IoSequence from(std::as_bytes(std::span(value)));
    RETURN_IF_ERROR(file->Write(from));
    return Ok();
  }

  Result<void> MakeReadOnly(const std::string& path) {
    PathContext context = builder_.Context();
    auto place = Walk(context, context.root, path);
    if (place.is(ENOENT) || place.is(ENOTDIR)) return Ok();
    if (!place.ok()) return place.error();
    RETURN_IF_ERROR(builder_.mounts().Bind(*place, *place, true));
    if (RefPtr<runsc::Mount> top = builder_.mounts().TopMountOn(*place))
      top->set_flags(top->flags() | MS_RDONLY);
    return Ok();
  }

  Result<void> Mask(const std::string& path) {
    PathContext context = builder_.Context();
    auto place = Walk(context, context.root, path);
    if (place.is(ENOENT) || place.is(ENOTDIR)) return Ok();
    if (!place.ok()) return place.error();
    if (place->inode()->IsDirectory()) {
      return builder_.MountType("tmpfs", path, MS_RDONLY, "mode=755");
    }
    ASSIGN_OR_RETURN(VfsPath null, Walk(context, context.root, "/dev/null"));
    return builder_.mounts().Bind(null, *place, false);
  }

  TreeBuilder& builder_;
  const RefPtr<GoferConnection>& gofer_;
  const BootOptions& options_;
  std::string& wrong_;
};

}  // namespace

Result<void> BuildContainerTree(TreeBuilder& builder, const RefPtr<GoferConnection>& gofer,
                                const BootOptions& options, std::string* wrong) {
  return ContainerTreeBuilder(builder, gofer, options, wrong).Build();
}

Result<void> BindConsole(Kernel& kernel, const RefPtr<MountNamespace>& mounts, const Terminal& terminal) {
  TreeBuilder builder(kernel, mounts);
  PathContext context = builder.Context();
  auto node = Walk(context, context.root, fmt::format("/dev/pts/{}", minor(terminal.device())));
  if (!node.ok()) return Ok();  // a container without /dev/pts has no name for it
  ASSIGN_OR_RETURN(VfsPath place, builder.MountPoint("/dev/console", false));
  return mounts->Bind(*node, place, false);
}

}  // namespace runsc
