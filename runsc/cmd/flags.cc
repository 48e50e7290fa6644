#include "runsc/cmd/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace runsc {

void FlagSet::Bool(std::string name, std::string help, bool* value) {
  Add(std::move(name), "", std::move(help), [value](const std::string& text) -> std::string {
    if (text == "true" || text == "1" || text.empty()) {
      *value = true;
    } else if (text == "false" || text == "0") {
      *value = false;
    } else {
      return fmt::format("'{}' is neither true nor false", text);
    }
    return "";
  });
}

void FlagSet::String(std::string name, std::string value_name, std::string help, std::string* value) {
  Custom(std::move(name), std::move(value_name), std::move(help), [value](const std::string& text) {
    *value = text;
    return std::string();
  });
}

void FlagSet::Repeated(std::string name, std::string value_name, std::string help,
                       std::vector<std::string>* values) {
  Custom(std::move(name), std::move(value_name), std::move(help), [values](const std::string& text) {
    values->push_back(text);
    return std::string();
  });
}

void FlagSet::Unsigned(std::string name, std::string value_name, std::string help, uint32_t* value,
                       bool* given) {
  Custom(std::move(name), std::move(value_name), std::move(help),
         [value, given](const std::string& text) -> std::string {
           auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
           if (error != std::errc() || end != text.data() + text.size() || text.empty())
             return fmt::format("'{}' is not a number from 0 to 4294967295", text);
           *given = true;
           return "";
         });
}

void FlagSet::Choice(std::string name, std::vector<std::string> choices, std::string help,
                     std::string* value) {
  std::string value_name = absl::StrJoin(choices, "|");
  Custom(std::move(name), value_name, std::move(help),
         [value, choices = std::move(choices), value_name](const std::string& text) -> std::string {
           if (std::find(choices.begin(), choices.end(), text) == choices.end())
             return fmt::format("'{}' is not one of {}", text, value_name);
           *value = text;
           return "";
         });
}

void FlagSet::Custom(std::string name, std::string value_name, std::string help,
                     std::function<std::string(const std::string&)> parse) {
  Add(std::move(name), std::move(value_name), std::move(help), std::move(parse));
}

void FlagSet::Add(std::string names, std::string value_name, std::string help,
                  std::function<std::string(const std::string&)> parse) {
  std::string short_name;
  if (size_t comma = names.find(", "); comma != std::string::npos) {
    short_name = names.substr(comma + 2);
    names.resize(comma);
  }
  flags_.push_back(
      {std::move(names), std::move(short_name), std::move(value_name), std::move(help), std::move(parse)});
}

const FlagSet::Flag* FlagSet::Find(std::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name || (!flag.short_name.empty() && flag.short_name == name)) return &flag;
  }
  return nullptr;
}

std::string FlagSet::Parse(std::vector<std::string>& arguments) const {
  size_t at = 0;
  while (at < arguments.size()) {
    const std::string& argument = arguments[at];
    if (argument == "--") {
      ++at;
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') break;
    std::string_view name(argument);
    name.remove_prefix(name.starts_with("--") ? 2 : 1);
    std::string value;
    bool has_value = false;
    if (size_t equals = name.find('='); equals != std::string_view::npos) {
      value = std::string(name.substr(equals + 1));
      name = name.substr(0, equals);
      has_value = true;
    }
    const Flag* flag = Find(name);
    if (flag == nullptr) return fmt::format("flag provided but not defined: -{}", name);
    if (!flag->value_name.empty() && !has_value) {
      if (at + 1 >= arguments.size())
        return fmt::format("--{} needs a value ({})", flag->name, flag->value_name);
      value = arguments[++at];
    }
    if (std::string wrong = flag->parse(value); !wrong.empty())
      return fmt::format("--{}: {}", flag->name, wrong);
    ++at;
  }
  arguments.erase(arguments.begin(), arguments.begin() + static_cast<ptrdiff_t>(at));
  return "";
}

std::string FlagSet::Help() const {
  std::string text;
  for (const Flag& flag : flags_) {
    std::string left = flag.short_name.empty() ? "  " : "  -" + flag.short_name + ", ";
    left += "--" + flag.name + (flag.value_name.empty() ? "" : "=" + flag.value_name);
    constexpr size_t kColumn = 30;
    if (left.size() + 1 >= kColumn) {
      text += left + "\n" + std::string(kColumn, ' ');
    } else {
      text += left + std::string(kColumn - left.size(), ' ');
    }
    bool first = true;
    for (absl::string_view line : absl::StrSplit(flag.help, '\n')) {
      if (!first) text += std::string(kColumn, ' ');
      first = false;
      text += std::string(line) + "\n";
    }
  }
  return text;
}

bool ParseSize(const std::string& text, uint64_t* bytes) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return false;
  std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  unsigned shift = 0;
  if (!suffix.empty()) {
    switch (suffix[0] | 0x20) {
      case 'k':
        shift = 10;
        break;
      case 'm':
        shift = 20;
        break;
      case 'g':
        shift = 30;
        break;
      case 't':
        shift = 40;
        break;
      default:
        return false;
    }
    if (suffix.size() > 2 || (suffix.size() == 2 && (suffix[1] | 0x20) != 'b')) return false;
  }
  if (number != 0 && number > (UINT64_MAX >> shift)) return false;
  *bytes = number << shift;
  return true;
}

}  // namespace runsc
