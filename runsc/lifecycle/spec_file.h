// ProcessSpecFile: a process to start, as a file in memory that goes to the Sentry beside a message.
#ifndef RUNSC_LIFECYCLE_SPEC_FILE_H_
#define RUNSC_LIFECYCLE_SPEC_FILE_H_

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "sentry/control/process_spec.h"

namespace runsc {

// InvalidArgument: it is longer than the Sentry takes.
absl::StatusOr<UniqueFd> ProcessSpecFile(const ProcessSpec& spec);
// Any bytes, to be read from the beginning.
absl::StatusOr<UniqueFd> MemoryFileOf(std::span<const std::byte> bytes);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_SPEC_FILE_H_
