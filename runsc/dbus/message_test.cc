#include "runsc/dbus/message.h"

#include <catch2/catch.hpp>
#include <random>

namespace runsc {
namespace {

using namespace std::string_literals;

std::string BodyOf(const std::vector<DbusValue>& arguments) {
  DbusMessage call;
  call.type = DbusMessage::kCall;
  call.serial = 1;
  call.path = "/";
  call.member = "M";
  auto decoded = DecodeDbusMessage(EncodeDbusMessage(call, arguments));
  REQUIRE(decoded.ok());
  return decoded->body;
}

DbusMessage JobRemoved() {
  DbusMessage signal;
  signal.type = DbusMessage::kSignal;
  signal.serial = 7;
  signal.path = "/org/freedesktop/systemd1";
  signal.interface = "org.freedesktop.systemd1.Manager";
  signal.member = "JobRemoved";
  signal.sender = ":1.0";
  return signal;
}

std::vector<DbusValue> JobArguments() {
  return {DbusValue::Uint32(12), DbusValue::ObjectPath("/org/freedesktop/systemd1/job/12"),
          DbusValue::String("a.scope"), DbusValue::String("done")};
}

// The examples of the specification, "Marshaling".
TEST_CASE("values as the specification marshals them") {
  CHECK(BodyOf({DbusValue::String("foo"), DbusValue::String("+"), DbusValue::String("bar")}) ==
        "\x03\0\0\0foo\0\x01\0\0\0+\0\0\0\x03\0\0\0bar\0"s);
  CHECK(BodyOf({DbusValue::Array("x", {DbusValue::Int64(5)})}) == "\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0"s);
  CHECK(BodyOf({DbusValue::Variant(DbusValue::Int32(5))}) == "\x01i\0\0\x05\0\0\0"s);
}

TEST_CASE("values of every type") {
  CHECK(BodyOf({DbusValue::Byte(1), DbusValue::Bool(true), DbusValue::Int16(-2), DbusValue::Uint16(3),
                DbusValue::Uint64(4), DbusValue::Double(1)}) ==
        "\x01\0\0\0\x01\0\0\0\xfe\xff\x03\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f"s);
  CHECK(BodyOf({DbusValue::Bytes({1, 2})}) == "\x02\0\0\0\x01\x02"s);
  // An array without items is aligned for them nevertheless.
  CHECK(BodyOf({DbusValue::Array("(sv)", {})}) == "\0\0\0\0\0\0\0\0"s);
  CHECK(BodyOf({DbusValue::Array("(su)",
                                 {DbusValue::Struct({DbusValue::String("a"), DbusValue::Uint32(9)})})}) ==
        "\x0c\0\0\0\0\0\0\0\x01\0\0\0a\0\0\0\x09\0\0\0"s);
}

TEST_CASE("a message, byte by byte") {
  DbusMessage hello;
  hello.type = DbusMessage::kCall;
  hello.serial = 1;
  hello.path = "/org/freedesktop/DBus";
  hello.interface = "org.freedesktop.DBus";
  hello.member = "Hello";
  hello.destination = "org.freedesktop.DBus";
  CHECK(EncodeDbusMessage(hello, {}) ==
        "l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0"s
        "\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0"s
        "\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"s
        "\x03\x01s\0\x05\0\0\0Hello\0\0\0"s
        "\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"s);
}

TEST_CASE("a signal there and back") {
  std::string bytes = EncodeDbusMessage(JobRemoved(), JobArguments());
  auto size = DbusMessageSize(bytes);
  REQUIRE(size.ok());
  CHECK(*size == bytes.size());
  auto message = DecodeDbusMessage(bytes);
  REQUIRE(message.ok());
  CHECK(message->member == "JobRemoved");
  CHECK(message->sender == ":1.0");
  CHECK(message->signature == "uoss");
  DbusReader reader(*message);
  CHECK(reader.Uint32() == 12);
  CHECK(reader.ObjectPath() == "/org/freedesktop/systemd1/job/12");
  CHECK(reader.String() == "a.scope");
  CHECK(reader.String() == "done");
  CHECK(reader.ok());
  CHECK(reader.String().empty());
  CHECK(reader.Check("more").message() == "more: the answer is not of the form that it has to be");
}

TEST_CASE("an answer of another type than expected") {
  DbusMessage reply;
  reply.type = DbusMessage::kReturn;
  reply.serial = 2;
  reply.reply_serial = 1;
  auto read = [&](const DbusValue& value) {
    auto message = DecodeDbusMessage(EncodeDbusMessage(reply, {value}));
    REQUIRE(message.ok());
    return *message;
  };
  DbusMessage number = read(DbusValue::Variant(DbusValue::Uint64(1)));
  DbusReader wrong(number);
  CHECK(wrong.VariantString().empty());
  CHECK(!wrong.ok());
  DbusMessage text = read(DbusValue::Variant(DbusValue::String("252")));
  DbusReader right(text);
  CHECK(right.VariantString() == "252");
  CHECK(right.ok());
  DbusMessage path = read(DbusValue::ObjectPath("/a"));
  DbusReader string(path);
  CHECK(string.String().empty());
  CHECK(!string.ok());
}

void ReadAll(const DbusMessage& message) {
  DbusReader job(message);
  (void)job.Uint32();
  (void)job.ObjectPath();
  (void)job.String();
  (void)job.String();
  (void)DbusReader(message).VariantString();
  (void)DbusReader(message).Uint64();
}

TEST_CASE("messages that end too early") {
  const std::string bytes = EncodeDbusMessage(JobRemoved(), JobArguments());
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK(!DecodeDbusMessage(std::string_view(bytes).substr(0, size)).ok());
  CHECK(!DecodeDbusMessage(bytes + "\0"s).ok());
  // The body is shorter than its signature says.
  DbusMessage message = *DecodeDbusMessage(bytes);
  const std::string body = message.body;
  for (size_t size = 0; size < body.size(); ++size) {
    message.body = body.substr(0, size);
    DbusReader reader(message);
    (void)reader.Uint32();
    (void)reader.ObjectPath();
    (void)reader.String();
    (void)reader.String();
    CHECK(!reader.ok());
  }
}

TEST_CASE("lengths that are too long, and other lies") {
  const std::string good = EncodeDbusMessage(JobRemoved(), JobArguments());
  auto with = [&](size_t at, std::string_view bytes) {
    std::string changed = good;
    changed.replace(at, bytes.size(), bytes);
    return std::string(DecodeDbusMessage(changed).status().message());
  };
  CHECK(with(0, "B") == "a D-Bus message is not well-formed: it is not little-endian");
  CHECK(with(3, "\x02") == "a D-Bus message is not well-formed: its version is unknown");
  CHECK(with(4, "\xff\xff\xff\xff") == "a D-Bus message is not well-formed: it is too long");
  CHECK(with(12, "\xff\xff\xff\xff") == "a D-Bus message is not well-formed: it is too long");
  CHECK(with(8, "\0\0\0\0"s) == "a D-Bus message is not well-formed: it has no serial number");
  CHECK(with(1, "\x02") == "a D-Bus message is not well-formed: it replies to nothing");
  constexpr const char* kField = "a D-Bus message is not well-formed: a field of its header";
  CHECK(with(16, "\0"s) == kField);            // a field of code 0
  CHECK(with(18, "a") == kField);              // a path that is an array
  CHECK(with(20, "\xff\xff\0\0"s) == kField);  // longer than the header
  CHECK(with(20, "\x18\0\0\0"s) == kField);    // one byte short: no NUL where it has to be
  CHECK(with(17, "\xff") == kField);           // a signature longer than the header
}

TEST_CASE("a header field that is not known is passed over") {
  DbusMessage signal = JobRemoved();
  std::string bytes = EncodeDbusMessage(signal, {});
  // The sender, whose type is a string, gets another code.
  size_t at = bytes.find("\x07\x01s");
  REQUIRE(at != std::string::npos);
  bytes[at] = 99;
  auto message = DecodeDbusMessage(bytes);
  REQUIRE(message.ok());
  CHECK(message->sender.empty());
  CHECK(message->member == "JobRemoved");
}

TEST_CASE("random damage") {
  const std::string good = EncodeDbusMessage(JobRemoved(), JobArguments());
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    for (int changes = 0; changes < 3; ++changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (auto message = DecodeDbusMessage(bytes); message.ok()) ReadAll(*message);
  }
}

}  // namespace
}  // namespace runsc
