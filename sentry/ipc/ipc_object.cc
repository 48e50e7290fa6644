#include "sentry/ipc/ipc_object.h"

#include <sys/stat.h>

#include <atomic>

#include "sentry/ipc/ipc_table.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

std::atomic<uint64_t> charged{0};

}  // namespace

Result<void> CheckIpcAccess(const IpcPermissions& p, const IpcCaller& caller, int flags) {
  const Credentials& creds = caller.creds;
  const unsigned requested = static_cast<unsigned>(flags >> 6 | flags >> 3 | flags);
  unsigned granted = p.mode;
  if (creds.euid == p.cuid || creds.euid == p.uid) {
    granted >>= 6;
  } else if (creds.InGroup(p.cgid) || creds.InGroup(p.gid)) {
    granted >>= 3;
  }
  if ((requested & ~granted & 0007) != 0 && !caller.HasCapability(CAP_IPC_OWNER)) return Errno(EACCES);
  return Ok();
}

Result<void> CheckIpcControl(const IpcPermissions& p, const IpcCaller& caller) {
  const Uid euid = caller.creds.euid;
  if (euid == p.cuid || euid == p.uid || caller.HasCapability(CAP_SYS_ADMIN)) return Ok();
  return Errno(EPERM);
}

Result<void> ChangeIpcOwner(IpcPermissions& p, const struct ipc_perm& wanted, const IpcCaller& caller) {
  const Uid uid = caller.creds.user_ns->ToKernelUid(wanted.uid);
  const Gid gid = caller.creds.user_ns->ToKernelGid(wanted.gid);
  if (uid == kNoId || gid == kNoId) return Errno(EINVAL);
  p.uid = uid;
  p.gid = gid;
  p.mode = (p.mode & ~ACCESSPERMS) | (wanted.mode & ACCESSPERMS);
  return Ok();
}

struct ipc_perm ToIpcPerm(const IpcObject& object) {
  struct ipc_perm out {};
  out.__key = object.permissions.key;
  out.uid = object.permissions.uid;
  out.gid = object.permissions.gid;
  out.cuid = object.permissions.cuid;
  out.cgid = object.permissions.cgid;
  out.mode = static_cast<decltype(out.mode)>(object.permissions.mode);
  out.__seq = static_cast<unsigned short>(object.id >> kIpcIndexBits);
  return out;
}

struct ipc_perm VisibleIpcPerm(struct ipc_perm perm, const UserNamespace& viewer) {
  perm.uid = viewer.VisibleUid(perm.uid);
  perm.gid = viewer.VisibleGid(perm.gid);
  perm.cuid = viewer.VisibleUid(perm.cuid);
  perm.cgid = viewer.VisibleGid(perm.cgid);
  return perm;
}

int64_t IpcNow() { return ClockNow(CLOCK_REALTIME) / kNanosecondsPerSecond; }

Result<IpcCharge> IpcCharge::Take(uint64_t bytes) {
  if (bytes > kLimit) return Errno(ENOMEM);
  uint64_t before = charged.load(std::memory_order_relaxed);
  do {
    if (before > kLimit - bytes) return Errno(ENOMEM);
  } while (!charged.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return IpcCharge(bytes);
}

IpcCharge::~IpcCharge() { charged.fetch_sub(bytes_, std::memory_order_relaxed); }

}  // namespace runsc
