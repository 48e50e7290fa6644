#include "runsc/container/process_identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace runsc {

ProcessIdentity ProcessIdentity::Of(pid_t pid) {
  if (pid <= 0) return {};
  UniqueFd fd(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  ssize_t length = fd ? ::read(fd.get(), text, sizeof(text)) : -1;
  if (length <= 0) return {};
  // The name, in parentheses, may hold anything, parentheses included.
  absl::string_view stat(text, static_cast<size_t>(length));
  size_t end_of_name = stat.rfind(')');
  if (end_of_name == absl::string_view::npos || end_of_name + 2 >= stat.size()) return {};
  std::vector<absl::string_view> fields = absl::StrSplit(stat.substr(end_of_name + 2), ' ');
  constexpr size_t kState = 0, kStartTime = 19;
  ProcessIdentity identity{.pid = pid};
  if (fields.size() <= kStartTime || fields[kState] == "Z" || fields[kState] == "X") return {};
  if (!absl::SimpleAtoi(fields[kStartTime], &identity.start_time)) return {};
  return identity;
}

bool ProcessIdentity::IsAlive() const { return pid > 0 && Of(pid) == *this; }

UniqueFd ProcessIdentity::Open() const {
  if (pid <= 0) return UniqueFd();
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Looked at while the descriptor is open: the number cannot change hands behind it.
  if (!fd || !IsAlive()) return UniqueFd();
  return fd;
}

}  // namespace runsc
