// The commands of fcntl(2) that make files signal: F_SETOWN, F_SETSIG, O_ASYNC and F_NOTIFY.
#ifndef SENTRY_SYSCALLS_ASYNC_COMMAND_H_
#define SENTRY_SYSCALLS_ASYNC_COMMAND_H_

#include "sentry/kernel/task.h"

namespace runsc {

// F_{GET,SET}OWN, F_{GET,SET}OWN_EX, F_{GET,SET}SIG and F_NOTIFY.
Result<int64_t> AsyncCommand(Task& task, int fd, FileDescription& file, int command, uint64_t argument);
// Whether O_ASYNC means something for it: pipes, sockets, terminals and inotify.
bool CanSignalReadiness(FileDescription& file);
// O_ASYNC has changed.
void SetAsync(Task& task, int fd, FileDescription& file, bool on);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_ASYNC_COMMAND_H_
