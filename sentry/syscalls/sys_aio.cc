// Reads, writes and syncs are done where they are submitted, as Linux does for all files but those opened
// with O_DIRECT; IOCB_CMD_POLL waits beside the program.
#include "sentry/syscalls/sys_aio.h"

#include <linux/fs.h>

#include "sentry/fsimpl/aio_context.h"
#include "sentry/syscalls/file_io.h"
#include "sentry/syscalls/io_vectors.h"
#include "sentry/syscalls/signal_mask.h"
#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

constexpr uint32_t kKey = 0;  // KIOCB_KEY

Result<RefPtr<AioContext>> FindContext(Task& task, uint64_t id) {
  RefPtr<AioContext> context = AioContexts::Of(task.memory())->Find(id);
  if (!context) return Errno(EINVAL);
  return context;
}

bool IsWrite(const iocb& request) {
  return request.aio_lio_opcode == IOCB_CMD_PWRITE || request.aio_lio_opcode == IOCB_CMD_PWRITEV;
}

Result<IoSequence> BufferOf(Task& task, const iocb& request) {
  const UserAddr buffer(request.aio_buf);
  if (request.aio_lio_opcode == IOCB_CMD_PREAD || request.aio_lio_opcode == IOCB_CMD_PWRITE)
    return MakeIoSequence(task, buffer, request.aio_nbytes);
  return ReadIoVectors(task, UserPtr<const iovec>(buffer), request.aio_nbytes);
}

// What the event of a transfer says. Errors of the request itself (the second level) are io_submit's.
Result<Result<size_t>> Transfer(Task& task, FileDescription& file, const iocb& request) {
  constexpr int kKnownFlags = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT;
  if ((request.aio_rw_flags & ~kKnownFlags) != 0) return Errno(EOPNOTSUPP);
  const bool write = IsWrite(request);
  if (write ? !file.writable() : !file.readable()) return Errno(EBADF);
  if (file.inode()->IsDirectory()) return Errno(EINVAL);
  ASSIGN_OR_RETURN(IoSequence sequence, BufferOf(task, request));
  std::optional<uint64_t> offset;
  if (!file.Seek(0, SEEK_CUR).is(ESPIPE)) {
    if (request.aio_offset < 0) return Errno(EINVAL);
    offset = static_cast<uint64_t>(request.aio_offset);
  }
  const bool no_wait = (request.aio_rw_flags & RWF_NOWAIT) != 0;
  Result<size_t> done = write ? WriteFile(task, file, sequence, offset, no_wait)
                              : ReadFile(task, file, sequence, offset, no_wait);
  if (write && done.ok() && (request.aio_rw_flags & (RWF_DSYNC | RWF_SYNC)) != 0) {
    if (Result<void> synced = file.Sync((request.aio_rw_flags & RWF_SYNC) == 0); !synced.ok())
      done = synced.error();
  }
  return done;
}

Result<Result<size_t>> Sync(FileDescription& file, const iocb& request) {
  if (request.aio_buf != 0 || request.aio_offset != 0 || request.aio_nbytes != 0 || request.aio_rw_flags != 0)
    return Errno(EINVAL);
  if (!file.inode()->IsRegular() && !file.inode()->IsDirectory()) return Errno(EINVAL);
  Result<void> synced = file.Sync(request.aio_lio_opcode == IOCB_CMD_FDSYNC);
  if (!synced.ok()) return Result<size_t>(synced.error());
  return Result<size_t>(size_t{0});
}

int64_t EventResult(const Result<size_t>& done) {
  if (done.ok()) return static_cast<int64_t>(*done);
  // An interrupted call cannot be restarted: the rest of what was submitted may be done already.
  return done.is(ERESTARTSYS) ? -EINTR : -done.error().value();
}

Result<void> StartPoll(const RefPtr<AioContext>& context, RefPtr<FileDescription> file, const iocb& request,
                       AioOrigin origin) {
  if (request.aio_buf > UINT16_MAX || request.aio_offset != 0 || request.aio_nbytes != 0 ||
      request.aio_rw_flags != 0)
    return Errno(EINVAL);
  const EventMask events = static_cast<EventMask>(request.aio_buf) | EPOLLERR | EPOLLHUP;
  MakeRef<AioPoll>(context, std::move(file), events, std::move(origin))->Start();
  return Ok();
}

// A request that is counted already.
Result<void> Run(Task& task, const RefPtr<AioContext>& context, RefPtr<FileDescription> file,
                 const iocb& request, AioOrigin origin) {
  Result<Result<size_t>> done = Errno(EINVAL);
  switch (request.aio_lio_opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PREADV:
    case IOCB_CMD_PWRITEV:
      done = Transfer(task, *file, request);
      break;
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC:
      done = Sync(*file, request);
      break;
    case IOCB_CMD_POLL:
      return StartPoll(context, std::move(file), request, std::move(origin));
    default:
      break;
  }
  RETURN_IF_ERROR(done);
  context->Complete(origin, EventResult(*done));
  return Ok();
}

Result<void> Submit(Task& task, const RefPtr<AioContext>& context, uint64_t address) {
  UserPtr<iocb> user_request(address);
  ASSIGN_OR_RETURN(iocb request, task.memory().Read(user_request));
  if (request.aio_reserved2 != 0 || static_cast<int64_t>(request.aio_nbytes) < 0) return Errno(EINVAL);
  AioOrigin origin{.iocb = address, .data = request.aio_data};
  RETURN_IF_ERROR(context->Begin());
  auto run = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(static_cast<int>(request.aio_fildes)));
    if ((request.aio_flags & IOCB_FLAG_RESFD) != 0) {
      ASSIGN_OR_RETURN(origin.event_file, task.GetFile(static_cast<int>(request.aio_resfd)));
      if (dynamic_cast<EventFile*>(origin.event_file.get()) == nullptr) return Errno(EINVAL);
    }
    RETURN_IF_ERROR(
        task.memory().Write(UserPtr<uint32_t>(address + offsetof(iocb, aio_key)), uint32_t{kKey}));
    return Run(task, context, std::move(file), request, std::move(origin));
  };
  Result<void> started = run();
  if (!started.ok()) context->Abort();
  return started;
}

// io_getevents(2) takes any numbers. EFAULT.
Result<std::optional<int64_t>> ReadTimeout(Task& task, UserPtr<const timespec> from) {
  if (!from) return std::optional<int64_t>();
  ASSIGN_OR_RETURN(timespec value, task.memory().Read(from));
  int64_t nanoseconds;
  if (__builtin_mul_overflow(value.tv_sec, kNanosecondsPerSecond, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, value.tv_nsec, &nanoseconds))
    nanoseconds = INT64_MAX;
  if (value.tv_sec < 0) nanoseconds = 0;
  return std::optional(std::max<int64_t>(nanoseconds, 0));
}

Result<int64_t> GetEvents(Task& task, uint64_t id, int64_t minimum, int64_t count, UserPtr<io_event> to,
                          const std::optional<int64_t>& timeout) {
  ASSIGN_OR_RETURN(RefPtr<AioContext> context, FindContext(task, id));
  if (minimum < 0 || minimum > count) return Errno(EINVAL);
  const Deadline deadline = AfterOrNever(timeout);
  ScopedWait wait(task, context->wait_queue(), EPOLLIN);
  int64_t got = 0;
  while (true) {
    Result<size_t> taken =
        context->TakeEvents(to.At(static_cast<uint64_t>(got)), static_cast<size_t>(count - got));
    if (!taken.ok()) return got > 0 ? Result<int64_t>(got) : taken.error();
    got += static_cast<int64_t>(*taken);
    if (got >= minimum || (timeout && *timeout == 0)) return got;
    Result<void> slept = task.Block(deadline);
    if (slept.is(ETIMEDOUT)) return got;
    if (!slept.ok()) return got > 0 ? Result<int64_t>(got) : Errno(EINTR);
  }
}

}  // namespace

Result<int64_t> SysIoSetup(Task& task, uint32_t requests, UserPtr<uint64_t> user_context) {
  constexpr uint32_t kMaxRequests = 0x10000000 / sizeof(io_event);
  ASSIGN_OR_RETURN(uint64_t old, task.memory().Read(user_context));
  if (old != 0 || requests == 0 || requests > kMaxRequests) return Errno(EINVAL);
  task.memory().SetLimits(task.memory_limits());
  ASSIGN_OR_RETURN(RefPtr<AioContext> context, AioContext::Create(task.memory(), requests));
  RefPtr<AioContexts> contexts = AioContexts::Of(task.memory());
  contexts->Add(context);
  if (Result<void> written = task.memory().Write(user_context, context->id()); !written.ok()) {
    (void)SysIoDestroy(task, context->id());
    return written.error();
  }
  return 0;
}

Result<int64_t> SysIoDestroy(Task& task, uint64_t id) {
  RefPtr<AioContext> context = AioContexts::Of(task.memory())->Remove(id);
  if (!context) return Errno(EINVAL);
  context->Shutdown();
  (void)task.memory().MUnmap(UserAddr(id), context->ring_length());
  return 0;
}

Result<int64_t> SysIoSubmit(Task& task, uint64_t id, int64_t count, UserPtr<const uint64_t> iocbs) {
  if (count < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<AioContext> context, FindContext(task, id));
  count = std::min<int64_t>(count, context->capacity());
  int64_t submitted = 0;
  for (; submitted < count; ++submitted) {
    Result<uint64_t> address = task.memory().Read(iocbs.At(static_cast<uint64_t>(submitted)));
    Result<void> started = address.ok() ? Submit(task, context, *address) : Result<void>(address.error());
    if (!started.ok()) return submitted > 0 ? Result<int64_t>(submitted) : started.error();
  }
  return submitted;
}

Result<int64_t> SysIoCancel(Task& task, uint64_t id, UserPtr<const iocb> user_request, UserPtr<io_event>) {
  ASSIGN_OR_RETURN(iocb request, task.memory().Read(user_request));
  if (request.aio_key != kKey) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<AioContext> context, FindContext(task, id));
  RefPtr<AioPoll> poll = context->FindPoll(user_request.addr().value());
  if (!poll || !poll->Cancel(true)) return Errno(EINVAL);
  return Errno(EINPROGRESS);  // its event tells the end
}

Result<int64_t> SysIoGetevents(Task& task, uint64_t id, int64_t minimum, int64_t count,
                               UserPtr<io_event> events, UserPtr<const timespec> timeout) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimeout(task, timeout));
  return GetEvents(task, id, minimum, count, events, time);
}

Result<int64_t> SysIoPgetevents(Task& task, uint64_t id, int64_t minimum, int64_t count,
                                UserPtr<io_event> events, UserPtr<const timespec> timeout,
                                UserPtr<const AioSignalMask> user_mask) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimeout(task, timeout));
  if (user_mask) {
    ASSIGN_OR_RETURN(AioSignalMask mask, task.memory().Read(user_mask));
    RETURN_IF_ERROR(ApplyTemporaryMask(task, UserPtr<const uint64_t>(mask.mask), mask.size));
  }
  return GetEvents(task, id, minimum, count, events, time);
}

}  // namespace runsc
