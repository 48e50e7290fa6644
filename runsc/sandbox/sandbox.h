// Sandbox: starts a Gofer and a Sentry process around one command, stays with them as
// their parent, forwards signals, and returns the command's exit code. Both end with
// this process, however it ends, and it ends them when one of them dies.
//
// Called on the only thread of the process.
#ifndef RUNSC_SANDBOX_SANDBOX_H_
#define RUNSC_SANDBOX_SANDBOX_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "platform/host/clone_process.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/pod.h"

namespace runsc {

// Exit codes of runsc's own, as of env(1), timeout(1) and docker run.
inline constexpr int kExitFailed = 125;          // runsc could not do it
inline constexpr int kExitNotExecutable = 126;   // the command is there but cannot be run
inline constexpr int kExitCommandMissing = 127;  // there is no such command

// For a container, whose caller is its monitor. Its Sentry shares the monitor's network namespace.
// Host uid and gid "nobody", which own nothing: those of a Sentry that root starts.
inline constexpr uint32_t kNobody = 65534;

struct SandboxContainer {
  // Control connections are taken here: a listening SOCK_SEQPACKET socket. Those of root and of this
  // process's user are passed on.
  UniqueFd listener;
  // The guest's ids as the host's files have them; empty: they are the same.
  std::vector<IdMapping> uid_mappings, gid_mappings;
  // A control connection to the Sentry that the container is to be in (pod_member.h); invalid: one of its
  // own. The rest is about that.
  UniqueFd pod;
  pid_t pods_monitor = -1;  // of the container that the Sentry was started for
  NamespaceOrigin pid, uts, ipc, time;
  UniqueFd socket_requests;  // sandbox.cc serves them (sentry/boot/socket_maker.h); invalid: there are none
  // The processes are there; `sentry` is -1 in a pod.
  std::function<void(pid_t sentry, pid_t gofer)> on_processes;
  // The first process waits to be started.
  std::function<void()> on_ready;
  // What goes wrong, instead of on stderr.
  std::function<void(const std::string&)> say;
  // Somebody without whom there is no use in going on: readable when he is gone. -1: nobody.
  int creator = -1;
};

struct SandboxOptions {
  struct Root {
    std::string path;
    bool read_only = true;
    bool recursive = true;  // with what is mounted below it, always so for an ordinary user
    // Id-mapped: ids as the files have them (inside) and as they are to be on this host (outside). Not for
    // an ordinary user.
    std::vector<IdMapping> uid_map, gid_map;
    bool map_below = false;  // what is mounted below it, too
  };
  std::vector<Root> roots;  // the Gofer's, by index
  BootOptions boot;         // the sockets are filled in here
  bool gofer_seccomp = true;
  SecurityLabel label;  // of Gofer and Sentry; this process keeps its own, which it was given by its caller

  std::optional<SandboxContainer> container;
};

// Runs to the end; the exit code for the shell (128+n after signal n). Says on stderr
// what went wrong if it is one of the codes above or a process of ours died.
int RunSandbox(SandboxOptions options);

}  // namespace runsc

#endif  // RUNSC_SANDBOX_SANDBOX_H_
