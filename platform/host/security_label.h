// SecurityLabel: the AppArmor profile and the SELinux context that a process of ours takes on for the rest of
// its life. No process of ours is begun by an execve(2), at which such a label usually changes: it changes
// its own, as aa_change_profile(2) and setcon(3) do, between what it needs rights for and what hostile input
// can reach.
//
// Linux counterpart: /proc/thread-self/attr; proc_pid_attr(5), apparmor(7), selinux(8).
#ifndef PLATFORM_HOST_SECURITY_LABEL_H_
#define PLATFORM_HOST_SECURITY_LABEL_H_

#include <string>
#include <string_view>

#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc {

struct SecurityLabel {
  std::string apparmor;  // a profile's name; "": none
  std::string selinux;   // "system_u:system_r:container_t:s0:c1,c2"; "": none
};

inline constexpr const char* kOwnAttributes = "/proc/thread-self/attr";
inline constexpr const char* kSelinuxFilesystem = "/sys/fs/selinux";

// Whether this host's kernel has it switched on.
bool HasApparmor(const std::string& attributes = kOwnAttributes);
bool HasSelinux(const std::string& filesystem = kSelinuxFilesystem);

// A label that is to be changed: opened while there is a /proc, written when there is none any more.
class LabelChange {
 public:
  // What is wrong, or "". Called by the thread and in the process that commits.
  std::string Prepare(SecurityLabel label, const std::string& attributes = kOwnAttributes);
  // For the calling thread, which is its process's only one, and for what it makes from now on. What is
  // wrong, or "". Not after no_new_privs: that keeps a confined process from it.
  std::string Commit();

 private:
  SecurityLabel label_;
  std::string apparmor_path_, selinux_path_;  // for messages
  UniqueFd apparmor_, selinux_;
};

}  // namespace runsc

#endif  // PLATFORM_HOST_SECURITY_LABEL_H_
