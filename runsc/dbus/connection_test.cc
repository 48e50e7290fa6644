#include "runsc/dbus/connection.h"

#include <catch2/catch.hpp>

#include "runsc/dbus/test_server.h"

namespace runsc {
namespace {

using namespace std::string_literals;
using Clock = DbusConnection::Clock;
using std::chrono::milliseconds;

std::string Return(uint32_t to, const std::vector<DbusValue>& arguments) { return DbusReturn(to, arguments); }

std::string Signal(const std::string& member, uint32_t number) {
  DbusMessage message;
  message.type = DbusMessage::kSignal;
  message.serial = 101;
  message.path = "/p";
  message.interface = "i.f";
  message.member = member;
  return EncodeDbusMessage(message, {DbusValue::Uint32(number)});
}

DbusMessage SomeCall() {
  DbusMessage call;
  call.path = "/p";
  call.interface = "i.f";
  call.member = "Get";
  return call;
}

Clock::time_point Soon(int patience = 2000) { return Clock::now() + milliseconds(patience); }

TEST_CASE("a call, its answer, and signals in between") {
  DbusTestServer server(DbusAnswers([](const DbusMessage& call) {
    // Somebody else's answer and other signals are passed over.
    return Signal("Wanted", 1) + Signal("Other", 2) + Return(call.serial + 50, {DbusValue::Uint32(3)}) +
           Return(call.serial, {DbusValue::Uint32(4)}) + Signal("Wanted", 5);
  }));
  auto connection = server.Begin();
  REQUIRE(connection.ok());
  connection->KeepSignals("i.f", "Wanted");
  auto answer = connection->Call(SomeCall(), {DbusValue::String("x")}, Soon());
  REQUIRE(answer.ok());
  CHECK(DbusReader(*answer).Uint32() == 4);
  for (uint32_t number : {1u, 5u}) {
    auto signal = connection->NextSignal(Soon());
    REQUIRE(signal.ok());
    CHECK(DbusReader(*signal).Uint32() == number);
  }
  CHECK(absl::IsDeadlineExceeded(connection->NextSignal(Soon(30)).status()));
}

TEST_CASE("a large answer comes in pieces") {
  const std::string large(300'000, 'x');
  DbusTestServer server(
      DbusAnswers([&](const DbusMessage& call) { return Return(call.serial, {DbusValue::String(large)}); }));
  auto connection = server.Begin();
  REQUIRE(connection.ok());
  auto answer = connection->Call(SomeCall(), {}, Soon());
  REQUIRE(answer.ok());
  CHECK(DbusReader(*answer).String() == large);
}

TEST_CASE("who we are is said at once") {
  std::string heard;
  {
    DbusTestServer server([&](std::string& received, std::string* answer) {
      heard = received;
      *answer = "OK x\r\n";
      return true;
    });
    CHECK(server.Begin().ok());
  }
  CHECK(heard.starts_with("\0AUTH EXTERNAL "s));
  CHECK(heard.ends_with("\r\nBEGIN\r\n"));
  {
    DbusTestServer server([&](std::string& received, std::string* answer) {
      heard = received;
      *answer = "DATA\r\nOK x\r\n";
      return true;
    });
    CHECK(server.Begin(milliseconds(2000), DbusConnection::kOfSocket).ok());
  }
  CHECK(heard == "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"s);
}

TEST_CASE("servers that do not let us in") {
  auto error = [](std::string text, bool goes_on) {
    DbusTestServer server([&](std::string&, std::string* answer) {
      *answer = text;
      return goes_on;
    });
    return server.Begin(milliseconds(200)).status();
  };
  CHECK(absl::IsPermissionDenied(error("REJECTED KERBEROS_V4\r\n", true)));
  CHECK(absl::IsUnavailable(error("", false)));
  CHECK(absl::IsUnavailable(error("OK", false)));
  CHECK(absl::IsDeadlineExceeded(error("OK 1234", true)));
  CHECK(absl::IsDataLoss(error(std::string(100'000, 'x'), true)));
}

TEST_CASE("servers that answer what they should not") {
  auto call = [](std::function<std::string(const DbusMessage&)> reply, int patience = 200) {
    DbusTestServer server(DbusAnswers(std::move(reply)));
    auto connection = server.Begin();
    REQUIRE(connection.ok());
    return connection->Call(SomeCall(), {}, Soon(patience)).status();
  };
  CHECK(absl::IsDataLoss(call([](const DbusMessage&) { return "this is no message at all"s; })));
  CHECK(absl::IsDataLoss(
      call([](const DbusMessage&) { return "l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0"s; })));
  CHECK(absl::IsDeadlineExceeded(call([](const DbusMessage&) { return ""s; })));
  CHECK(absl::IsDeadlineExceeded(
      call([](const DbusMessage& got) { return Return(got.serial, {DbusValue::Uint32(1)}).substr(0, 17); })));
  // Nothing but signals, without an end in sight, is no answer either.
  CHECK(absl::IsDeadlineExceeded(call(
      [](const DbusMessage&) {
        std::string many;
        for (uint32_t i = 0; i < 1000; ++i) many += Signal("Wanted", i);
        return many;
      },
      100)));
}

TEST_CASE("addresses of buses") {
  using Sockets = std::vector<std::string>;
  CHECK(DbusSockets("unix:path=/run/user/1000/bus,guid=12") == Sockets{"/run/user/1000/bus"});
  CHECK(DbusSockets("tcp:host=x,port=1;unix:abstract=/tmp/a;unix:guid=1,path=/b") ==
        Sockets{"@/tmp/a", "/b"});
  CHECK(DbusSockets("unix:path=/a%20b%3b") == Sockets{"/a b;"});
  CHECK(DbusSockets("unix:path=/a%2").empty());
  CHECK(DbusSockets("unix:path=/a%00").empty());
  CHECK(DbusSockets("unix:path=").empty());
  CHECK(DbusSockets("").empty());
}

TEST_CASE("sockets that are not there") {
  auto connect = [](const std::string& socket) {
    return DbusConnection::Connect(socket, DbusConnection::kPeer, Soon(100)).status();
  };
  CHECK(absl::IsNotFound(connect("/nowhere/at/all")));
  CHECK(absl::IsNotFound(connect("@runsc-test-nobody-listens")));
  CHECK(absl::IsNotFound(connect(std::string(200, 'x'))));
  CHECK(absl::IsNotFound(connect("")));
}

}  // namespace
}  // namespace runsc
