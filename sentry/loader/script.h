// The "#!" line of a script. Linux counterpart: fs/binfmt_script.c; execve(2).
#ifndef SENTRY_LOADER_SCRIPT_H_
#define SENTRY_LOADER_SCRIPT_H_

#include <optional>
#include <string>
#include <string_view>

#include "platform/base/result.h"

namespace runsc {

inline constexpr size_t kScriptLineMax = 256;  // BINPRM_BUF_SIZE
inline constexpr int kScriptNestingMax = 5;

struct ScriptLine {
  std::string interpreter;
  std::optional<std::string> argument;  // all of the rest of the line
};

// `head` is the file's first min(size, kScriptLineMax) bytes. nullopt: not a script. ENOEXEC: no
// interpreter named, or its name does not end within the line.
Result<std::optional<ScriptLine>> ParseScriptLine(std::string_view head);

}  // namespace runsc

#endif  // SENTRY_LOADER_SCRIPT_H_
