// JsonDocument and JsonValue: reading JSON of others into typed fields. A value knows where it
// stands; the first thing that is wrong with the document is kept, as one line that names the
// file and the field ("config.json: process.args[0]: must be a string, not a number"), and whoever
// reads on after it gets nothing. null is as good as absent, a member that nobody asks for is
// ignored. No exception leaves; size and depth of a document are bounded.
//
// A JsonValue is good as long as its document and the value it was got from.
#ifndef RUNSC_OCI_JSON_READER_H_
#define RUNSC_OCI_JSON_READER_H_

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace runsc {

inline constexpr size_t kMaxJsonSize = 16 << 20;  // bytes
inline constexpr int kMaxJsonDepth = 64;          // arrays and objects inside each other

class JsonDocument;

class JsonValue {
 public:
  // There, and not null.
  bool present() const;
  // A member of this object; one that is not present if there is none by that name.
  JsonValue operator[](const char* name) const&;
  JsonValue operator[](const char* name) const&& = delete;
  void ForEachItem(absl::FunctionRef<void(const JsonValue&)> visit) const;
  void ForEachMember(absl::FunctionRef<void(const std::string& name, const JsonValue&)> visit) const;

  void ReadString(std::string* value) const;
  void ReadBool(bool* value) const;
  // A whole number within [low, high], as its bits.
  uint64_t ReadInteger(int64_t low, uint64_t high) const;

  // Says that the value is not what it has to be: "FILE: PATH: TEXT".
  void Fail(std::string_view text) const;
  void Require() const;  // fails unless present

 private:
  friend class JsonDocument;
  JsonValue(JsonDocument* document, const nlohmann::json* value, const JsonValue* parent, const char* name)
      : document_(document), value_(value), parent_(parent), name_(name) {}
  bool Is(bool right, const char* wanted) const;
  std::string Path() const;

  JsonDocument* document_;
  const nlohmann::json* value_;  // null: absent
  const JsonValue* parent_;
  const char* name_;  // null: an item of an array
  size_t index_ = 0;
};

class JsonDocument {
 public:
  // `file` names the document in messages.
  static absl::StatusOr<JsonDocument> Parse(std::string_view text, std::string file);
  JsonDocument(JsonDocument&&) noexcept;
  ~JsonDocument();

  JsonValue root() { return JsonValue(this, value_.get(), nullptr, ""); }
  // Ok if all that was read so far was right.
  absl::Status status() const;

 private:
  friend class JsonValue;
  JsonDocument(std::unique_ptr<nlohmann::json> value, std::string file);
  std::unique_ptr<nlohmann::json> value_;
  std::string file_;
  std::string error_;
};

// For a message about input: control characters as \xNN.
std::string OneLine(std::string_view text);
// An errno in the words that other runtimes use, and callers look for: "no such file or directory".
std::string ErrorText(int error);

// A whole file; its errors name it. `limit` in bytes.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit = kMaxJsonSize);

inline void Read(const JsonValue& json, std::string* value) { json.ReadString(value); }
inline void Read(const JsonValue& json, bool* value) { json.ReadBool(value); }
template <typename T>
requires(std::integral<T> && !std::same_as<T, bool>) void Read(const JsonValue& json, T* value) {
  *value = static_cast<T>(
      json.ReadInteger(std::numeric_limits<T>::min(), static_cast<uint64_t>(std::numeric_limits<T>::max())));
}
template <typename T>
void Read(const JsonValue& json, std::vector<T>* values) {
  json.ForEachItem([&](const JsonValue& item) {
    item.Require();
    Read(item, &values->emplace_back());
  });
}
template <typename T>
void Read(const JsonValue& json, std::map<std::string, T>* values) {
  json.ForEachMember([&](const std::string& name, const JsonValue& member) {
    if (member.present()) Read(member, &(*values)[name]);
  });
}
template <typename T>
void Read(const JsonValue& json, std::optional<T>* value) {
  Read(json, &value->emplace());
}

// The member `name` of `object`, if it is there.
template <typename T>
void ReadMember(const JsonValue& object, const char* name, T* value) {
  JsonValue member = object[name];
  if (member.present()) Read(member, value);
}
// The same, where it has to be there.
template <typename T>
void ReadRequired(const JsonValue& object, const char* name, T* value) {
  JsonValue member = object[name];
  member.Require();
  if (member.present()) Read(member, value);
}

}  // namespace runsc

#endif  // RUNSC_OCI_JSON_READER_H_
