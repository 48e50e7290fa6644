// What systemd, or who takes its place, answers; and the texts about units in config.json.
#include "runsc/dbus/connection.h"
#include "runsc/dbus/message.h"
#include "runsc/systemd/gvariant_text.h"
#include "runsc/systemd/properties.h"
#include "runsc/systemd/unit.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {

std::vector<std::string> Seeds() {
  DbusMessage signal;
  signal.type = DbusMessage::kSignal;
  signal.serial = 7;
  signal.path = "/org/freedesktop/systemd1";
  signal.interface = "org.freedesktop.systemd1.Manager";
  signal.member = "JobRemoved";
  signal.sender = ":1.0";
  DbusMessage reply;
  reply.type = DbusMessage::kReturn;
  reply.serial = 8;
  reply.reply_serial = 1;
  return {EncodeDbusMessage(signal, {DbusValue::Uint32(1), DbusValue::ObjectPath("/j"),
                                     DbusValue::String("a.scope"), DbusValue::String("done")}),
          EncodeDbusMessage(reply, {DbusValue::Variant(DbusValue::String("252"))}),
          "@a(st) [('a\\'b', uint64 0x1f)]", "a-b.slice:prefix:name",
          "unix:path=/a%20b,guid=1;unix:abstract=x"};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (auto message = DecodeDbusMessage(input); message.ok()) {
    DbusReader job(*message);
    (void)job.Uint32();
    (void)job.ObjectPath();
    (void)job.String();
    (void)job.String();
    (void)DbusReader(*message).VariantString();
    (void)DbusReader(*message).Uint64();
  }
  if (auto value = ParseGvariantText(input); value.ok()) {
    // What was taken can be sent, and is well-formed.
    DbusMessage call;
    call.type = DbusMessage::kCall;
    call.serial = 1;
    call.path = "/";
    call.member = "M";
    CHECK(DecodeDbusMessage(EncodeDbusMessage(call, {DbusValue::Variant(*value)})).ok());
  }
  std::string text(input);
  if (auto unit = ParseSystemdUnit(text, "id", false); unit.ok())
    CHECK(unit->name.find('/') == std::string::npos);
  for (const std::string& socket : DbusSockets(text)) CHECK(!socket.empty());
  oci::Resources resources;
  resources.cpu.emplace().cpus = text;
  (void)LimitProperties(resources, {.unified = true, .version = 252});
  return 0;
}
