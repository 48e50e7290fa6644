#include "runsc/container/process_title.h"

#include <string.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"

namespace runsc {

void SetCommandLine(const std::vector<std::string>& arguments) {
  absl::StatusOr<std::string> stat = ReadTextFile("/proc/self/stat");
  if (!stat.ok()) return;
  size_t end_of_name = stat->rfind(')');
  if (end_of_name == std::string::npos) return;
  std::vector<std::string> fields = absl::StrSplit(stat->substr(end_of_name + 1), ' ', absl::SkipEmpty());
  constexpr size_t kArgStart = 45, kArgEnd = 46;  // fields 48 and 49 of proc(5)
  uint64_t start = 0, end = 0;
  if (fields.size() <= kArgEnd || !absl::SimpleAtoi(fields[kArgStart], &start) ||
      !absl::SimpleAtoi(fields[kArgEnd], &end) || start == 0 || end <= start)
    return;
  std::string line;
  for (const std::string& argument : arguments) line += argument + '\0';
  auto* memory = reinterpret_cast<char*>(start);
  size_t room = end - start;
  size_t used = std::min(line.size(), room - 1);
  ::memcpy(memory, line.data(), used);
  ::memset(memory + used, 0, room - used);
}

}  // namespace runsc
