#include "sentry/ipc/ipc_namespace.h"

namespace runsc {

IpcNamespace::IpcNamespace(MemoryFile& memory_file, CurrentPid current_pid, RefPtr<UserNamespace> user_ns)
    : Namespace(std::move(user_ns)),
      semaphores_(MakeRef<SemaphoreSets>(current_pid)),
      shared_memory_(MakeRef<SharedMemory>(memory_file, current_pid)),
      message_queues_(MakeRef<MessageQueues>()) {}

// What is attached somewhere lives on until it is detached.
IpcNamespace::~IpcNamespace() { shared_memory_->Clear(); }

RefPtr<RefCounted> IpcNamespace::QueueFilesystem(absl::FunctionRef<RefPtr<RefCounted>()> make) {
  {
    MutexLock lock(mu_);
    if (queue_filesystem_) return queue_filesystem_;
  }
  RefPtr<RefCounted> made = make();
  MutexLock lock(mu_);
  if (!queue_filesystem_) queue_filesystem_ = std::move(made);
  return queue_filesystem_;
}

}  // namespace runsc
