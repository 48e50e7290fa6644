// DbusMessage: a message of D-Bus, as its bytes and back; the "Message Protocol" of the D-Bus specification,
// version 1, little-endian, without descriptors.
//
// Ours, because the alternatives do not link into one static binary: Debian's libdbus-1.a wants libsystemd
// (sd_listen_fds(3), sd_is_socket(3)), of which there is no static archive. It is small because so is the
// need: we call methods of systemd and read replies of basic types. Whoever is at the other end, nothing is
// read beyond a message.
#ifndef RUNSC_DBUS_MESSAGE_H_
#define RUNSC_DBUS_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/dbus/value.h"

namespace runsc {

struct DbusMessage {
  enum Type : uint8_t { kInvalid = 0, kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };
  Type type = kInvalid;
  uint32_t serial = 0;
  uint32_t reply_serial = 0;  // of a reply: the call's
  std::string path, interface, member, error_name, destination, sender;
  std::string signature;  // of the body
  std::string body;
};

inline constexpr size_t kDbusFixedHeader = 16;  // bytes: what DbusMessageSize looks at
inline constexpr size_t kMaxDbusMessage = 4 << 20;

// The bytes of a message with these arguments; `signature` and `body` are made of them.
std::string EncodeDbusMessage(const DbusMessage& message, const std::vector<DbusValue>& arguments);

// How long the message is that begins with these 16 bytes.
absl::StatusOr<size_t> DbusMessageSize(std::string_view start);
// Of the bytes of one message, all of them. Header fields that are not known are passed over.
absl::StatusOr<DbusMessage> DecodeDbusMessage(std::string_view bytes);

// Reads the arguments of a message, one after the other, of the types that the caller expects. What is
// missing, of another type, or not well-formed makes it fail for good; the values are then 0 and "".
class DbusReader {
 public:
  explicit DbusReader(const DbusMessage& message) : DbusReader(message.signature, message.body) {}

  uint32_t Uint32();
  uint64_t Uint64();
  std::string String();
  std::string ObjectPath();
  // A variant that has to hold a string.
  std::string VariantString();
  bool ok() const { return ok_; }
  // An error that names what was read.
  absl::Status Check(std::string_view what) const;

 private:
  friend absl::StatusOr<DbusMessage> DecodeDbusMessage(std::string_view bytes);
  DbusReader(std::string_view signature, std::string_view bytes) : signature_(signature), bytes_(bytes) {}

  bool Expect(char type);
  void Align(size_t alignment);
  template <typename T>
  T Number();
  std::string_view Take(size_t size);
  std::string_view Text(size_t length);  // and the NUL after it
  std::string_view LongText() { return Text(Number<uint32_t>()); }
  std::string_view ShortText() { return Text(Number<uint8_t>()); }
  void SkipBasic(char type);
  void HeaderField(DbusMessage* message);

  std::string_view signature_;  // what is still to come
  std::string_view bytes_;      // from the message's (or body's) begin: alignment is by that
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace runsc

#endif  // RUNSC_DBUS_MESSAGE_H_
