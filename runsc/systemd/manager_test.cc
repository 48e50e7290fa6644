#include "runsc/systemd/manager.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runsc/dbus/test_server.h"

namespace runsc {
namespace {

const SystemdUnit kUnit{.name = "a-b.scope", .slice = "a.slice", .description = "runsc container b"};
constexpr char kJob[] = "/org/freedesktop/systemd1/job/5";

std::string Error(const DbusMessage& call, const std::string& name, const std::string& text) {
  DbusMessage message;
  message.type = DbusMessage::kError;
  message.serial = 9;
  message.reply_serial = call.serial;
  message.error_name = "org.freedesktop.systemd1." + name;
  return EncodeDbusMessage(message, {DbusValue::String(text)});
}

std::string JobRemoved(const std::string& job, const std::string& result) {
  DbusMessage message;
  message.type = DbusMessage::kSignal;
  message.serial = 10;
  message.path = "/org/freedesktop/systemd1";
  message.interface = "org.freedesktop.systemd1.Manager";
  message.member = "JobRemoved";
  return EncodeDbusMessage(message, {DbusValue::Uint32(5), DbusValue::ObjectPath(job),
                                     DbusValue::String(kUnit.name), DbusValue::String(result)});
}

// What systemd says, by the method or, for Get, the property; and what it was asked.
struct FakeSystemd {
  std::map<std::string, std::function<std::string(const DbusMessage&)>> answers;
  std::vector<std::string> asked;

  void Property(const std::string& name, const std::string& value) {
    answers[name] = [value](const DbusMessage& call) {
      return DbusReturn(call.serial, {DbusValue::Variant(DbusValue::String(value))});
    };
  }
  void Object(const std::string& method, const std::string& path, const std::string& more = "") {
    answers[method] = [=](const DbusMessage& call) {
      return DbusReturn(call.serial, {DbusValue::ObjectPath(path)}) + more;
    };
  }
  void Refuses(const std::string& method, const std::string& error, const std::string& text) {
    answers[method] = [=](const DbusMessage& call) { return Error(call, error, text); };
  }
  void Nothing(const std::string& method) {
    answers[method] = [](const DbusMessage& call) { return DbusReturn(call.serial, {}); };
  }

  std::string Answer(const DbusMessage& call) {
    std::string what = call.member;
    if (what == "Get") {
      DbusReader reader(call);
      (void)reader.String();
      what = reader.String();
    }
    asked.push_back(what);
    auto found = answers.find(what);
    return found == answers.end() ? Error(call, "Unexpected", "not expected: " + what) : found->second(call);
  }
};

// One thing that is asked of it, and what that returns. The server has ended when this returns.
template <typename Function>
auto With(FakeSystemd& systemd, Function&& ask) {
  DbusTestServer server(DbusAnswers([&](const DbusMessage& call) { return systemd.Answer(call); }));
  auto connection = server.Begin();
  REQUIRE(connection.ok());
  auto manager = SystemdManager::Begin(*std::move(connection), DbusConnection::kPeer);
  REQUIRE(manager.ok());
  return ask(*manager);
}

using Asked = std::vector<std::string>;

TEST_CASE("a unit is started") {
  FakeSystemd systemd;
  systemd.Object("StartTransientUnit", kJob,
                 JobRemoved("/org/freedesktop/systemd1/job/4", "failed") + JobRemoved(kJob, "done"));
  CHECK(With(systemd, [](SystemdManager& m) { return m.Start(kUnit, {}); }).message() == "");
  // The end of the job may be told first.
  systemd.answers["StartTransientUnit"] = [](const DbusMessage& call) {
    return JobRemoved(kJob, "done") + DbusReturn(call.serial, {DbusValue::ObjectPath(kJob)});
  };
  CHECK(With(systemd, [](SystemdManager& m) { return m.Start(kUnit, {}); }).message() == "");
}

TEST_CASE("a unit that cannot be started") {
  FakeSystemd systemd;
  auto start = [&] {
    return std::string(With(systemd, [](SystemdManager& m) { return m.Start(kUnit, {}); }).message());
  };
  systemd.Object("StartTransientUnit", kJob, JobRemoved(kJob, "failed"));
  CHECK(start() == "systemd cannot start the unit a-b.scope: its job ended with 'failed'");
  systemd.Refuses("StartTransientUnit", "BadUnitSetting", "Cannot set property X, or unknown property.");
  CHECK(start() == "systemd: Cannot set property X, or unknown property.");
  systemd.answers["StartTransientUnit"] = [](const DbusMessage& call) {
    return DbusReturn(call.serial, {DbusValue::Uint32(1)});
  };
  CHECK(start() == "systemd: a job: the answer is not of the form that it has to be");
  systemd.Refuses("StartTransientUnit", "UnitExists",
                  "Unit a-b.scope was already loaded or has a fragment file.");
  systemd.Object("GetUnit", "/u");
  systemd.Property("ActiveState", "active");
  CHECK(start() == "systemd: Unit a-b.scope already exists: it is active");
}

TEST_CASE("what has failed, or has just ended, is not in the way for long") {
  FakeSystemd systemd;
  int refused = 0;
  systemd.answers["StartTransientUnit"] = [&](const DbusMessage& call) {
    return ++refused < 3 ? Error(call, "UnitExists", "it exists")
                         : DbusReturn(call.serial, {DbusValue::ObjectPath(kJob)}) + JobRemoved(kJob, "done");
  };
  systemd.Object("GetUnit", "/u");
  systemd.Property("ActiveState", "failed");
  systemd.Nothing("ResetFailedUnit");
  CHECK(With(systemd, [](SystemdManager& m) { return m.Start(kUnit, {}); }).message() == "");
  CHECK(systemd.asked == Asked{"StartTransientUnit", "GetUnit", "ActiveState", "ResetFailedUnit",
                               "StartTransientUnit", "GetUnit", "ActiveState", "ResetFailedUnit",
                               "StartTransientUnit"});
}

TEST_CASE("a unit is removed, if it is ours") {
  auto remove = [](FakeSystemd& systemd) {
    return std::string(With(systemd, [](SystemdManager& m) { return m.Remove(kUnit); }).message());
  };
  FakeSystemd systemd;
  systemd.Refuses("GetUnit", "NoSuchUnit", "Unit a-b.scope not loaded.");
  CHECK(remove(systemd).empty());
  systemd.Object("GetUnit", "/u");
  systemd.Property("Description", "somebody else's");
  systemd.asked.clear();
  CHECK(remove(systemd).empty());
  CHECK(systemd.asked == Asked{"GetUnit", "Description"});
  systemd.Property("Description", "runsc container b");
  systemd.Object("StopUnit", kJob, JobRemoved(kJob, "done"));
  systemd.Refuses("ResetFailedUnit", "NoSuchUnit", "Unit a-b.scope not loaded.");
  systemd.asked.clear();
  CHECK(remove(systemd).empty());
  CHECK(systemd.asked == Asked{"GetUnit", "Description", "StopUnit", "ResetFailedUnit"});
  systemd.Object("StopUnit", kJob, JobRemoved(kJob, "canceled"));
  CHECK(remove(systemd) == "systemd cannot stop the unit a-b.scope: its job ended with 'canceled'");
}

TEST_CASE("where a unit is") {
  FakeSystemd systemd;
  systemd.Object("GetUnit", "/u");
  auto path = [&](const std::string& answer) {
    systemd.Property("ControlGroup", answer);
    auto got = With(systemd, [](SystemdManager& m) { return m.ControlGroup(kUnit); });
    return got.ok() ? *got : std::string(got.status().message());
  };
  CHECK(path("/a.slice/a-b.scope") == "/a.slice/a-b.scope");
  for (const char* wrong : {"", "/", "a", "/a/../b", "/a/.."})
    CHECK(path(wrong) ==
          std::string("systemd: the unit a-b.scope has no control group, but '") + wrong + "'");
}

TEST_CASE("versions") {
  FakeSystemd systemd;
  for (const auto& [text, number] :
       {std::pair("252.38-1~deb12u1", 252), {"v245.4-4ubuntu3", 245}, {"239 (239-78.el8)", 239}, {"?", 0}}) {
    systemd.Property("Version", text);
    CHECK(*With(systemd, [](SystemdManager& m) { return m.Version(); }) == number);
  }
}

}  // namespace
}  // namespace runsc
