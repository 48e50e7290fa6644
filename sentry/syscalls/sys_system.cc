#include "sentry/syscalls/sys_system.h"

#include <sys/personality.h>
#include <sys/random.h>

#include <climits>
#include <cstring>

#include "sentry/kernel/kernel.h"
#include "sentry/usermem/io_sequence.h"

namespace runsc {
namespace {

template <size_t size>
void Put(char (&to)[size], std::string_view from) {
  memcpy(to, from.data(), std::min(from.size(), size - 1));
}

Result<std::string> ReadName(Task& task, UserAddr from, int length) {
  constexpr int kMaxLength = 64;  // __NEW_UTS_LEN
  if (!task.creds().HasCapabilityIn(*task.uts()->user_ns(), CAP_SYS_ADMIN)) return Errno(EPERM);
  if (length < 0 || length > kMaxLength) return Errno(EINVAL);
  std::string name(length, '\0');
  RETURN_IF_ERROR(
      task.memory().ReadArray(UserPtr<const char>(from), std::span<char>(name.data(), name.size())));
  return name;
}

}  // namespace

Result<int64_t> SysUname(Task& task, UserPtr<struct utsname> user_name) {
  struct utsname name;
  memset(&name, 0, sizeof(name));
  RefPtr<UtsNamespace> uts = task.uts();
  Put(name.sysname, "Linux");
  Put(name.nodename, uts->host_name());
  Put(name.release, kKernelRelease);
  Put(name.version, kKernelVersion);
  constexpr int kPersonalityMask = 0xff;  // PER_MASK
  bool is_32_bit = (task.personality & kPersonalityMask) == PER_LINUX32;
  Put(name.machine, is_32_bit ? "i686" : "x86_64");
  Put(name.domainname, uts->domain_name());
  RETURN_IF_ERROR(task.memory().Write(user_name, name));
  return 0;
}

Result<int64_t> SysSethostname(Task& task, UserAddr user_name, int length) {
  ASSIGN_OR_RETURN(std::string name, ReadName(task, user_name, length));
  task.uts()->SetHostName(std::move(name));
  return 0;
}

Result<int64_t> SysSetdomainname(Task& task, UserAddr user_name, int length) {
  ASSIGN_OR_RETURN(std::string name, ReadName(task, user_name, length));
  task.uts()->SetDomainName(std::move(name));
  return 0;
}

Result<int64_t> SysSysinfo(Task& task, UserPtr<struct sysinfo> user_info) {
  Kernel& kernel = task.kernel();
  struct sysinfo info;
  memset(&info, 0, sizeof(info));
  info.uptime = (MonotonicNow() - kernel.boot_time_monotonic() + task.time_namespace().offsets().boottime) /
                kNanosecondsPerSecond;
  info.totalram = kernel.memory_file().limit();
  uint64_t used = kernel.memory_file().allocated_bytes();
  info.freeram = used < info.totalram ? info.totalram - used : 0;
  info.procs = static_cast<unsigned short>(std::min<size_t>(kernel.task_count(), USHRT_MAX));
  info.mem_unit = 1;
  RETURN_IF_ERROR(task.memory().Write(user_info, info));
  return 0;
}

Result<int64_t> SysGetrandom(Task& task, UserBuffer buffer, uint64_t length, uint32_t flags) {
  constexpr uint32_t kInsecure = 4;
  constexpr uint64_t kMaxLength = INT_MAX;
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | kInsecure)) != 0) return Errno(EINVAL);
  if ((flags & (GRND_RANDOM | kInsecure)) == (GRND_RANDOM | kInsecure)) return Errno(EINVAL);
  length = std::min(length, kMaxLength);
  uint64_t done = 0;
  std::byte chunk[4096];
  while (done < length) {
    size_t wanted = std::min<uint64_t>(sizeof(chunk), length - done);
    ssize_t got = getrandom(chunk, wanted, 0);
    if (got < 0) return done != 0 ? Result<int64_t>(static_cast<int64_t>(done)) : HostErrno();
    size_t copied = task.memory().CopyOut(buffer.addr + done, std::span(chunk, static_cast<size_t>(got)));
    done += copied;
    if (copied < static_cast<size_t>(got)) break;
    if (task.HasPendingWork()) break;
  }
  if (done == 0 && length != 0) return Errno(EFAULT);
  return static_cast<int64_t>(done);
}

// The kernel's log is empty.
Result<int64_t> SysSyslog(Task& task, int type, UserBuffer, int length) {
  constexpr int kReadAll = 3, kSizeUnread = 9, kSizeBuffer = 10;
  if (!task.creds().HasCapability(CAP_SYSLOG)) return Errno(EPERM);  // kernel.dmesg_restrict is 1
  if (type < 0 || type > kSizeBuffer) return Errno(EINVAL);
  if (type == kReadAll && length < 0) return Errno(EINVAL);
  if (type == kSizeUnread) return 0;
  if (type == kSizeBuffer) return 1 << 17;
  return 0;
}

}  // namespace runsc
