// /dev: the devices every Linux program expects (mem(4), random(4), full(4)), registered
// by number so that a node of any filesystem reaches them, and the tree of nodes that a
// container finds. Terminals are in tty.h and devpts.h.
// Linux counterpart: drivers/char/mem.c, random.c.
#ifndef SENTRY_FSIMPL_DEV_H_
#define SENTRY_FSIMPL_DEV_H_

#include "platform/base/result.h"
#include "sentry/memory/memory_file.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

// null, zero, full, random, urandom; before the first task runs.
void RegisterMemoryDevices(MemoryFile& memory_file);

// Makes the nodes and the links (fd, stdin, stdout, stderr, ptmx) below a tmpfs's root that nobody has
// walked yet. What is there already stays.
Result<void> PopulateDev(Dentry& root);
// And the directories pts, shm and mqueue.
Result<void> PopulateDevWithMountPoints(Dentry& root);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_DEV_H_
