// Process accounting (acct(2), acct(5)): at the end of each process of a PID namespace, or of one below it, a
// record of it goes to the end of a file.
//
// Threading: any thread. Linux counterpart: kernel/acct.c.
#ifndef SENTRY_KERNEL_PROCESS_ACCOUNTING_H_
#define SENTRY_KERNEL_PROCESS_ACCOUNTING_H_

#include "sentry/kernel/pid_namespace.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

// `file` is open for appending; null: no accounting from now on.
void SetAccountingFile(PidNamespace& space, RefPtr<FileDescription> file);
// The last thread of a process ends. Task thread only; hold no lock.
void AccountForProcess(Task& task);

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROCESS_ACCOUNTING_H_
