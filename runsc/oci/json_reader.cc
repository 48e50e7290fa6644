#include "runsc/oci/json_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "platform/base/unique_fd.h"

namespace runsc {
namespace {

using nlohmann::json;

const char* TypeWithArticle(const json& value) {
  switch (value.type()) {
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array";
    case json::value_t::string:
      return "a string";
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::null:
      return "null";
    default:
      return "a number";
  }
}

// Before the parser sees the text: it, and the end of what it makes, need memory for each level.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

std::string SyntaxError(std::string_view text, size_t byte) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i + 1 < byte && i < text.size(); ++i) {
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return fmt::format("is not valid JSON at line {}, column {}", line, column);
}

}  // namespace

JsonDocument::JsonDocument(std::unique_ptr<json> value, std::string file)
    : value_(std::move(value)), file_(std::move(file)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

absl::StatusOr<JsonDocument> JsonDocument::Parse(std::string_view text, std::string file) {
  auto invalid = [&](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", file, what));
  };
  if (text.size() > kMaxJsonSize) return invalid(fmt::format("is longer than {} bytes", kMaxJsonSize));
  if (TooDeep(text)) return invalid(fmt::format("has more than {} levels", kMaxJsonDepth));
  try {
    auto value = std::make_unique<json>(json::parse(text));
    return JsonDocument(std::move(value), std::move(file));
  } catch (const json::parse_error& error) {
    return invalid(SyntaxError(text, error.byte));
  } catch (const json::exception&) {
    return invalid("is not valid JSON");
  }
}

absl::Status JsonDocument::status() const {
  return error_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(error_);
}

bool JsonValue::present() const { return value_ != nullptr && !value_->is_null(); }

bool JsonValue::Is(bool right, const char* wanted) const {
  if (!right && present()) Fail(fmt::format("must be {}, not {}", wanted, TypeWithArticle(*value_)));
  return right && document_->error_.empty();
}

JsonValue JsonValue::operator[](const char* name) const& {
  const json* member = nullptr;
  if (present() && Is(value_->is_object(), "an object")) {
    auto found = value_->find(name);
    if (found != value_->end()) member = &*found;
  }
  return JsonValue(document_, member, this, name);
}

void JsonValue::ForEachItem(absl::FunctionRef<void(const JsonValue&)> visit) const {
  if (!present() || !Is(value_->is_array(), "an array")) return;
  size_t index = 0;
  for (const json& item : *value_) {
    JsonValue value(document_, &item, this, nullptr);
    value.index_ = index++;
    visit(value);
    if (!document_->error_.empty()) return;
  }
}

void JsonValue::ForEachMember(absl::FunctionRef<void(const std::string&, const JsonValue&)> visit) const {
  if (!present() || !Is(value_->is_object(), "an object")) return;
  for (auto member = value_->begin(); member != value_->end(); ++member) {
    visit(member.key(), JsonValue(document_, &*member, this, member.key().c_str()));
    if (!document_->error_.empty()) return;
  }
}

void JsonValue::ReadString(std::string* value) const {
  if (!present() || !Is(value_->is_string(), "a string")) return;
  const std::string& text = value_->get_ref<const std::string&>();
  // All strings end up in system calls, which would see the part before it only.
  if (text.find('\0') != std::string::npos) return Fail("must not contain a NUL character");
  *value = text;
}

void JsonValue::ReadBool(bool* value) const {
  if (present() && Is(value_->is_boolean(), "a boolean")) *value = value_->get<bool>();
}

uint64_t JsonValue::ReadInteger(int64_t low, uint64_t high) const {
  if (!present() || !Is(value_->is_number(), "a number")) return 0;
  if (value_->is_number_unsigned()) {
    auto number = value_->get<uint64_t>();
    if (number <= high) return number;
  } else if (value_->is_number_integer()) {
    auto number = value_->get<int64_t>();
    if (number >= low && (number < 0 || static_cast<uint64_t>(number) <= high))
      return static_cast<uint64_t>(number);
  }
  Fail(fmt::format("must be a whole number from {} to {}, not {}", low, high, value_->dump()));
  return 0;
}

void JsonValue::Require() const {
  if (!present()) Fail(value_ == nullptr ? "is missing" : "must not be null");
}

std::string JsonValue::Path() const {
  if (parent_ == nullptr) return "";
  std::string path = parent_->Path();
  if (name_ == nullptr) return path + fmt::format("[{}]", index_);
  return path.empty() ? name_ : path + "." + name_;
}

void JsonValue::Fail(std::string_view text) const {
  if (!document_->error_.empty()) return;
  std::string path = Path();
  document_->error_ =
      OneLine(fmt::format("{}: {}{}{}", document_->file_, path, path.empty() ? "" : ": ", text));
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  return line;
}

std::string ErrorText(int error) {
  std::string text = ::strerror(error);
  // "RPC struct is bad" and the like stay as they are.
  bool is_word = text.size() > 1 && text[1] >= 'a' && text[1] <= 'z';
  if (is_word && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit) {
  auto failed = [&](int error) {
    std::string message = fmt::format("open {}: {}", path, ErrorText(error));
    return error == ENOENT ? absl::NotFoundError(message) : absl::FailedPreconditionError(message);
  };
  // A FIFO must not keep us waiting for somebody to write into it.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return failed(errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return failed(errno);
  if (!S_ISREG(status.st_mode))
    return absl::InvalidArgumentError(fmt::format("{}: is not a regular file", path));
  std::string text;
  char buffer[16384];
  while (true) {
    ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(errno);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > limit)
      return absl::InvalidArgumentError(fmt::format("{}: is longer than {} bytes", path, limit));
  }
}

}  // namespace runsc
