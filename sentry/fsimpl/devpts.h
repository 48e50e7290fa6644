// devpts: the directory of pseudo-terminals: "ptmx", which makes one, and a node for each.
//
// Each mount is an instance of its own. A node goes when its master is closed.
// Also the devices that lead to terminals from elsewhere: /dev/ptmx, /dev/tty, /dev/console.
// Threading: any thread. Linux counterpart: fs/devpts/inode.c.
#ifndef SENTRY_FSIMPL_DEVPTS_H_
#define SENTRY_FSIMPL_DEVPTS_H_

#include <memory>

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

struct DevptsOptions {
  uint32_t mode = 0600;        // of new nodes
  uint32_t ptmx_mode = 0;      // of "ptmx"; containers want 0666
  int64_t uid = -1, gid = -1;  // of new nodes; -1: the opener's
  int max = 1 << 20;
  bool may_be_first = true;  // the instance of ptmx nodes that are in no devpts
};
// "newinstance,ptmxmode=0666,mode=0620,gid=5". EINVAL.
Result<DevptsOptions> ParseDevptsOptions(std::string_view text);

NewFilesystem MakeDevpts(Kernel& kernel, const DevptsOptions& options);
std::unique_ptr<FilesystemType> MakeDevptsType(Kernel& kernel);

// A node for a terminal that is not a pseudo-terminal of ours, in the directory `devpts`, which must be the
// root of one. It gets the number `wanted` or the next free one, and stays. ENODEV: no devpts.
struct PlacedTerminal {
  VfsPath path;
  uint64_t device = 0;
};
Result<PlacedTerminal> PlaceTerminal(const VfsPath& devpts, RefPtr<Terminal> terminal, int wanted, Uid uid);

// tty (5,0), console (5,1), ptmx (5,2) and the replicas' numbers; before the first task runs. A ptmx node
// outside of a devpts belongs to the instance that was made first.
void RegisterTerminalDevices();

}  // namespace runsc

#endif  // SENTRY_FSIMPL_DEVPTS_H_
