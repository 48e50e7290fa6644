// StartGuestProcess: a process of the sandbox that somebody outside starts and watches: the first one,
// and those of `exec`. GuestProcess is how that somebody reaches it: signals, its terminal.
//
// Threading: any thread that is no task's, without locks.
#ifndef SENTRY_CONTROL_GUEST_PROCESS_H_
#define SENTRY_CONTROL_GUEST_PROCESS_H_

#include <functional>
#include <string>
#include <vector>

#include "platform/base/unique_fd.h"
#include "sentry/control/process_spec.h"
#include "sentry/fsimpl/host_job.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

struct GuestProcess {
  RefPtr<ThreadGroup> group;  // null: it could not be started
  RefPtr<Terminal> terminal;  // of its streams, or null
  RefPtr<HostJob> job;        // null: always in the foreground
  int exit_code = 0;  // when it could not be: 127 no such program, 126 not executable, 125 anything else
  std::string wrong;  // and why

  // A signal from outside.
  void Signal(int signal) const;
  // A signal that the terminal which it has from outside has made.
  void SignalFromTerminal(int signal) const;
};

// Those that a process is in; without UTS, IPC and time namespaces if it has ended.
TaskNamespaces NamespacesOf(const ThreadGroup& group);

struct GuestProcessOptions {
  ProcessSpec spec;
  RefPtr<MountNamespace> mounts;
  TaskNamespaces namespaces;         // null: the first ones
  RefPtr<GuestContainer> container;  // null: the first
  std::vector<UniqueFd> files;       // host descriptors for 0, 1, 2, …; invalid: closed
  std::function<void(bool)> ask;     // see HostJob; none: nobody is to be asked
  bool is_init = false;              // of the sandbox: everything ends with it; else a child of nobody
  bool is_first = false;             // of a container
  bool is_ordinary = false;          // InitOptions::is_ordinary
  bool is_held = false;              // InitOptions::is_held
};
GuestProcess StartGuestProcess(Kernel& kernel, GuestProcessOptions options);

}  // namespace runsc

#endif  // SENTRY_CONTROL_GUEST_PROCESS_H_
