// Linux's asynchronous I/O: io_setup(2) and its family.
#ifndef SENTRY_SYSCALLS_SYS_AIO_H_
#define SENTRY_SYSCALLS_SYS_AIO_H_

#include <linux/aio_abi.h>

#include "sentry/syscalls/table.h"

namespace runsc {

struct AioSignalMask {  // struct __aio_sigset
  uint64_t mask;        // guest address
  uint64_t size;
};

Result<int64_t> SysIoSetup(Task& task, uint32_t requests, UserPtr<uint64_t> context);
Result<int64_t> SysIoDestroy(Task& task, uint64_t context);
Result<int64_t> SysIoSubmit(Task& task, uint64_t context, int64_t count, UserPtr<const uint64_t> iocbs);
Result<int64_t> SysIoCancel(Task& task, uint64_t context, UserPtr<const iocb> request,
                            UserPtr<io_event> event);
Result<int64_t> SysIoGetevents(Task& task, uint64_t context, int64_t minimum, int64_t count,
                               UserPtr<io_event> events, UserPtr<const timespec> timeout);
Result<int64_t> SysIoPgetevents(Task& task, uint64_t context, int64_t minimum, int64_t count,
                                UserPtr<io_event> events, UserPtr<const timespec> timeout,
                                UserPtr<const AioSignalMask> mask);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_AIO_H_
