#include "runsc/dbus/value.h"

namespace runsc {

DbusValue DbusValue::Bytes(const std::vector<uint8_t>& bytes) {
  List items;
  items.reserve(bytes.size());
  for (uint8_t byte : bytes) items.push_back(Byte(byte));
  return Array("y", std::move(items));
}

DbusValue DbusValue::Struct(List fields) {
  std::string type = "(";
  for (const DbusValue& field : fields) type += field.type();
  return {type + ")", std::move(fields)};
}

DbusValue DbusValue::Variant(DbusValue value) {
  List one;
  one.push_back(std::move(value));
  return {"v", std::move(one)};
}

}  // namespace runsc
