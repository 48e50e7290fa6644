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
  uint64_t recursive_flags = 0;  // those that are set on the mounts below too ("rro")
  uint64_t recursive_cleared = 0;  // … and those that are cleared there ("rrw")
  bool id_map_below = false;       // "ridmap": an id mapping is that of the mounts below, too
  bool copy_up = false;            // "tmpcopyup": a tmpfs starts with what is there in the image
  std::string data;                // what is left, for the filesystem: "mode=755,size=65536k"

  bool is_bind() const;
  // The flags of the mount in the end. As in runc, the recursive ones act on bind mounts only, after the
  // others, and what they set wins over what they clear, whatever the order of the options.
  uint64_t EffectiveFlags() const;
  bool is_read_only() const;
  // The value of "name=value" in data; false if it is not there.
  bool FindData(std::string_view name, std::string* value) const;
};

MountOptions DecodeMountOptions(const Mount& mount);

// Whether it has id mappings, or an option that asks for those of the container.
bool IsIdMapped(const Mount& mount);

// "rshared": MS_SHARED | MS_REC. 0 for "" and what is no propagation.
uint64_t DecodePropagation(std::string_view name);

// Every option that is not for the filesystem alone, sorted.
std::vector<std::string> KnownMountOptions();

}  // namespace runsc::oci

#endif  // RUNSC_OCI_MOUNT_OPTIONS_H_
