#include "runsc/systemd/gvariant_text.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace runsc {
namespace {

constexpr int kMaxDepth = 16;          // arrays, tuples and variants inside each other
constexpr size_t kMaxSignature = 255;  // D-Bus has no longer types

constexpr std::pair<std::string_view, char> kKeywords[] = {
    {"boolean", 'b'}, {"byte", 'y'},  {"int16", 'n'},  {"uint16", 'q'}, {"int32", 'i'},
    {"uint32", 'u'},  {"int64", 'x'}, {"uint64", 't'}, {"double", 'd'}, {"string", 's'}};

// Of the first type of a signature; 0 if it is none of ours.
size_t TypeLength(std::string_view signature, int depth = 0) {
  if (signature.empty() || depth > kMaxDepth) return 0;
  if (std::string_view("bynqiuxtdsv").find(signature[0]) != std::string_view::npos) return 1;
  if (signature[0] == 'a') {
    size_t item = TypeLength(signature.substr(1), depth + 1);
    return item == 0 ? 0 : item + 1;
  }
  if (signature[0] != '(') return 0;
  size_t at = 1;
  while (at < signature.size() && signature[at] != ')') {
    size_t field = TypeLength(signature.substr(at), depth + 1);
    if (field == 0) return 0;
    at += field;
  }
  return at < signature.size() && at > 1 ? at + 1 : 0;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<DbusValue> Run() {
    std::optional<DbusValue> value = Value("", 0);
    SkipBlanks();
    if (value && at_ < text_.size()) Fail("there is more than one value");
    if (!wrong_.empty() || !value) return absl::InvalidArgumentError(wrong_);
    return *std::move(value);
  }

 private:
  std::nullopt_t Fail(std::string_view why) {
    if (wrong_.empty()) wrong_ = fmt::format("{}, at character {}", why, at_ + 1);
    return std::nullopt;
  }

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Accept(char wanted) {
    if (Peek() != wanted) return false;
    ++at_;
    return true;
  }
  // Up to what ends a word: a keyword, a number or a type.
  std::string_view Word() {
    SkipBlanks();
    size_t end = at_;
    while (end < text_.size() && !absl::ascii_isspace(static_cast<unsigned char>(text_[end])) &&
           std::string_view("[],<>{}:'\"").find(text_[end]) == std::string_view::npos && text_[end] != ')')
      ++end;
    std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    return word;
  }

  // `type` is what it has to be; "": whatever it is.
  std::optional<DbusValue> Value(std::string_view type, int depth) {
    if (depth > kMaxDepth) return Fail("values are too deep inside each other");
    switch (Peek()) {
      case '\0':
        return Fail("a value is missing");
      case '@':
        ++at_;
        return Annotated(type, depth);
      case '\'':
      case '"':
        if (!type.empty() && type != "s") return Fail("a string stands where something else has to");
        return String();
      case '[':
        ++at_;
        return Array(type, depth);
      case '(':
        ++at_;
        return Tuple(type, depth);
      case '<':
        ++at_;
        return Variant(type, depth);
      case '{':
        return Fail("dictionaries are not supported");
      default:
        return Plain(type, depth);
    }
  }

  std::optional<DbusValue> Annotated(std::string_view type, int depth) {
    const size_t length = TypeLength(text_.substr(at_, kMaxSignature));
    if (length == 0) return Fail("a type is not known or not supported");
    const std::string_view annotated = text_.substr(at_, length);
    at_ += length;
    if (!type.empty() && type != annotated) return Fail("a type is not what it has to be");
    return Value(annotated, depth + 1);
  }

  std::optional<DbusValue> Plain(std::string_view type, int depth) {
    const size_t begin = at_;
    const std::string_view word = Word();
    for (const auto& [keyword, code] : kKeywords) {
      if (word != keyword) continue;
      const std::string_view named(&code, 1);
      if (!type.empty() && type != named) return Fail("a type is not what it has to be");
      // The text is a basic value: nothing keeps a reference to `code`.
      return Value(named, depth + 1);
    }
    if (word == "true" || word == "false") {
      if (!type.empty() && type != "b") return Fail("a boolean stands where something else has to");
      return DbusValue::Bool(word == "true");
    }
    if (word.empty() || (!absl::ascii_isdigit(static_cast<unsigned char>(word[0])) && word[0] != '-' &&
                         word[0] != '+' && word[0] != '.')) {
      at_ = begin;
      return Fail(
          fmt::format("'{}' is not known or not supported", word.empty() ? text_.substr(at_, 1) : word));
    }
    return Number(word, type);
  }

  std::optional<DbusValue> Number(std::string_view word, std::string_view type) {
    const bool is_hex = word.find_first_of("xX") != std::string_view::npos;
    if (type.empty()) type = !is_hex && word.find_first_of(".eE") != std::string_view::npos ? "d" : "i";
    if (type == "d") {
      double value = 0;
      if (!absl::SimpleAtod(absl::string_view(word.data(), word.size()), &value))
        return Fail(fmt::format("'{}' is not a number", word));
      return DbusValue::Double(value);
    }
    switch (type.size() == 1 ? type[0] : '\0') {
      case 'y':
        return Whole<uint8_t>(word, DbusValue::Byte);
      case 'n':
        return Whole<int16_t>(word, DbusValue::Int16);
      case 'q':
        return Whole<uint16_t>(word, DbusValue::Uint16);
      case 'i':
        return Whole<int32_t>(word, DbusValue::Int32);
      case 'u':
        return Whole<uint32_t>(word, DbusValue::Uint32);
      case 'x':
        return Whole<int64_t>(word, DbusValue::Int64);
      case 't':
        return Whole<uint64_t>(word, DbusValue::Uint64);
      default:
        return Fail("a number stands where something else has to");
    }
  }

  // As strtoull(3) with base 0: "0x1f", "017".
  template <typename T>
  std::optional<DbusValue> Whole(std::string_view word, DbusValue (*make)(T)) {
    std::string_view digits = word;
    const bool is_negative = digits[0] == '-';
    if (digits[0] == '-' || digits[0] == '+') digits.remove_prefix(1);
    int base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits[0] == '0') {
      base = 8;
    }
    uint64_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error == std::errc::invalid_argument || end != digits.data() + digits.size())
      return Fail(fmt::format("'{}' is not a whole number", word));
    using Limits = std::numeric_limits<T>;
    const uint64_t most = is_negative ? (Limits::min() == 0 ? 0 : uint64_t{Limits::max()} + 1)
                                      : static_cast<uint64_t>(Limits::max());
    if (error != std::errc() || value > most) return Fail(fmt::format("{} is out of range", word));
    return make(static_cast<T>(is_negative ? 0 - value : value));
  }

  std::optional<DbusValue> String() {
    const char quote = text_[at_++];
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c == '\\') {
        if (at_ == text_.size()) break;
        c = text_[at_++];
        constexpr std::string_view kEscapes = "abfnrtv", kMeanings = "\a\b\f\n\r\t\v";
        if (c == 'u' || c == 'U') return Fail("\\u is not supported: write the character itself");
        if (size_t known = kEscapes.find(c); known != std::string_view::npos) c = kMeanings[known];
      }
      if (c == '\0') return Fail("a string must not hold NUL");
      value += c;
    }
    if (at_ == text_.size()) return Fail("a string does not end");
    ++at_;
    return DbusValue::String(std::move(value));
  }

  std::optional<DbusValue> Checked(DbusValue value) {
    if (value.type().size() > kMaxSignature) return Fail("a type is too long");
    return value;
  }

  std::optional<DbusValue> Array(std::string_view type, int depth) {
    if (!type.empty() && type[0] != 'a') return Fail("an array stands where something else has to");
    std::string item(type.empty() ? "" : type.substr(1));
    DbusValue::List items;
    while (!Accept(']')) {
      if (!items.empty() && !Accept(',')) return Fail("',' or ']' is missing");
      std::optional<DbusValue> value = Value(item, depth + 1);
      if (!value) return std::nullopt;
      item = value->type();
      items.push_back(*std::move(value));
    }
    if (item.empty()) return Fail("an empty array needs a type, as '@as []'");
    return Checked(DbusValue::Array(item, std::move(items)));
  }

  std::optional<DbusValue> Tuple(std::string_view type, int depth) {
    if (!type.empty() && type[0] != '(') return Fail("a tuple stands where something else has to");
    std::string_view left = type.empty() ? "" : type.substr(1, type.size() - 2);
    DbusValue::List fields;
    while (!Accept(')')) {
      // "(1,)" is a tuple of one.
      if (!fields.empty() && !Accept(',')) return Fail("',' or ')' is missing");
      if (fields.size() == 1 && Accept(')')) break;
      const size_t length = TypeLength(left);
      if (!type.empty() && length == 0) return Fail("a tuple has too many fields");
      std::optional<DbusValue> value = Value(left.substr(0, length), depth + 1);
      if (!value) return std::nullopt;
      fields.push_back(*std::move(value));
      left.remove_prefix(length);
    }
    if (fields.empty() || !left.empty()) return Fail("a tuple has too few fields");
    return Checked(DbusValue::Struct(std::move(fields)));
  }

  std::optional<DbusValue> Variant(std::string_view type, int depth) {
    if (!type.empty() && type != "v") return Fail("a variant stands where something else has to");
    std::optional<DbusValue> value = Value("", depth + 1);
    if (!value) return std::nullopt;
    if (!Accept('>')) return Fail("'>' is missing");
    return DbusValue::Variant(*std::move(value));
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string wrong_;  // the first thing that was
};

}  // namespace

absl::StatusOr<DbusValue> ParseGvariantText(std::string_view text) { return Parser(text).Run(); }

}  // namespace runsc
