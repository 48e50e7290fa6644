// Sockets in the file system.
#ifndef RUNSC_SHIM_LISTENER_H_
#define RUNSC_SHIM_LISTENER_H_

#include <string>

#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"

namespace runsc::shim {

// A listening stream socket at `path`, where nothing is yet, for its owner only; non-blocking.
absl::StatusOr<UniqueFd> ListenOn(const std::string& path);
// Whether somebody listens there.
bool IsListenedOn(const std::string& path);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_LISTENER_H_
