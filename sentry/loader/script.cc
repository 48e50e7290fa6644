#include "sentry/loader/script.h"

namespace runsc {

Result<std::optional<ScriptLine>> ParseScriptLine(std::string_view head) {
  constexpr std::string_view kBlanks = " \t";
  if (head.substr(0, 2) != "#!") return std::optional<ScriptLine>();
  head = head.substr(0, kScriptLineMax);
  std::string_view line = head.substr(2);
  bool complete = true;  // the line's end is in sight: a newline, a NUL or the end of the file
  if (size_t end = line.find('\n'); end != std::string_view::npos) {
    line = line.substr(0, end);
  } else if (head.size() == kScriptLineMax) {
    line.remove_suffix(1);
    complete = false;
  }
  size_t start = line.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) return Errno(ENOEXEC);
  line.remove_prefix(start);
  size_t name_end = line.find_first_of(std::string_view(" \t\0", 3));
  // A name cut off by the buffer's end could be another program's.
  if (name_end == std::string_view::npos && !complete) return Errno(ENOEXEC);

  ScriptLine script;
  script.interpreter = std::string(line.substr(0, name_end));
  if (script.interpreter.empty()) return Errno(ENOEXEC);
  if (name_end == std::string_view::npos || line[name_end] == '\0') return std::optional(script);
  line.remove_prefix(name_end);
  if (size_t nul = line.find('\0'); nul != std::string_view::npos) line = line.substr(0, nul);
  size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return std::optional(script);
  size_t last = line.find_last_not_of(kBlanks);
  script.argument = std::string(line.substr(first, last - first + 1));
  return std::optional(script);
}

}  // namespace runsc
