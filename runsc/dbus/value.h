// DbusValue: an argument of a D-Bus message with its type, such as systemd's properties have; the "Type
// System" of the D-Bus specification. Immutable once made; copied freely.
#ifndef RUNSC_DBUS_VALUE_H_
#define RUNSC_DBUS_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace runsc {

class DbusValue {
 public:
  using List = std::vector<DbusValue>;

  static DbusValue Byte(uint8_t value) { return {"y", value}; }
  static DbusValue Bool(bool value) { return {"b", value}; }
  static DbusValue Int16(int16_t value) { return {"n", value}; }
  static DbusValue Uint16(uint16_t value) { return {"q", value}; }
  static DbusValue Int32(int32_t value) { return {"i", value}; }
  static DbusValue Uint32(uint32_t value) { return {"u", value}; }
  static DbusValue Int64(int64_t value) { return {"x", value}; }
  static DbusValue Uint64(uint64_t value) { return {"t", value}; }
  static DbusValue Double(double value) { return {"d", value}; }
  static DbusValue String(std::string value) { return {"s", std::move(value)}; }
  static DbusValue ObjectPath(std::string value) { return {"o", std::move(value)}; }
  // Each item is of the type `item`, a single complete type.
  static DbusValue Array(std::string_view item, List items) {
    return {"a" + std::string(item), std::move(items)};
  }
  static DbusValue Bytes(const std::vector<uint8_t>& bytes);
  static DbusValue Struct(List fields);
  static DbusValue Variant(DbusValue value);

  const std::string& type() const { return type_; }
  template <typename T>
  const T& get() const {
    return std::get<T>(data_);
  }
  const List& list() const { return get<List>(); }  // of an array, a struct, or the one in a variant

  bool operator==(const DbusValue& other) const = default;

 private:
  using Data = std::variant<bool, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t, double,
                            std::string, List>;
  DbusValue(std::string type, Data data) : type_(std::move(type)), data_(std::move(data)) {}

  std::string type_;  // its signature: "s", "as", "a(sv)"
  Data data_;
};

}  // namespace runsc

#endif  // RUNSC_DBUS_VALUE_H_
