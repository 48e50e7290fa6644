// procfs: what the kernel tells of its tasks and of itself, as text.
//
// An instance belongs to a PID namespace: it shows that namespace's tasks under the numbers they have there.
// Directories of tasks are revalidated at each walk, so that they go with their task.
// Threading: any thread. Linux counterpart: fs/proc; proc(5).
#ifndef SENTRY_FSIMPL_PROC_H_
#define SENTRY_FSIMPL_PROC_H_

#include <memory>

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

struct NamespaceHandle;

// The file that /proc/<pid>/ns/* would give for a namespace.
RefPtr<FileDescription> OpenNamespace(Kernel& kernel, const NamespaceHandle& handle);

NewFilesystem MakeProc(Kernel& kernel, RefPtr<PidNamespace> pid_namespace);

// "proc" for mount(2): the mounting task's PID namespace, or the root one.
std::unique_ptr<FilesystemType> MakeProcType(Kernel& kernel);

// Makes the text of a file below /proc/net ("unix", "tcp", …), given by the owner of the sockets at
// boot; without one a file shows its heading only.
void SetProcNetReader(std::string_view name, std::function<std::string()> reader);
// The same for a whole file; the heading alone where that is "".
void SetProcNetFile(std::string_view name, std::function<std::string()> reader);

// The process whose /proc/<pid> is open as `file`, which pidfd_send_signal(2) takes for a pidfd. EBADF.
Result<RefPtr<ThreadGroup>> ProcessOfProcDirectory(FileDescription& file);

// Whether a task with `creds` may look into `target` as PTRACE_MODE_READ_FSCREDS allows
// (ptrace(2), "Ptrace access mode checking"): environ, maps, exe, fd and others. EACCES.
Result<void> CheckTaskAccess(const Credentials& creds, const Task& target);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PROC_H_
