// Output that goes to a program: binary:///usr/bin/logger?key=value, by which containerd's clients (nerdctl,
// for one) keep logs. The program gets the keys and values as arguments, the container's output as descriptor
// 3, its errors as 4, and closes 5 when it is ready.
#ifndef RUNSC_SHIM_LOGGER_URI_H_
#define RUNSC_SHIM_LOGGER_URI_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace runsc::shim {

// The path and the arguments, percent-decoded (RFC 3986); of a value-less key the key alone.
std::vector<std::string> ParseLoggerUri(std::string_view uri);

// `files` become its 3, 4 and 5. `environment` is added to the caller's.
absl::Status StartLogger(std::vector<std::string> arguments, std::vector<std::string> environment,
                         std::array<int, 3> files);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_LOGGER_URI_H_
