// SystemdManager: a connection to systemd, the machine's or the caller's own, for what a container needs of
// it: transient units, as org.freedesktop.systemd1(5) has them. Every method asks and waits, for 30 seconds
// at most; errors are in systemd's words. Called by one thread.
//
// It is reached by its private socket, if it may be: without a message bus in between, as systemctl(1) does.
#ifndef RUNSC_SYSTEMD_MANAGER_H_
#define RUNSC_SYSTEMD_MANAGER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/dbus/connection.h"
#include "runsc/systemd/unit.h"

namespace runsc {

using SystemdProperty = std::pair<std::string, DbusValue>;
using SystemdProperties = std::vector<SystemdProperty>;

class SystemdManager {
 public:
  // FailedPrecondition if systemd does not run here.
  static absl::StatusOr<SystemdManager> Connect(bool user);
  // Over a connection that is there already.
  static absl::StatusOr<SystemdManager> Begin(DbusConnection connection, DbusConnection::Server server);

  // 252 for "252.38-1~deb12u1".
  absl::StatusOr<int> Version();
  // A transient unit; waits until it is started. AlreadyExists if there is one by that name.
  absl::Status Start(const SystemdUnit& unit, const SystemdProperties& properties);
  // The path of its control group, of a unit that is started: "/system.slice/docker-ID.scope".
  absl::StatusOr<std::string> ControlGroup(const SystemdUnit& unit);
  absl::Status SetProperties(const SystemdUnit& unit, const SystemdProperties& properties);
  // Moves a process into the unit's control group, which has to be delegated.
  absl::Status Attach(const SystemdUnit& unit, pid_t pid);
  // Stops it, ending its processes, and makes systemd forget that it failed. Fine if it is not there any
  // more. A unit with another description is somebody else's and is left alone.
  absl::Status Remove(const SystemdUnit& unit);
  // AlreadyExists if a unit of this name is in use, whosever it is. Forgets one that has failed.
  absl::Status CheckFree(const SystemdUnit& unit);

 private:
  explicit SystemdManager(DbusConnection connection) : connection_(std::move(connection)) {}
  absl::StatusOr<DbusMessage> Ask(const std::string& path, const std::string& interface,
                                  const std::string& member, const std::vector<DbusValue>& arguments);
  absl::StatusOr<DbusMessage> AskManager(const std::string& member, const std::vector<DbusValue>& arguments);
  absl::StatusOr<std::string> Property(const std::string& path, const std::string& interface,
                                       const std::string& name);
  // Its object; NotFound if it is not loaded.
  absl::StatusOr<std::string> Find(const SystemdUnit& unit);
  // Starts to wait for the end of jobs.
  absl::Status Subscribe();
  absl::Status FinishJob(const absl::StatusOr<DbusMessage>& answer, std::string_view what,
                         const SystemdUnit& unit);

  DbusConnection connection_;
};

}  // namespace runsc

#endif  // RUNSC_SYSTEMD_MANAGER_H_
