#include "platform/host/large_page_file.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace runsc {
namespace {

bool Configure(const UniqueFd& context, unsigned command, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0;
}

UniqueFd OpenInTmpfs() {
  UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  // `within_size`: no piece reaches over the end of the file, so the end says how large one may be.
  if (!context || !Configure(context, FSCONFIG_SET_STRING, "huge", "within_size") ||
      !Configure(context, FSCONFIG_SET_STRING, "size", "0") ||
      !Configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr))
    return {};
  UniqueFd root(static_cast<int>(
      ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)));
  if (!root) return {};
  return UniqueFd(::openat(root.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

// Whether what is allocated together is one piece: then a touch of its first byte fills all of it.
bool MakesPieces(const UniqueFd& file) {
  constexpr off_t kPiece = 64 << 10;
  if (::fallocate(file.get(), 0, 0, kPiece) != 0) return false;
  bool one_piece = false;
  if (void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
      page != MAP_FAILED) {
    *static_cast<volatile char*>(page) = 0;
    one_piece = ::lseek(file.get(), 0, SEEK_HOLE) == kPiece;
    ::munmap(page, 4096);
  }
  return ::ftruncate(file.get(), 0) == 0 && one_piece;
}

}  // namespace

UniqueFd OpenLargePageFile(std::optional<uint32_t> uid, std::optional<uint32_t> gid) {
  const int old_gid = gid ? ::setfsgid(*gid) : 0;
  const int old_uid = uid ? ::setfsuid(*uid) : 0;
  UniqueFd file = OpenInTmpfs();
  if (uid) ::setfsuid(static_cast<uid_t>(old_uid));
  if (gid) ::setfsgid(static_cast<gid_t>(old_gid));
  if (!file || !MakesPieces(file) || ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) return {};
  return file;
}

}  // namespace runsc
