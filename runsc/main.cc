#include <string>
#include <string_view>
#include <vector>

#include "platform/host/sanitizer.h"
#include "runsc/cmd/command.h"
#include "runsc/cmd/shim_command.h"

int main(int argc, char** argv) {
  runsc::PrepareSanitizer();
  std::string_view name = argc > 0 ? argv[0] : "";
  name.remove_prefix(name.rfind('/') + 1);
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (name == runsc::kShimName) return runsc::RunShim(std::move(arguments));
  return runsc::RunMain(std::move(arguments));
}
