#include "runsc/systemd/gvariant_text.h"

#include <catch2/catch.hpp>
#include <string>

namespace runsc {
namespace {

using Value = DbusValue;

Value Parse(std::string_view text) {
  auto value = ParseGvariantText(text);
  INFO(text << ": " << std::string(value.status().message()));
  REQUIRE(value.ok());
  return *value;
}

std::string Error(std::string_view text) { return std::string(ParseGvariantText(text).status().message()); }

TEST_CASE("basic values") {
  CHECK(Parse("true") == Value::Bool(true));
  CHECK(Parse(" 5 ") == Value::Int32(5));
  CHECK(Parse("-0x10") == Value::Int32(-16));
  CHECK(Parse("017") == Value::Int32(15));
  CHECK(Parse("0") == Value::Int32(0));
  CHECK(Parse("1.5") == Value::Double(1.5));
  CHECK(Parse("1e3") == Value::Double(1000));
  CHECK(Parse("uint64 18446744073709551615") == Value::Uint64(UINT64_MAX));
  CHECK(Parse("int64 -9223372036854775808") == Value::Int64(INT64_MIN));
  CHECK(Parse("byte 0xff") == Value::Byte(255));
  CHECK(Parse("int16 -1") == Value::Int16(-1));
  CHECK(Parse("uint16 1") == Value::Uint16(1));
  CHECK(Parse("uint32 1") == Value::Uint32(1));
  CHECK(Parse("double 3") == Value::Double(3));
  CHECK(Parse("boolean false") == Value::Bool(false));
  CHECK(Parse("@t 7") == Value::Uint64(7));
  CHECK(Parse("'inactive-or-failed'") == Value::String("inactive-or-failed"));
  CHECK(Parse("\"it's\"") == Value::String("it's"));
  CHECK(Parse(R"('a\'b\\\n')") == Value::String("a'b\\\n"));
  CHECK(Parse("string 'x'") == Value::String("x"));
}

TEST_CASE("values of values") {
  CHECK(Parse("['a', 'b']") == Value::Array("s", {Value::String("a"), Value::String("b")}));
  CHECK(Parse("[uint64 1, 2]") == Value::Array("t", {Value::Uint64(1), Value::Uint64(2)}));
  CHECK(Parse("@as []") == Value::Array("s", {}));
  CHECK(Parse("('a', uint32 1)") == Value::Struct({Value::String("a"), Value::Uint32(1)}));
  CHECK(Parse("(true,)") == Value::Struct({Value::Bool(true)}));
  CHECK(Parse("<'x'>") == Value::Variant(Value::String("x")));
  CHECK(Parse("@a(st) [('/dev/sda', 5)]") ==
        Value::Array("(st)", {Value::Struct({Value::String("/dev/sda"), Value::Uint64(5)})}));
}

TEST_CASE("what is no value, or none that we take") {
  CHECK(Error("") == "a value is missing, at character 1");
  CHECK(Error("1 2") == "there is more than one value, at character 3");
  CHECK(Error("byte 256") == "256 is out of range, at character 9");
  CHECK(Error("uint32 -1") == "-1 is out of range, at character 10");
  CHECK(Error("uint64 18446744073709551616") == "18446744073709551616 is out of range, at character 28");
  CHECK(Error("3000000000") == "3000000000 is out of range, at character 11");
  CHECK(Error("12x") == "'12x' is not a whole number, at character 4");
  CHECK(Error("[]") == "an empty array needs a type, as '@as []', at character 3");
  CHECK(Error("[1, 'a']") == "a string stands where something else has to, at character 5");
  CHECK(Error("[1 2]") == "',' or ']' is missing, at character 4");
  CHECK(Error("[1") == "',' or ']' is missing, at character 3");
  CHECK(Error("'a") == "a string does not end, at character 3");
  CHECK(Error("'a\\") == "a string does not end, at character 4");
  CHECK(Error("()") == "a tuple has too few fields, at character 3");
  CHECK(Error("@(ss) ('a',)") == "a tuple has too few fields, at character 13");
  CHECK(Error("@(s) ('a', 'b')") == "a tuple has too many fields, at character 12");
  CHECK(Error("<1") == "'>' is missing, at character 3");
  CHECK(Error("{'a': 1}") == "dictionaries are not supported, at character 1");
  CHECK(Error("@a{sv} {}") == "a type is not known or not supported, at character 2");
  CHECK(Error("nothing") == "'nothing' is not known or not supported, at character 1");
  CHECK(Error("just 1") == "'just' is not known or not supported, at character 1");
  CHECK(Error("b'abc'") == "'b' is not known or not supported, at character 1");
  CHECK(Error("handle 1") == "'handle' is not known or not supported, at character 1");
  CHECK(Error("objectpath '/'") == "'objectpath' is not known or not supported, at character 1");
  CHECK(Error("uint64 'a'") == "a string stands where something else has to, at character 8");
  CHECK(Error("uint64 true") == "a boolean stands where something else has to, at character 12");
  CHECK(Error("'\\u0041'").find("\\u is not supported") == 0);
  CHECK(Error(std::string_view("'a\0'", 4)).find("a string must not hold NUL") == 0);
  CHECK(Error(std::string(5000, '[')).find("values are too deep inside each other") == 0);
  CHECK(Error(std::string(5000, '(')).find("values are too deep inside each other") == 0);
  std::string many = "(";
  for (int i = 0; i < 254; ++i) many += "1,";
  CHECK(Error(many + "1)").find("a type is too long") == 0);
  CHECK(Error("@" + std::string(5000, 'a')).find("a type is not known") == 0);
}

}  // namespace
}  // namespace runsc
