// What goes over a control connection, between a command of runsc and the Sentry of a container.
//
// The monitor listens on a socket in the container's directory, which only the container's owner can reach.
// It checks who connects (SO_PEERCRED means nothing inside the Sentry's user namespace) and hands the
// connection on; so the Sentry accepts nothing, and a client that vanishes costs it one descriptor until it
// notices.
//
// Packets of one size, both ways, on a SOCK_SEQPACKET socket: there is no length to get wrong and nothing to
// parse but a number, and a packet of another size ends the connection. What has no bound (a process to
// start) comes as a file beside the message.
#ifndef SENTRY_CONTROL_MESSAGES_H_
#define SENTRY_CONTROL_MESSAGES_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "platform/base/unique_fd.h"

namespace runsc {

struct ControlMessage {
  enum Kind : uint32_t {
    // Requests.
    kStart = 1,           // lets the held first process go
    kExec = 2,            // a further process; `value`: which of 0, 1, 2 it has, as bits; `number`: how many
                          // descriptors above 2. Files: the ProcessSpec, then those descriptors
    kSignal = 3,          // signal `value` for the first process, or with `number` 1 for all; on a connection
                          // with a process of its own, for that one
    kTerminalSignal = 4,  // signal `value` of the process's terminal, for its foreground
    kProcesses = 6,       // asks for a kProcess each, and kDone
    kPause = 7,
    kResume = 8,
    kStats = 9,
    kAddContainer = 10,  // a further container in this Sentry, whose monitor the client is; `value`: which of
                         // 0, 1, 2 its first process has, as bits. Files: see Pod::Add
    kUpdate = 11,        // other limits: `limits`
    kTasks = 12,         // asks for a kTask each, and kDone
    kStrace = 13,  // log every system call from now on, or (`value` 0) no more. Files: a regular one for
                   // the log, or none
    // Replies.
    kDone = 64,     // it is done
    kFailed = 65,   // it is not; `value` an exit code where one is asked for, else an errno; `text` why
    kStarted = 66,  // the process of kExec runs; `value` is its number in the sandbox
    kExited = 67,   // it has ended; `value` is its wait status
    kProcess = 69,
    kStatsReply = 70,
    kTask = 71
  };
  struct Process {
    int32_t pid, parent;
    uint32_t uid, threads;
    int64_t cpu_time;    // nanoseconds
    int64_t start_time;  // nanoseconds of CLOCK_REALTIME
    char terminal[16];   // "pts/0", or empty
    char command[400];   // its arguments, blanks between them
  };
  struct Stats {
    uint64_t memory, memory_limit;  // bytes
    int64_t cpu_time;               // nanoseconds
    uint64_t tasks, processes;
  };

  // What a sandbox may use: `given` says which of them, as bits of Given. 0: without limit.
  struct Limits {
    enum Given : uint32_t { kMemory = 1, kTasks = 2, kCpuQuota = 4, kCpuPeriod = 8, kCpuWeight = 16 };
    uint32_t given, unused;
    uint64_t memory;                 // bytes
    uint64_t tasks;                  // processes and threads
    uint64_t cpu_quota, cpu_period;  // microseconds
    uint64_t cpu_weight;             // 1 to 10,000
  };

  // What a thread is doing.
  struct Task {
    int32_t process, thread;  // as the container numbers them
    int32_t system_call;      // that it is in; -1: none, it is in guest code
    char state;               // as of /proc/PID/stat: R, S, D, T, Z
    char unused[3];
    int64_t cpu_time;  // nanoseconds
    char name[32];     // /proc/PID/comm
  };

  uint32_t kind = 0;
  int32_t value = 0;
  uint64_t number = 0;
  union {
    char text[496];
    Process process;
    Stats stats;
    Limits limits;
    Task task;
  };

  ControlMessage() { std::memset(static_cast<void*>(this), 0, sizeof(*this)); }
  static ControlMessage Make(Kind kind, int value = 0, std::string_view text = {}) {
    ControlMessage message;
    message.kind = kind;
    message.value = value;
    size_t size = text.size() < sizeof(message.text) - 1 ? text.size() : sizeof(message.text) - 1;
    text.copy(message.text, size);
    return message;
  }
};
static_assert(sizeof(ControlMessage) == 512);

// Descriptors that may come with one message: the spec, three streams, --preserve-fds.
inline constexpr size_t kMaxControlFds = 64;

// EPIPE: the other end is gone. `flags` as of send(2).
bool SendControl(int socket, const ControlMessage& message, const std::vector<int>& fds = {}, int flags = 0);
// False when the other end is gone, or sent what is no message. The descriptors are close-on-exec.
bool ReceiveControl(int socket, ControlMessage* message, std::vector<UniqueFd>* fds = nullptr);

// Most bytes of a file with a spec: above what execve(2) takes by default, a quarter of an 8 MiB stack.
inline constexpr size_t kMaxControlFile = 4 << 20;
// What such a file holds. It belongs to the client, who may change it: it is copied once, and then decoded.
std::optional<std::vector<std::byte>> ReadControlFile(int fd);

}  // namespace runsc

#endif  // SENTRY_CONTROL_MESSAGES_H_
