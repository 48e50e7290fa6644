// MountOptions: the options of a mount in config.json, decoded (runtime-spec, config.md, "Linux mount
// options").
#ifndef RUNSC_OCI_MOUNT_OPTIONS_H_
#define RUNSC_OCI_MOUNT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runsc/oci/spec.h"

namespace runsc::oci {

struct MountOptions {
  uint64_t flags = 0;            // MS_RDONLY and so on, MS_BIND and MS_REC of a bind mount included; mount(2)
  uint64_t cleared = 0;          // flags that were switched off by name ("rw", "suid")
  uint64_t propagation = 0;      // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with MS_REC; 0: not said
  uint64_t recursive_flags = 0;  // those that hold for the mounts below too ("rro")
  bool copy_up = false;          // "tmpcopyup": a tmpfs starts with what is there in the image
  std::string data;              // what is left, for the filesystem: "mode=755,size=65536k"

  bool is_bind() const;
  bool is_read_only() const;
  // The value of "name=value" in data; false if it is not there.
  bool FindData(std::string_view name, std::string* value) const;
};

MountOptions DecodeMountOptions(const Mount& mount);

// Every option that is not for the filesystem alone, sorted.
std::vector<std::string> KnownMountOptions();

}  // namespace runsc::oci

#endif  // RUNSC_OCI_MOUNT_OPTIONS_H_
