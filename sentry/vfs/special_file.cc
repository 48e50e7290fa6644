#include "sentry/vfs/special_file.h"

#include <sys/sysmacros.h>

namespace runsc {

DeviceRegistry& DeviceRegistry::Get() {
  static DeviceRegistry registry;
  return registry;
}

void DeviceRegistry::Register(uint32_t file_type, uint32_t major, uint32_t minor, uint32_t count,
                              SpecialFileOpener opener) {
  ranges_.push_back(Range{file_type, major, minor, count, std::move(opener)});
}

const SpecialFileOpener* DeviceRegistry::Find(uint32_t file_type, uint64_t rdev) const {
  uint32_t major_number = major(rdev), minor_number = minor(rdev);
  for (const Range& range : ranges_) {
    if (range.file_type == file_type && range.major == major_number && minor_number >= range.minor &&
        minor_number - range.minor < range.count)
      return &range.opener;
  }
  return nullptr;
}

Result<RefPtr<FileDescription>> OpenSpecialFile(const VfsPath& path, const OpenOptions& options) {
  RefPtr<Inode> inode = path.inode();
  const DeviceRegistry& registry = DeviceRegistry::Get();
  if (inode->file_type() == S_IFIFO) {
    if (!registry.fifo_opener()) return Errno(ENXIO);
    return registry.fifo_opener()(path, options);
  }
  if (inode->file_type() != S_IFCHR && inode->file_type() != S_IFBLK) return Errno(ENXIO);
  ASSIGN_OR_RETURN(InodeAttributes attributes, inode->Attributes());
  const SpecialFileOpener* opener = registry.Find(inode->file_type(), attributes.rdev);
  if (opener == nullptr) return Errno(ENXIO);
  return (*opener)(path, options);
}

}  // namespace runsc
