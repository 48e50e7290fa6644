#include "runsc/shim/options.h"

#include <fmt/format.h>

#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"

namespace runsc::shim {
namespace {

constexpr char kFile[] = "runsc-options";  // the program, then a flag a line

RuntimeOptions Defaults(const std::string& root) {
  RuntimeOptions options;
  options.global_flags = {"--root=" + root};
  return options;
}

absl::Status Malformed(const api::Any& any) {
  return absl::InvalidArgumentError(fmt::format("options: not a {}", any.type_url()));
}

absl::Status ReadRuncOptions(const api::Any& any, RuntimeOptions* options) {
  api::RuncOptions message;
  if (!message.ParseFromString(any.value())) return Malformed(any);
  if (!message.root().empty()) options->global_flags[0] = "--root=" + message.root();
  if (!message.binary_name().empty()) options->program = message.binary_name();
  if (message.systemd_cgroup()) options->global_flags.emplace_back("--systemd-cgroup");
  return absl::OkStatus();
}

absl::Status ReadRuntimeOptions(const api::Any& any, RuntimeOptions* options) {
  api::RuntimeOptions message;
  if (!message.ParseFromString(any.value())) return Malformed(any);
  std::string text = message.config_body(), name = "options: ConfigBody";
  if (text.empty() && !message.config_path().empty()) {
    name = message.config_path();
    absl::StatusOr<std::string> read = ReadTextFile(name);
    if (!read.ok()) return read.status();
    text = *std::move(read);
  }
  absl::StatusOr<std::vector<std::string>> flags = ParseFlagsFile(text, name);
  if (!flags.ok()) return flags.status();
  options->global_flags.insert(options->global_flags.end(), flags->begin(), flags->end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlagsFile(std::string_view text, const std::string& name) {
  std::vector<std::string> flags;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (line.substr(0, 2) != "--" || line.size() == 2)
      return absl::InvalidArgumentError(
          fmt::format("{}: line {}: must be a global flag of runsc, as --platform=ptrace", name, number));
    flags.emplace_back(line);
  }
  return flags;
}

absl::StatusOr<RuntimeOptions> ReadOptions(const api::Any& any, const std::string& default_root) {
  RuntimeOptions options = Defaults(default_root);
  absl::string_view type = any.type_url();
  if (size_t slash = type.rfind('/'); slash != absl::string_view::npos) type.remove_prefix(slash + 1);
  absl::Status status;
  if (type == "containerd.runc.v1.Options") status = ReadRuncOptions(any, &options);
  if (type == "runtimeoptions.v1.Options") status = ReadRuntimeOptions(any, &options);
  if (!status.ok()) return status;
  return options;
}

absl::Status SaveOptions(const std::string& bundle, const RuntimeOptions& options) {
  std::string path = bundle + "/" + kFile;
  std::ofstream file(path, std::ios::trunc);
  file << options.program << "\n";
  for (const std::string& flag : options.global_flags) file << flag << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::InternalError(fmt::format("{}: cannot be written", path));
}

RuntimeOptions LoadOptions(const std::string& bundle, const std::string& default_root) {
  std::ifstream file(bundle + "/" + kFile);
  RuntimeOptions options;
  if (!std::getline(file, options.program)) return Defaults(default_root);
  for (std::string flag; std::getline(file, flag);) options.global_flags.push_back(flag);
  return options.global_flags.empty() ? Defaults(default_root) : options;
}

}  // namespace runsc::shim
