// The lock tree. Every Mutex of the project names its rank here, and a thread
// takes locks in ascending rank only (checked in debug builds). A lower line is
// an inner lock. Reasons stand beside the ones that surprise.
#ifndef PLATFORM_BASE_LOCK_RANK_H_
#define PLATFORM_BASE_LOCK_RANK_H_

#include <cstdint>

namespace runsc {

enum class LockRank : uint8_t {
  kAny = 0,  // unchecked; tests and start-up only

  kExec,  // ThreadGroup: one execve or exit_group at a time

  // Directories. A directory's lock (Linux: i_rwsem of a directory) is what serialises a miss with a create
  // of the same name; so it is held over what the filesystem does then: a call to the Gofer, or, in /proc, a
  // look at the task tree. Nobody who holds a lock of the kernel's walks a path.
  kRename,          // filesystem: one cross-directory rename at a time
  kDirectory,       // Inode: entries of one directory; parent first
  kOverlayOffset,   // overlay: offset and listing of a directory, over the reading of the layers' directories
  kCopyUp,          // overlay: one copy-up of a file at a time
  kUpperDirectory,  // overlay: kDirectory's lock of a directory of the upper layer

  // Process and thread tree.
  kPosixTimers,  // PosixTimers: a process's timers; reads CPU times under it
  kTaskTree,     // Kernel: parents, children, sessions, process groups, PID namespaces
  kTty,          // terminal: foreground group, line discipline
  kSignal,       // ThreadGroup/SignalHandlers: queues, handlers, stop state (Linux: siglock)
  kTaskState,    // Task: small fields others read (name, creds, fs, mm pointers)

  // Files.
  kEpollNesting,  // epoll: one file is added to another at a time
  kEpoll,         // epoll: interest list
  kFileOffset,    // FileDescription: offset; a listing asks dentries for inodes
  kMountTree,     // all trees of mounts
  kDentry,        // Dentry: children map, parent, name
  kAppend,        // Inode: one writer at the end of a file at a time, over the layers' writes in an overlay
  kFileIo,        // Inode: one writer's read-modify-write (Linux: i_rwsem of a file)
  kSocketRights,  // files in flight between sockets, and their collector
  kSocket,        // one socket; two are taken by address
  kPipe,          // pipe contents
  kFDTable,       // FDTable
  kFsContext,     // root, cwd, umask

  // Memory. File data locks are inside mm's: a fault asks the file for its pages.
  kMm,               // MemoryManager: VMAs and pmas (Linux: mmap_lock)
  kFutex,            // futex bucket
  kIpc,              // System V IPC of one kind and namespace, whose segments mm tells of mappings; keyrings
  kInodeData,        // tmpfs page index, gofer inode's donated file
  kInodeAttributes,  // times, sizes, owner
  kFileLocks,        // flock, POSIX and OFD locks of one inode
  kMemoryFile,       // allocator of the memory file
  kAddressSpace,     // platform address space
  kStub,             // platform stub process

  // Leaves.
  kTimerFile,    // a timerfd's setting
  kTimer,        // timer queue
  kGoferClient,  // tags and the send side of one connection
  kHostPoller,   // who watches which host descriptor; wakes a file's queue
  kWaitQueue,    // may nest in itself: epoll's queue is woken from a file's
  kLeaf,         // takes no other lock, ever
  kLog,
};

}  // namespace runsc

#endif  // PLATFORM_BASE_LOCK_RANK_H_
