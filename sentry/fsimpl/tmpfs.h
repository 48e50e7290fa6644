// tmpfs: a filesystem in the sandbox's own memory file. It serves /tmp, /dev, /dev/shm,
// memfd_create(2) and, as the upper layer, the overlay.
//
// A directory inode holds its entries itself (name to inode, and a cursor that stays
// the same for getdents64); the dentry tree above it is only a cache. A regular file's
// pages are extents of the memory file, shared between read, write and mappings.
// Threading: any thread. Linux counterpart: mm/shmem.c.
#ifndef SENTRY_FSIMPL_TMPFS_H_
#define SENTRY_FSIMPL_TMPFS_H_

#include <cstdint>
#include <string_view>

#include "sentry/memory/memory_file.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

struct TmpfsOptions {
  uint64_t max_bytes = 0;   // size=; 0: no limit but the memory file's
  uint64_t max_inodes = 0;  // nr_inodes=; 0: no limit
  uint32_t root_mode = 01777;
  Uid uid = 0;
  Gid gid = 0;
};

// "size=64m,mode=755", of whoever mounts it (null: the sandbox). EINVAL. `total`: what size=50% is half of.
Result<TmpfsOptions> ParseTmpfsOptions(std::string_view text, uint64_t total,
                                       const RefPtr<const Credentials>& creds = nullptr);

NewFilesystem MakeTmpfs(MemoryFile& memory_file, const TmpfsOptions& options,
                        std::string_view type_name = "tmpfs");

// The type for mount(2): "tmpfs" (or "devtmpfs", "ramfs").
std::unique_ptr<FilesystemType> MakeTmpfsType(MemoryFile& memory_file, std::string_view type_name = "tmpfs");

// memfd_create(2): `flags` are MFD_*, `name` is without "memfd:".
Result<RefPtr<FileDescription>> CreateMemfd(MemoryFile& memory_file, std::string_view name, uint32_t flags,
                                            const RefPtr<const Credentials>& creds);

// A nameless shared object of `size` bytes: shared anonymous mappings and System V
// shared memory. `name` is what /proc/pid/maps shows ("/dev/zero", "/SYSV00000000").
Result<RefPtr<FileDescription>> CreateSharedMemory(MemoryFile& memory_file, std::string_view name,
                                                   uint64_t size);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_TMPFS_H_
