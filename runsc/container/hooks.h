// RunHooks: the hooks of config.json that run in the runtime's own namespaces, one after the other, each with
// the container's state on stdin (runtime-spec, config.md, "POSIX-platform Hooks").
#ifndef RUNSC_CONTAINER_HOOKS_H_
#define RUNSC_CONTAINER_HOOKS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "runsc/oci/spec.h"

namespace runsc {

// Where a hook runs.
struct HookPlace {
  std::string working_directory;  // "": the caller's; runc runs hooks in the bundle
  std::vector<int> namespaces;    // descriptors of /proc/PID/ns/…, entered in this order
};

// Runs `hook`, called `name` in the message ("poststart hook #0: …"). Waits for its end, at most its timeout,
// after which it and its process group are killed. Its stdout goes nowhere; the end of its stderr is part of
// the message.
absl::Status RunHook(const oci::Hook& hook, std::string_view name, std::string_view state,
                     const HookPlace& place = {});

// All of a kind; stops at the first that fails. `kind` is config.json's name: "prestart", ….
absl::Status RunHooks(const std::vector<oci::Hook>& hooks, std::string_view kind, std::string_view state,
                      const HookPlace& place = {});
// Runs all of them whatever becomes of them, as for poststop, where failures are only to be told: one
// message each.
std::vector<std::string> RunAllHooks(const std::vector<oci::Hook>& hooks, std::string_view kind,
                                     std::string_view state, const HookPlace& place = {});

}  // namespace runsc

#endif  // RUNSC_CONTAINER_HOOKS_H_
