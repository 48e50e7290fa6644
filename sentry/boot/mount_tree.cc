#include "sentry/boot/mount_tree.h"

#include <fmt/format.h>
#include <sys/mount.h>

#include "sentry/boot/container_tree.h"
#include "sentry/boot/tree_builder.h"
#include "sentry/fsimpl/dev.h"
#include "sentry/fsimpl/devpts.h"
#include "sentry/fsimpl/mqueue.h"
#include "sentry/fsimpl/overlay_filesystem.h"
#include "sentry/fsimpl/pipe.h"
#include "sentry/fsimpl/proc.h"
#include "sentry/fsimpl/sys.h"
#include "sentry/fsimpl/tmpfs.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/vfs/special_file.h"

namespace runsc {
namespace {

Result<RefPtr<MountNamespace>> MakeRoot(Kernel& kernel, const RefPtr<GoferConnection>& gofer,
                                        const BootOptions& options) {
  GoferMountOptions root_options;
  root_options.root = 0;
  root_options.watch_after = kWatchDelay;
  // Engines look into a container's files and change them while it runs (docker cp).
  root_options.exclusive = !options.container;
  root_options.read_only = options.root_overlay;
  ASSIGN_OR_RETURN(NewFilesystem root, GoferFilesystem::Make(gofer, root_options));
  if (options.root_overlay) {
    TmpfsOptions upper;
    upper.root_mode = 0755;
    ASSIGN_OR_RETURN(root, OverlayFilesystem::Make(std::move(root), MakeTmpfs(kernel.memory_file(), upper)));
  }
  // Read-only, if it is to be, once the mount points are there.
  uint64_t flags = options.root_read_only && !options.container ? MS_RDONLY : 0;
  return MakeRef<MountNamespace>(MakeRef<Mount>(std::move(root.filesystem), std::move(root.root),
                                                MountFlagsFrom(flags),
                                                options.root_overlay ? "none" : "root"));
}

}  // namespace

void RegisterFilesystemsAndDevices(Kernel& kernel, const CgroupSettings& settings) {
  for (const char* name : {"tmpfs", "devtmpfs", "ramfs"})
    kernel.RegisterFilesystem(MakeTmpfsType(kernel.memory_file(), name));
  kernel.RegisterFilesystem(MakeProcType(kernel));
  kernel.RegisterFilesystem(MakeSysType(kernel));
  kernel.RegisterFilesystem(MakeDevptsType(kernel));
  kernel.RegisterFilesystem(MakeCgroupType(kernel, settings));
  kernel.RegisterFilesystem(MakeMqueueType(kernel));
  RegisterMemoryDevices(kernel.memory_file());
  RegisterTerminalDevices();
  DeviceRegistry::Get().SetFifoOpener(OpenFifo);
}

Result<RefPtr<MountNamespace>> BuildMountTree(Kernel& kernel, const RefPtr<GoferConnection>& gofer,
                                              const BootOptions& options, std::string* wrong,
                                              RefPtr<PidNamespace> pid_namespace) {
  *wrong = "the root filesystem";
  ASSIGN_OR_RETURN(RefPtr<MountNamespace> mounts, MakeRoot(kernel, gofer, options));
  TreeBuilder builder(kernel, mounts, std::move(pid_namespace));
  if (options.container) {
    RETURN_IF_ERROR(BuildContainerTree(builder, gofer, options, wrong));
    return mounts;
  }

  constexpr uint64_t kSafe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  *wrong = "/proc";
  RETURN_IF_ERROR(builder.MountType("proc", "/proc", kSafe));
  *wrong = "/sys";
  RETURN_IF_ERROR(builder.MountType("sysfs", "/sys", kSafe | MS_RDONLY));
  *wrong = "/sys/fs/cgroup";
  RETURN_IF_ERROR(builder.MountType("cgroup2", "/sys/fs/cgroup", kSafe | MS_RDONLY));
  *wrong = "/dev";
  TmpfsOptions dev_options;
  dev_options.root_mode = 0755;
  NewFilesystem dev = MakeTmpfs(kernel.memory_file(), dev_options, "devtmpfs");
  RETURN_IF_ERROR(PopulateDevWithMountPoints(*dev.root));
  RETURN_IF_ERROR(builder.Attach(std::move(dev), "/dev", MS_NOSUID, "devtmpfs"));
  *wrong = "/dev/pts";
  RETURN_IF_ERROR(
      builder.MountType("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5"));
  *wrong = "/dev/shm";
  RETURN_IF_ERROR(builder.MountType("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"));

  *wrong = "/dev/mqueue";
  RETURN_IF_ERROR(builder.MountType("mqueue", "/dev/mqueue", kSafe));

  for (const BootOptions::Volume& volume : options.volumes) {
    *wrong = fmt::format("the volume at {}", volume.destination);
    GoferMountOptions mount;
    mount.root = volume.gofer_root;
    mount.watch_after = kWatchDelay;
    mount.read_only = volume.read_only;
    ASSIGN_OR_RETURN(NewFilesystem made, GoferFilesystem::Make(gofer, mount));
    uint64_t flags = MS_NOSUID | MS_NODEV | (volume.read_only ? MS_RDONLY : 0);
    RETURN_IF_ERROR(builder.Attach(std::move(made), volume.destination, flags, volume.destination));
  }
  wrong->clear();
  return mounts;
}

}  // namespace runsc
