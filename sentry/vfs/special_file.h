// Opening files that are names for something else: device nodes and FIFOs, on any
// filesystem. The owners of devices and of pipes register here at boot; a filesystem's
// Inode::Open calls OpenSpecialFile for the types it does not serve itself.
//
// Threading: registration before the first task runs, lookups from any thread.
// Linux counterpart: chrdev_open, blkdev_open, fifo_open (init_special_inode).
#ifndef SENTRY_VFS_SPECIAL_FILE_H_
#define SENTRY_VFS_SPECIAL_FILE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "sentry/vfs/file_description.h"

namespace runsc {

// Makes the open file of a device or a FIFO. `path` is the node; its inode's
// attachment is free for the opener's own state.
using SpecialFileOpener =
    std::function<Result<RefPtr<FileDescription>>(const VfsPath& path, const OpenOptions& options)>;

class DeviceRegistry {
 public:
  static DeviceRegistry& Get();
  // `count` minors from `minor` on, of a character (or block) device.
  void Register(uint32_t file_type, uint32_t major, uint32_t minor, uint32_t count, SpecialFileOpener opener);
  // The opener, or null.
  const SpecialFileOpener* Find(uint32_t file_type, uint64_t rdev) const;
  void SetFifoOpener(SpecialFileOpener opener) { fifo_opener_ = std::move(opener); }
  const SpecialFileOpener& fifo_opener() const { return fifo_opener_; }

 private:
  struct Range {
    uint32_t file_type, major, minor, count;
    SpecialFileOpener opener;
  };
  std::vector<Range> ranges_;
  SpecialFileOpener fifo_opener_;
};

// Opens path's inode, which is a device node, FIFO or socket. ENXIO: nothing behind it.
Result<RefPtr<FileDescription>> OpenSpecialFile(const VfsPath& path, const OpenOptions& options);

}  // namespace runsc

#endif  // SENTRY_VFS_SPECIAL_FILE_H_
