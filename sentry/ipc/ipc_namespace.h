// IpcNamespace: the System V IPC objects and POSIX message queues that a task sees.
// Threading: any thread. Linux counterpart: struct ipc_namespace; ipc_namespaces(7).
#ifndef SENTRY_IPC_IPC_NAMESPACE_H_
#define SENTRY_IPC_IPC_NAMESPACE_H_

#include "sentry/auth/namespace.h"
#include "sentry/ipc/message_queues.h"
#include "sentry/ipc/semaphores.h"
#include "sentry/ipc/shared_memory.h"

namespace runsc {

class IpcNamespace final : public Namespace {
 public:
  IpcNamespace(MemoryFile& memory_file, CurrentPid current_pid, RefPtr<UserNamespace> user_ns);

  SemaphoreSets& semaphores() { return *semaphores_; }
  SharedMemory& shared_memory() { return *shared_memory_; }
  MessageQueues& message_queues() { return *message_queues_; }

  // The filesystem of its POSIX message queues: `make` is called once, by who asks first.
  RefPtr<RefCounted> QueueFilesystem(absl::FunctionRef<RefPtr<RefCounted>()> make);

 private:
  ~IpcNamespace() override;
  const RefPtr<SemaphoreSets> semaphores_;
  const RefPtr<SharedMemory> shared_memory_;
  const RefPtr<MessageQueues> message_queues_;
  Mutex mu_{LockRank::kIpc};
  RefPtr<RefCounted> queue_filesystem_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_IPC_IPC_NAMESPACE_H_
