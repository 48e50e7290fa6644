// The command line: flags and sizes.
#include "runsc/cmd/flags.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {

std::vector<std::string> Seeds() {
  return {Text("--name=x\0--uid\0"
               "7\0--mode=a\0--memory=512m\0--\0command"),
          "512m", "18446744073709551615", "2Gib"};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  uint64_t bytes = 0;
  (void)ParseSize(std::string(input), &bytes);
  bool on = false, given = false;
  std::string name, mode, memory;
  std::vector<std::string> volumes;
  uint32_t uid = 0;
  FlagSet flags;
  flags.Bool("on", "", &on);
  flags.String("name", "NAME", "", &name);
  flags.Repeated("volume", "SPEC", "", &volumes);
  flags.Unsigned("uid", "UID", "", &uid, &given);
  flags.Choice("mode", {"a", "b"}, "", &mode);
  flags.Custom("memory", "SIZE", "",
               [&](const std::string& text) { return ParseSize(text, &bytes) ? std::string() : "no size"; });
  std::vector<std::string> arguments;
  while (!input.empty()) {
    size_t end = input.find('\0');
    arguments.emplace_back(input.substr(0, end));
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  }
  size_t before = arguments.size();
  (void)flags.Parse(arguments);
  CHECK(arguments.size() <= before);
  CHECK(mode.empty() || mode == "a" || mode == "b");
  return 0;
}
