// ControlServer: serves the control connections of a container (messages.h) on a thread of its own, so
// that the Sentry's first thread goes on to take the monitor's messages while a program is loaded here.
//
// Nothing that a client sends is trusted, although it has the rights of the container's owner: what can be
// wrong is checked, answered by kFailed or by the end of the connection, and harms no other client. A process
// that a connection started ends with that connection: who started it stands for it on the host.
//
// Threading: Add from any thread; the rest on the server's own.
#ifndef SENTRY_CONTROL_CONTROL_SERVER_H_
#define SENTRY_CONTROL_CONTROL_SERVER_H_

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/unique_fd.h"
#include "sentry/control/guest_process.h"
#include "sentry/control/messages.h"

namespace runsc {

class ControlServer {
 public:
  struct Options {
    UniqueFd wake;                // an eventfd
    GuestProcess first;           // the container's first process, held
    std::function<void()> start;  // lets it go; called once
    // Makes a container (Pod::Add), and says what is wrong; null: there can be no more of them here.
    std::function<int(std::vector<UniqueFd> files, int streams, std::string* wrong)> add_container = nullptr;
    // Other limits for the sandbox; null: they are another container's.
    std::function<void(const ControlMessage::Limits&)> set_limits = nullptr;
    // strace on or off, into that log if there is one; what is wrong, or "". Null: it cannot be had here.
    std::function<std::string(bool on, UniqueFd log)> set_strace = nullptr;
  };
  ControlServer(Kernel& kernel, Options options);
  ~ControlServer();
  void Add(UniqueFd connection);
  // A signal for the first process, also while it is held: what would end it then, does.
  void SignalFirst(int signal);
  // Ends the first process if it never ran.
  void KillHeld();
  // Takes the end of what runs to the clients, and ends the thread.
  void Stop();

 private:
  class ExitWaiter;
  struct Connection {
    UniqueFd socket;
    GuestProcess process;  // without group: none was started
    std::unique_ptr<ExitWaiter> waiter;
    bool is_gone = false;
  };

  void Run();
  void Wake();
  void TakeNew();
  void Serve(Connection& connection);
  void Handle(Connection& connection, const ControlMessage& request, std::vector<UniqueFd> files);
  void Start(Connection& connection);
  void Exec(Connection& connection, const ControlMessage& request, std::vector<UniqueFd> files);
  void AddContainer(Connection& connection, const ControlMessage& request, std::vector<UniqueFd> files);
  void Pause(Connection& connection);
  void Signal(Connection& connection, const ControlMessage& request);
  void ListProcesses(Connection& connection);
  void ListTasks(Connection& connection);
  void Strace(Connection& connection, const ControlMessage& request, std::vector<UniqueFd> files);
  // One of many messages; false: the client is gone, or does not read.
  bool SendOneOfMany(Connection& connection, const ControlMessage& message);
  void SendStats(Connection& connection);
  void Update(Connection& connection, const ControlMessage& request);
  void ReportExit(Connection& connection);
  void Reply(Connection& connection, const ControlMessage& message);
  // The container's, and not those of others that its PID namespace shows.
  std::vector<RefPtr<ThreadGroup>> Processes() const;

  Kernel& kernel_;
  Options options_;
  std::list<Connection> connections_;
  std::thread thread_;

  Mutex mu_{LockRank::kLeaf};
  std::vector<UniqueFd> added_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace runsc

#endif  // SENTRY_CONTROL_CONTROL_SERVER_H_
