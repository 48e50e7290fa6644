#include "runsc/dbus/message.h"

#include <fmt/format.h>
#include <string.h>

#include "platform/base/check.h"

namespace runsc {
namespace {

constexpr char kLittleEndian = 'l';
constexpr uint8_t kProtocolVersion = 1;
constexpr size_t kMaxHeaderFields = 64 << 10;  // bytes

enum HeaderFieldCode : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSender = 7,
  kSignature = 8,
};

size_t AlignmentOf(char type) {
  switch (type) {
    case 'y':
    case 'g':
    case 'v':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
      return 8;
    default:
      return 4;
  }
}

class Encoder {
 public:
  std::string& bytes() { return bytes_; }

  void Align(size_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment); }

  template <typename T>
  void Number(T value) {
    Align(sizeof(T));
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }

  void Text(std::string_view text) {
    Number(static_cast<uint32_t>(text.size()));
    bytes_.append(text).push_back('\0');
  }

  void Signature(std::string_view signature) {
    CHECK(signature.size() <= UINT8_MAX);
    bytes_.push_back(static_cast<char>(signature.size()));
    bytes_.append(signature).push_back('\0');
  }

  void Value(const DbusValue& value) {
    switch (value.type()[0]) {
      case 'y':
        return Number(value.get<uint8_t>());
      case 'b':
        return Number(static_cast<uint32_t>(value.get<bool>()));
      case 'n':
        return Number(value.get<int16_t>());
      case 'q':
        return Number(value.get<uint16_t>());
      case 'i':
        return Number(value.get<int32_t>());
      case 'u':
        return Number(value.get<uint32_t>());
      case 'x':
        return Number(value.get<int64_t>());
      case 't':
        return Number(value.get<uint64_t>());
      case 'd':
        return Number(value.get<double>());
      case 'v':
        Signature(value.list()[0].type());
        return Value(value.list()[0]);
      case '(':
        Align(8);
        for (const DbusValue& field : value.list()) Value(field);
        return;
      case 'a':
        return Array(value);
      default:
        return Text(value.get<std::string>());
    }
  }

 private:
  // The length is that of the items, without what aligns the first of them.
  void Array(const DbusValue& value) {
    Number(uint32_t{0});
    size_t length_at = bytes_.size() - sizeof(uint32_t);
    Align(AlignmentOf(value.type()[1]));
    size_t begin = bytes_.size();
    for (const DbusValue& item : value.list()) Value(item);
    auto length = static_cast<uint32_t>(bytes_.size() - begin);
    ::memcpy(&bytes_[length_at], &length, sizeof(length));
  }

  std::string bytes_;
};

absl::Status Malformed(std::string_view why) {
  return absl::DataLossError(fmt::format("a D-Bus message is not well-formed: {}", why));
}

}  // namespace

std::string EncodeDbusMessage(const DbusMessage& message, const std::vector<DbusValue>& arguments) {
  Encoder body;
  std::string signature;
  for (const DbusValue& argument : arguments) {
    body.Value(argument);
    signature += argument.type();
  }
  Encoder header;
  header.Number(static_cast<uint8_t>(kLittleEndian));
  header.Number(static_cast<uint8_t>(message.type));
  header.Number(uint8_t{0});
  header.Number(kProtocolVersion);
  header.Number(static_cast<uint32_t>(body.bytes().size()));
  header.Number(message.serial);
  header.Number(uint32_t{0});
  auto field = [&](HeaderFieldCode code, const char* type) {
    header.Align(8);
    header.Number(static_cast<uint8_t>(code));
    header.Signature(type);
  };
  auto text = [&](HeaderFieldCode code, const char* type, const std::string& value) {
    if (value.empty()) return;
    field(code, type);
    header.Text(value);
  };
  text(kPath, "o", message.path);
  text(kInterface, "s", message.interface);
  text(kMember, "s", message.member);
  text(kErrorName, "s", message.error_name);
  if (message.reply_serial != 0) {
    field(kReplySerial, "u");
    header.Number(message.reply_serial);
  }
  text(kDestination, "s", message.destination);
  text(kSender, "s", message.sender);
  if (!signature.empty()) {
    field(kSignature, "g");
    header.Signature(signature);
  }
  auto fields = static_cast<uint32_t>(header.bytes().size() - kDbusFixedHeader);
  ::memcpy(&header.bytes()[kDbusFixedHeader - sizeof(fields)], &fields, sizeof(fields));
  header.Align(8);
  return header.bytes() + body.bytes();
}

absl::StatusOr<size_t> DbusMessageSize(std::string_view start) {
  if (start.size() < kDbusFixedHeader) return Malformed("it is too short");
  if (start[0] != kLittleEndian) return Malformed("it is not little-endian");
  if (static_cast<uint8_t>(start[3]) != kProtocolVersion) return Malformed("its version is unknown");
  uint32_t body = 0, fields = 0;
  ::memcpy(&body, &start[4], sizeof(body));
  ::memcpy(&fields, &start[12], sizeof(fields));
  if (fields > kMaxHeaderFields || body > kMaxDbusMessage - kDbusFixedHeader - kMaxHeaderFields)
    return Malformed("it is too long");
  return kDbusFixedHeader + (size_t{fields} + 7) / 8 * 8 + body;
}

absl::StatusOr<DbusMessage> DecodeDbusMessage(std::string_view bytes) {
  absl::StatusOr<size_t> size = DbusMessageSize(bytes);
  if (!size.ok()) return size.status();
  if (*size != bytes.size()) return Malformed("its length is not what it says");
  DbusMessage message;
  message.type = static_cast<DbusMessage::Type>(bytes[1]);
  ::memcpy(&message.serial, &bytes[8], sizeof(message.serial));
  if (message.serial == 0) return Malformed("it has no serial number");
  uint32_t fields = 0;
  ::memcpy(&fields, &bytes[12], sizeof(fields));
  DbusReader header("", bytes.substr(0, kDbusFixedHeader + fields));
  header.at_ = kDbusFixedHeader;
  while (header.ok() && header.at_ < header.bytes_.size()) header.HeaderField(&message);
  if (header.ok()) {
    // What is left of the header aligns the body.
    header.bytes_ = bytes;
    header.Align(8);
  }
  if (!header.ok()) return Malformed("a field of its header");
  message.body = bytes.substr(header.at_);
  const bool is_reply = message.type == DbusMessage::kReturn || message.type == DbusMessage::kError;
  if (is_reply && message.reply_serial == 0) return Malformed("it replies to nothing");
  if (message.type == DbusMessage::kError && message.error_name.empty())
    return Malformed("an error without a name");
  if (message.type == DbusMessage::kSignal &&
      (message.path.empty() || message.interface.empty() || message.member.empty()))
    return Malformed("a signal without a name");
  return message;
}

bool DbusReader::Expect(char type) {
  if (ok_ && !signature_.empty() && signature_[0] == type) {
    signature_.remove_prefix(1);
    return true;
  }
  ok_ = false;
  return false;
}

std::string_view DbusReader::Take(size_t size) {
  if (!ok_ || size > bytes_.size() - at_) {
    ok_ = false;
    return {};
  }
  std::string_view taken = bytes_.substr(at_, size);
  at_ += size;
  return taken;
}

void DbusReader::Align(size_t alignment) {
  for (char padding : Take((alignment - at_ % alignment) % alignment)) ok_ = ok_ && padding == 0;
}

template <typename T>
T DbusReader::Number() {
  Align(sizeof(T));
  std::string_view bytes = Take(sizeof(T));
  T value{};
  if (ok_) ::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

std::string_view DbusReader::Text(size_t length) {
  std::string_view text = Take(length), end = Take(1);
  if (!ok_ || end[0] != 0 || text.find('\0') != std::string_view::npos) {
    ok_ = false;
    return {};
  }
  return text;
}

void DbusReader::SkipBasic(char type) {
  switch (type) {
    case 'y':
      (void)Number<uint8_t>();
      return;
    case 'n':
    case 'q':
      (void)Number<uint16_t>();
      return;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
      (void)Number<uint32_t>();
      return;
    case 'x':
    case 't':
    case 'd':
      (void)Number<uint64_t>();
      return;
    case 's':
    case 'o':
      (void)LongText();
      return;
    case 'g':
      (void)ShortText();
      return;
    default:
      // There are no fields of containers in the specification.
      ok_ = false;
  }
}

void DbusReader::HeaderField(DbusMessage* message) {
  Align(8);
  const auto code = Number<uint8_t>();
  const std::string_view type = ShortText();
  if (!ok_ || type.size() != 1) {
    ok_ = false;
    return;
  }
  auto text = [&](char wanted, std::string* value) {
    if (type[0] != wanted || !value->empty()) {
      ok_ = false;
    } else {
      *value = wanted == 'g' ? ShortText() : LongText();
    }
  };
  switch (code) {
    case 0:
      ok_ = false;
      return;
    case kPath:
      return text('o', &message->path);
    case kInterface:
      return text('s', &message->interface);
    case kMember:
      return text('s', &message->member);
    case kErrorName:
      return text('s', &message->error_name);
    case kDestination:
      return text('s', &message->destination);
    case kSender:
      return text('s', &message->sender);
    case kSignature:
      return text('g', &message->signature);
    case kReplySerial:
      ok_ = ok_ && type[0] == 'u';
      message->reply_serial = Number<uint32_t>();
      return;
    default:
      return SkipBasic(type[0]);
  }
}

uint32_t DbusReader::Uint32() { return Expect('u') ? Number<uint32_t>() : 0; }
uint64_t DbusReader::Uint64() { return Expect('t') ? Number<uint64_t>() : 0; }
std::string DbusReader::String() { return Expect('s') ? std::string(LongText()) : ""; }
std::string DbusReader::ObjectPath() { return Expect('o') ? std::string(LongText()) : ""; }

std::string DbusReader::VariantString() {
  if (!Expect('v')) return "";
  if (ShortText() != "s") ok_ = false;
  return ok_ ? std::string(LongText()) : "";
}

absl::Status DbusReader::Check(std::string_view what) const {
  if (ok_) return absl::OkStatus();
  return absl::DataLossError(fmt::format("{}: the answer is not of the form that it has to be", what));
}

}  // namespace runsc
