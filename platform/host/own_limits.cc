#include "platform/host/own_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

namespace runsc {
namespace {

constexpr rlim_t kOpenFiles = 65'536;
constexpr rlim_t kFewestOpenFiles = 64;

struct Limit {
  __rlimit_resource resource;
  const char* needed;  // "": it works, for a while, with what the hard limit gives
};
constexpr Limit kUnlimited[] = {{RLIMIT_AS, "address space (ulimit -H -v)"},
                                {RLIMIT_FSIZE, "file sizes (ulimit -H -f)"},
                                {RLIMIT_DATA, ""},
                                {RLIMIT_CPU, ""}};

}  // namespace

std::string LiftOwnLimits() {
  for (const Limit& limit : kUnlimited) {
    rlimit most{RLIM_INFINITY, RLIM_INFINITY};
    if (::setrlimit(limit.resource, &most) == 0) continue;
    if (*limit.needed != '\0')
      return fmt::format("the hard limit of {} has to be unlimited for a sandbox", limit.needed);
    if (::getrlimit(limit.resource, &most) == 0) most.rlim_cur = most.rlim_max;
    ::setrlimit(limit.resource, &most);
  }
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= kOpenFiles) return "";
  const rlimit more{std::max(files.rlim_cur, kFewestOpenFiles), kOpenFiles};
  if (::setrlimit(RLIMIT_NOFILE, &more) == 0 || files.rlim_max >= kFewestOpenFiles) return "";
  return fmt::format(
      "the hard limit of open files (ulimit -H -n) is too low for a sandbox: {}, not {} or more",
      files.rlim_max, kFewestOpenFiles);
}

}  // namespace runsc
