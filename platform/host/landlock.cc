#include "platform/host/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "platform/base/unique_fd.h"

namespace runsc {
namespace {

// What the headers of Debian 12 do not know yet.
constexpr uint64_t kTruncate = uint64_t{1} << 14, kIoctlDevice = uint64_t{1} << 15;
constexpr uint64_t kNetBindTcp = 1, kNetConnectTcp = 2;
constexpr uint64_t kScopeAbstractUnix = 1, kScopeSignal = 2;

struct Ruleset {  // struct landlock_ruleset_attr
  uint64_t files = 0, network = 0, scoped = 0;
};

constexpr uint64_t kFileReads = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kFileWrites = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr uint64_t kDirectoryReads = kFileReads | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kAll = (uint64_t{1} << 16) - 1;

// What a kernel of this version of the interface can take away.
Ruleset Known(int version, const LandlockOptions& options) {
  Ruleset known;
  known.files = kAll & ~(LANDLOCK_ACCESS_FS_REFER | kTruncate | kIoctlDevice);
  if (version >= 2) known.files |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) known.files |= kTruncate;
  if (version >= 5) known.files |= kIoctlDevice;
  if (version >= 4 && !options.may_use_network) known.network = kNetBindTcp | kNetConnectTcp;
  if (version >= 6) known.scoped = kScopeSignal | (options.may_connect_unix ? 0 : kScopeAbstractUnix);
  return known;
}

size_t SizeFor(int version) {
  if (version >= 6) return sizeof(Ruleset);
  return version >= 4 ? offsetof(Ruleset, scoped) : offsetof(Ruleset, network);
}

uint64_t AccessTo(const LandlockRoot& root, bool is_directory) {
  if (!is_directory) return kFileReads | (root.read_only ? 0 : kFileWrites);
  // Devices of the host are never asked for anything, nor are new ones made.
  constexpr uint64_t kNever = kIoctlDevice | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
  return root.read_only ? kDirectoryReads : kAll & ~kNever;
}

}  // namespace

Result<bool> RestrictByLandlock(const LandlockOptions& options) {
  long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  Ruleset ruleset = Known(static_cast<int>(version), options);
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &ruleset, SizeFor(static_cast<int>(version)), 0)));
  if (!fd) return HostErrno();
  for (const LandlockRoot& root : options.roots) {
    struct stat status {};
    if (::fstat(root.fd, &status) != 0) return HostErrno();
    landlock_path_beneath_attr rule{};
    rule.allowed_access = AccessTo(root, S_ISDIR(status.st_mode)) & ruleset.files;
    rule.parent_fd = root.fd;
    if (::syscall(SYS_landlock_add_rule, fd.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
      return HostErrno();
  }
  if (::syscall(SYS_landlock_restrict_self, fd.get(), 0) != 0) return HostErrno();
  return true;
}

}  // namespace runsc
