// FlagSet: the flags of one command: --name, --name=value, --name value, -n. A name "quiet, q" has a short
// form. Parsing
// stops at "--" or at the first argument that is no flag; the rest is the command's.
#ifndef RUNSC_CMD_FLAGS_H_
#define RUNSC_CMD_FLAGS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace runsc {

class FlagSet {
 public:
  // `help` is one line or several; `value_name` shows in it ("DIR").
  void Bool(std::string name, std::string help, bool* value);
  void String(std::string name, std::string value_name, std::string help, std::string* value);
  void Repeated(std::string name, std::string value_name, std::string help, std::vector<std::string>* values);
  void Unsigned(std::string name, std::string value_name, std::string help, uint32_t* value, bool* given);
  // One of `choices`.
  void Choice(std::string name, std::vector<std::string> choices, std::string help, std::string* value);
  // Gets the value's text; returns what is wrong with it, or "".
  void Custom(std::string name, std::string value_name, std::string help,
              std::function<std::string(const std::string&)> parse);

  // Takes the flags off the front of `arguments`. What was wrong, or "".
  std::string Parse(std::vector<std::string>& arguments) const;
  // A line or more a flag, aligned.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string short_name;  // empty: none
    std::string value_name;  // empty: takes no value
    std::string help;
    std::function<std::string(const std::string&)> parse;
  };
  void Add(std::string names, std::string value_name, std::string help,
           std::function<std::string(const std::string&)> parse);
  const Flag* Find(std::string_view name) const;
  std::vector<Flag> flags_;
};

// "512m", "2G", "1048576" in bytes; false if it is no size.
bool ParseSize(const std::string& text, uint64_t* bytes);

}  // namespace runsc

#endif  // RUNSC_CMD_FLAGS_H_
