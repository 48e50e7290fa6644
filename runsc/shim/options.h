// What configures the containers of a shim: the options that come with Create, kept in the bundle for the
// command that cleans up after a shim.
#ifndef RUNSC_SHIM_OPTIONS_H_
#define RUNSC_SHIM_OPTIONS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/shim/proto/task.pb.h"

namespace runsc::shim {

// How runsc is called for a container.
struct RuntimeOptions {
  std::string program = "/proc/self/exe";
  std::vector<std::string> global_flags;  // --root first
};

// A file with global flags of runsc, one a line, "--platform=ptrace"; # begins a comment. An error names
// `name` and the line.
absl::StatusOr<std::vector<std::string>> ParseFlagsFile(std::string_view text, const std::string& name);

// From the options of CreateTaskRequest: containerd.runc.v1.Options (Root, BinaryName, SystemdCgroup) or
// runtimeoptions.v1.Options, whose ConfigPath names a file with flags and whose ConfigBody is one; else the
// defaults.
absl::StatusOr<RuntimeOptions> ReadOptions(const api::Any& options, const std::string& default_root);

absl::Status SaveOptions(const std::string& bundle, const RuntimeOptions& options);
// The defaults if none were saved.
RuntimeOptions LoadOptions(const std::string& bundle, const std::string& default_root);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_OPTIONS_H_
