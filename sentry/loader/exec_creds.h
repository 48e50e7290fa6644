// The credentials of a new program: set-user-ID and set-group-ID bits, file capabilities, and
// what execve(2) does to the sets. Linux counterpart: cap_bprm_creds_from_file; capabilities(7).
#ifndef SENTRY_LOADER_EXEC_CREDS_H_
#define SENTRY_LOADER_EXEC_CREDS_H_

#include <optional>
#include <string_view>

#include "platform/base/result.h"
#include "sentry/auth/credentials.h"
#include "sentry/vfs/inode.h"

namespace runsc {

struct FileCapabilities {
  CapabilitySet permitted, inheritable;
  bool effective = false;
  // They count in namespaces whose root user (the kernel's id) this is, and below them; none: the
  // filesystem's.
  std::optional<Uid> root;
};

// The value of the "security.capability" attribute. EINVAL.
Result<FileCapabilities> ParseFileCapabilities(std::string_view value);

struct ExecCreds {
  RefPtr<const Credentials> creds;
  bool secure = false;  // AT_SECURE
};

// `honour_file`: the mount and the task let the file's bits and capabilities count.
ExecCreds CredsAfterExec(const Credentials& old, const InodeAttributes& file, bool honour_file,
                         const std::optional<FileCapabilities>& capabilities);

}  // namespace runsc

#endif  // SENTRY_LOADER_EXEC_CREDS_H_
