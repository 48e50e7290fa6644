#include "runsc/systemd/manager.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <charconv>
#include <thread>

namespace runsc {
namespace {

using Clock = DbusConnection::Clock;

constexpr std::chrono::seconds kPatience(30);

constexpr char kDestination[] = "org.freedesktop.systemd1";
constexpr char kObject[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kUnit[] = "org.freedesktop.systemd1.Unit";

Clock::time_point Deadline() { return Clock::now() + kPatience; }

std::string Environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

struct Address {
  std::string socket;
  DbusConnection::Server server;
};

std::vector<Address> Addresses(bool user) {
  std::vector<Address> addresses;
  auto add_buses = [&](const std::string& list) {
    for (std::string& socket : DbusSockets(list))
      addresses.push_back({std::move(socket), DbusConnection::kBus});
  };
  if (user) {
    std::string directory = Environment("XDG_RUNTIME_DIR");
    if (!directory.empty()) addresses.push_back({directory + "/systemd/private", DbusConnection::kPeer});
    add_buses(Environment("DBUS_SESSION_BUS_ADDRESS"));
    if (!directory.empty()) addresses.push_back({directory + "/bus", DbusConnection::kBus});
  } else {
    addresses.push_back({"/run/systemd/private", DbusConnection::kPeer});
    add_buses(Environment("DBUS_SYSTEM_BUS_ADDRESS"));
    addresses.push_back({"/run/dbus/system_bus_socket", DbusConnection::kBus});
  }
  return addresses;
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// What an error says for people; its name if it says nothing.
std::string ErrorOf(const DbusMessage& error) {
  DbusReader reader(error);
  std::string text = reader.String();
  return reader.ok() && !text.empty() ? text : error.error_name;
}

absl::Status ToStatus(const DbusMessage& error) {
  const std::string text = fmt::format("systemd: {}", ErrorOf(error));
  if (error.error_name.ends_with(".NoSuchUnit")) return absl::NotFoundError(text);
  if (error.error_name.ends_with(".UnitExists")) return absl::AlreadyExistsError(text);
  return absl::FailedPreconditionError(text);
}

DbusValue PropertyList(const SystemdProperties& properties) {
  DbusValue::List list;
  for (const auto& [name, value] : properties)
    list.push_back(DbusValue::Struct({DbusValue::String(name), DbusValue::Variant(value)}));
  return DbusValue::Array("(sv)", std::move(list));
}

// What runc says before it asks systemd for anything; sd_booted(3).
bool SystemdRuns() { return ::access("/run/systemd/system", F_OK) == 0; }

}  // namespace

absl::StatusOr<SystemdManager> SystemdManager::Connect(bool user) {
  if (!SystemdRuns())
    return absl::FailedPreconditionError(
        "systemd not running on this host, cannot use systemd cgroups manager: let the engine use the "
        "cgroupfs "
        "driver");
  std::string why;
  for (const Address& address : Addresses(user)) {
    absl::StatusOr<DbusConnection> connection =
        DbusConnection::Connect(address.socket, address.server, Deadline());
    if (connection.ok()) return Begin(*std::move(connection), address.server);
    if (!why.empty()) why += "; ";
    why += Text(connection.status());
  }
  return absl::UnavailableError(
      fmt::format("cannot reach systemd{}: {}", user ? " of the user" : "",
                  why.empty() ? "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set" : why));
}

absl::StatusOr<SystemdManager> SystemdManager::Begin(DbusConnection connection,
                                                     DbusConnection::Server server) {
  SystemdManager manager(std::move(connection));
  manager.connection_.KeepSignals(kManager, "JobRemoved");
  // A bus passes on only what one has asked for.
  if (server == DbusConnection::kBus) {
    if (absl::Status status = manager.Subscribe(); !status.ok()) return status;
  }
  return manager;
}

absl::Status SystemdManager::Subscribe() {
  DbusMessage match;
  match.destination = "org.freedesktop.DBus";
  match.path = "/org/freedesktop/DBus";
  match.interface = "org.freedesktop.DBus";
  match.member = "AddMatch";
  std::string rule = fmt::format("type='signal',sender='{}',interface='{}',member='JobRemoved',path='{}'",
                                 kDestination, kManager, kObject);
  absl::StatusOr<DbusMessage> answer = connection_.Call(match, {DbusValue::String(rule)}, Deadline());
  if (!answer.ok()) return answer.status();
  if (answer->type == DbusMessage::kError) return ToStatus(*answer);
  return AskManager("Subscribe", {}).status();
}

absl::StatusOr<DbusMessage> SystemdManager::Ask(const std::string& path, const std::string& interface,
                                                const std::string& member,
                                                const std::vector<DbusValue>& arguments) {
  DbusMessage call;
  call.destination = kDestination;
  call.path = path;
  call.interface = interface;
  call.member = member;
  absl::StatusOr<DbusMessage> answer = connection_.Call(call, arguments, Deadline());
  if (!answer.ok())
    return absl::Status(answer.status().code(),
                        fmt::format("systemd: {}: {}", member, Text(answer.status())));
  if (answer->type == DbusMessage::kError) return ToStatus(*answer);
  return answer;
}

absl::StatusOr<DbusMessage> SystemdManager::AskManager(const std::string& member,
                                                       const std::vector<DbusValue>& arguments) {
  return Ask(kObject, kManager, member, arguments);
}

absl::StatusOr<std::string> SystemdManager::Property(const std::string& path, const std::string& interface,
                                                     const std::string& name) {
  absl::StatusOr<DbusMessage> answer = Ask(path, "org.freedesktop.DBus.Properties", "Get",
                                           {DbusValue::String(interface), DbusValue::String(name)});
  if (!answer.ok()) return answer.status();
  DbusReader reader(*answer);
  std::string value = reader.VariantString();
  if (absl::Status status = reader.Check("systemd: " + name); !status.ok()) return status;
  return value;
}

absl::StatusOr<int> SystemdManager::Version() {
  absl::StatusOr<std::string> text = Property(kObject, kManager, "Version");
  if (!text.ok()) return text.status();
  size_t digits = text->find_first_of("0123456789");
  int number = 0;
  if (digits != std::string::npos)
    std::from_chars(text->data() + digits, text->data() + text->size(), number);
  return number;
}

absl::StatusOr<std::string> SystemdManager::Find(const SystemdUnit& unit) {
  absl::StatusOr<DbusMessage> answer = AskManager("GetUnit", {DbusValue::String(unit.name)});
  if (!answer.ok()) return answer.status();
  DbusReader reader(*answer);
  std::string object = reader.ObjectPath();
  if (absl::Status status = reader.Check("systemd: GetUnit"); !status.ok()) return status;
  return object;
}

absl::Status SystemdManager::FinishJob(const absl::StatusOr<DbusMessage>& answer, std::string_view what,
                                       const SystemdUnit& unit) {
  if (!answer.ok()) return answer.status();
  DbusReader reader(*answer);
  const std::string job = reader.ObjectPath();
  if (absl::Status status = reader.Check("systemd: a job"); !status.ok()) return status;
  const Clock::time_point deadline = Deadline();
  while (true) {
    absl::StatusOr<DbusMessage> signal = connection_.NextSignal(deadline);
    if (!signal.ok())
      return absl::Status(signal.status().code(), fmt::format("systemd does not {} the unit {}: {}", what,
                                                              unit.name, Text(signal.status())));
    DbusReader end(*signal);
    (void)end.Uint32();
    const std::string which = end.ObjectPath();
    (void)end.String();
    const std::string result = end.String();
    if (absl::Status status = end.Check("systemd: JobRemoved"); !status.ok()) return status;
    if (which != job) continue;
    if (result == "done") return absl::OkStatus();
    return absl::FailedPreconditionError(
        fmt::format("systemd cannot {} the unit {}: its job ended with '{}'", what, unit.name, result));
  }
}

absl::Status SystemdManager::Start(const SystemdUnit& unit, const SystemdProperties& properties) {
  std::vector<DbusValue> arguments = {DbusValue::String(unit.name), DbusValue::String("replace"),
                                      PropertyList(properties), DbusValue::Array("(sa(sv))", {})};
  absl::StatusOr<DbusMessage> answer = AskManager("StartTransientUnit", arguments);
  // One that has ended, or failed, is in the way until systemd drops it.
  for (int i = 0; i < 50 && absl::IsAlreadyExists(answer.status()); ++i) {
    if (absl::Status free = CheckFree(unit); !free.ok()) return free;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    answer = AskManager("StartTransientUnit", arguments);
  }
  return FinishJob(answer, "start", unit);
}

absl::StatusOr<std::string> SystemdManager::ControlGroup(const SystemdUnit& unit) {
  absl::StatusOr<std::string> object = Find(unit);
  if (!object.ok()) return object.status();
  const char* interface =
      unit.is_slice() ? "org.freedesktop.systemd1.Slice" : "org.freedesktop.systemd1.Scope";
  absl::StatusOr<std::string> path = Property(*object, interface, "ControlGroup");
  if (!path.ok()) return path;
  // Nothing leads out of the hierarchies, whoever answered.
  if (!path->starts_with("/") || path->size() == 1 || path->find("/../") != std::string::npos ||
      path->ends_with("/.."))
    return absl::FailedPreconditionError(
        fmt::format("systemd: the unit {} has no control group, but '{}'", unit.name, *path));
  return path;
}

absl::Status SystemdManager::SetProperties(const SystemdUnit& unit, const SystemdProperties& properties) {
  // true: until the unit or the machine ends.
  return AskManager("SetUnitProperties",
                    {DbusValue::String(unit.name), DbusValue::Bool(true), PropertyList(properties)})
      .status();
}

absl::Status SystemdManager::Attach(const SystemdUnit& unit, pid_t pid) {
  return AskManager("AttachProcessesToUnit",
                    {DbusValue::String(unit.name), DbusValue::String(""),
                     DbusValue::Array("u", {DbusValue::Uint32(static_cast<uint32_t>(pid))})})
      .status();
}

absl::Status SystemdManager::Remove(const SystemdUnit& unit) {
  absl::StatusOr<std::string> object = Find(unit);
  if (absl::IsNotFound(object.status())) return absl::OkStatus();
  if (!object.ok()) return object.status();
  absl::StatusOr<std::string> description = Property(*object, kUnit, "Description");
  if (!description.ok()) return description.status();
  if (*description != unit.description) return absl::OkStatus();
  absl::Status status = FinishJob(
      AskManager("StopUnit", {DbusValue::String(unit.name), DbusValue::String("replace")}), "stop", unit);
  // It may be gone by itself in between: its processes are.
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  status = AskManager("ResetFailedUnit", {DbusValue::String(unit.name)}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status SystemdManager::CheckFree(const SystemdUnit& unit) {
  absl::StatusOr<std::string> object = Find(unit);
  if (absl::IsNotFound(object.status())) return absl::OkStatus();
  if (!object.ok()) return object.status();
  absl::StatusOr<std::string> state = Property(*object, kUnit, "ActiveState");
  if (!state.ok()) return state.status();
  if (*state == "failed") return AskManager("ResetFailedUnit", {DbusValue::String(unit.name)}).status();
  // One that has ended goes as soon as nobody looks.
  if (*state == "inactive") return absl::OkStatus();
  return absl::AlreadyExistsError(
      fmt::format("systemd: Unit {} already exists: it is {}", unit.name, *state));
}

}  // namespace runsc
