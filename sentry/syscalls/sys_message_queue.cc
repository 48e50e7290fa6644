// System V message queues.
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_ipc.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

namespace runsc {
namespace {

constexpr size_t kMessageOverhead = 64;            // bytes that a message takes up beside its text
constexpr uint64_t kTextOffset = sizeof(int64_t);  // struct msgbuf: the type, then the text

// Calls `operation` (-> Result<bool>: done) until it is done, waiting in between.
template <typename Operation>
Result<void> BlockUntilDone(Task& task, MessageQueues& queues, MessageWaiter& waiter, Operation operation) {
  Result<bool> done = operation();
  Result<void> slept;
  while (done.ok() && !*done && slept.ok()) {
    slept = task.Block();
    if (slept.ok()) done = operation();
  }
  // A message may have been handed over while a signal came.
  if (queues.Cancel(waiter) && !slept.ok()) done = operation();
  RETURN_IF_ERROR(done);
  if (!*done) return Errno(ERESTARTNOHAND);
  return Ok();
}

msqid_ds WithVisibleIds(Task& task, msqid_ds status) {
  status.msg_perm = VisibleIpcPerm(status.msg_perm, *task.creds().user_ns);
  status.msg_lspid = task.pid_namespace().FromRoot(status.msg_lspid);
  status.msg_lrpid = task.pid_namespace().FromRoot(status.msg_lrpid);
  return status;
}

}  // namespace

Result<int64_t> SysMsgget(Task& task, int key, int flags) {
  ASSIGN_OR_RETURN(int id, task.ipc()->message_queues().Get(key, flags, IpcCallerOf(task)));
  return id;
}

Result<int64_t> SysMsgsnd(Task& task, int id, UserAddr from, uint64_t size, int flags) {
  IpcMessage message;
  ASSIGN_OR_RETURN(message.type, task.memory().Read(UserPtr<const int64_t>(from)));
  RefPtr<IpcNamespace> ipc = task.ipc();
  MessageQueues& queues = ipc->message_queues();
  if (size > static_cast<uint64_t>(queues.limits.max_bytes) || id < 0 || message.type < 1)
    return Errno(EINVAL);
  ASSIGN_OR_RETURN(message.charge, IpcCharge::Take(size + kMessageOverhead));
  message.text.resize(size);
  RETURN_IF_ERROR(
      task.memory().ReadArray(UserPtr<const std::byte>(from + kTextOffset), std::span(message.text)));
  TaskWaiter task_waiter(task);
  MessageWaiter waiter(task_waiter);
  RETURN_IF_ERROR(BlockUntilDone(task, queues, waiter, [&] {
    return queues.Send(id, message, (flags & IPC_NOWAIT) == 0, IpcCallerOf(task), waiter);
  }));
  return 0;
}

Result<int64_t> SysMsgrcv(Task& task, int id, UserAddr to, uint64_t size, int64_t type, int flags) {
  if (id < 0 || static_cast<int64_t>(size) < 0) return Errno(EINVAL);
  MessageRequest request{.type = type,
                         .max_size = size,
                         .except = (flags & MSG_EXCEPT) != 0,
                         .copy = (flags & MSG_COPY) != 0,
                         .truncate = (flags & MSG_NOERROR) != 0,
                         .wait = (flags & IPC_NOWAIT) == 0};
  if (request.copy && (request.except || request.wait)) return Errno(EINVAL);
  RefPtr<IpcNamespace> ipc = task.ipc();
  MessageQueues& queues = ipc->message_queues();
  TaskWaiter task_waiter(task);
  MessageWaiter waiter(task_waiter);
  IpcMessage message;
  RETURN_IF_ERROR(BlockUntilDone(
      task, queues, waiter, [&] { return queues.Receive(id, request, IpcCallerOf(task), waiter, message); }));
  const size_t length = std::min<uint64_t>(size, message.text.size());
  RETURN_IF_ERROR(task.memory().Write(UserPtr<int64_t>(to), message.type));
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(to + kTextOffset),
                                           std::span<const std::byte>(message.text).first(length)));
  return static_cast<int64_t>(length);
}

Result<int64_t> SysMsgctl(Task& task, int id, int command, UserAddr argument) {
  if (id < 0 || command < 0) return Errno(EINVAL);
  RefPtr<IpcNamespace> ipc = task.ipc();
  MessageQueues& queues = ipc->message_queues();
  const IpcCaller caller = IpcCallerOf(task);
  MemoryManager& memory = task.memory();
  switch (command) {
    case IPC_INFO:
    case MSG_INFO: {
      auto [info, highest] = queues.Info(command == MSG_INFO);
      RETURN_IF_ERROR(memory.Write(UserPtr<msginfo>(argument), info));
      return highest;
    }
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY: {
      ASSIGN_OR_RETURN(auto status, queues.Stat(id, IpcLookupOf(command, MSG_STAT, MSG_STAT_ANY), caller));
      RETURN_IF_ERROR(memory.Write(UserPtr<msqid_ds>(argument), WithVisibleIds(task, status.description)));
      return command == IPC_STAT ? 0 : status.id;
    }
    case IPC_SET: {
      ASSIGN_OR_RETURN(msqid_ds wanted, memory.Read(UserPtr<const msqid_ds>(argument)));
      RETURN_IF_ERROR(queues.Set(id, wanted, caller));
      return 0;
    }
    case IPC_RMID:
      RETURN_IF_ERROR(queues.Remove(id, caller));
      return 0;
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
