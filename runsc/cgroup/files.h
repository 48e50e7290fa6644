// The files of a control group: small texts, whose errors name them.
#ifndef RUNSC_CGROUP_FILES_H_
#define RUNSC_CGROUP_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace runsc::cgroup_files {

// One write(2). The error: "FILE: cannot write 'VALUE': why"; its code is NotFound for ENOENT,
// PermissionDenied for EACCES, EPERM and EROFS, Unavailable for EBUSY, InvalidArgument for EINVAL.
absl::Status Write(const std::string& path, std::string_view value);
absl::StatusOr<std::string> Read(const std::string& path);  // without the newline at the end
bool Exists(const std::string& path);

// A number; "max" is UINT64_MAX. `fallback` if there is no such file or no number in it.
uint64_t ReadNumber(const std::string& path, uint64_t fallback = 0);
// "key value" lines.
std::map<std::string, uint64_t> ReadTable(const std::string& path);

// The directory and its parents below (and without) `top`, made in this order; each newly made one is passed
// to `made`.
absl::Status MakeDirectories(const std::string& top, const std::string& path, std::vector<std::string>* made);
// This directory and all below it, deepest first.
std::vector<std::string> Tree(const std::string& path);
// Processes in the directory and all below it.
std::vector<int> Processes(const std::string& path);

}  // namespace runsc::cgroup_files

#endif  // RUNSC_CGROUP_FILES_H_
