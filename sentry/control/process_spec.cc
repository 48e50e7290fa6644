#include "sentry/control/process_spec.h"

#include <algorithm>

#include "gofer/protocol/codec.h"

namespace runsc {

std::vector<std::byte> EncodeProcessSpec(const ProcessSpec& spec) {
  std::vector<std::byte> bytes;
  gofer::Encoder encoder(bytes);
  const_cast<ProcessSpec&>(spec).Fields(encoder);
  return bytes;
}

bool IsWellFormed(const ProcessSpec& spec) {
  constexpr size_t kMaxGroups = 65536;  // NGROUPS_MAX
  constexpr size_t kMaxProgram = 4096;  // BPF_MAXINSNS
  if (spec.seccomp_program.size() > kMaxProgram) return false;
  if (spec.arguments.empty() || spec.groups.size() > kMaxGroups) return false;
  if (spec.working_directory.empty() || spec.working_directory[0] != '/') return false;
  // Strings of C: a zero byte would make another string of what follows it.
  auto holds_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (std::any_of(spec.arguments.begin(), spec.arguments.end(), holds_zero)) return false;
  if (std::any_of(spec.environment.begin(), spec.environment.end(), holds_zero)) return false;
  if (holds_zero(spec.program) || spec.nice < -20 || spec.nice > 19 || !IsValid(spec.scheduling))
    return false;
  if (holds_zero(spec.working_directory) || (spec.umask & ~0777u) != 0) return false;
  return std::all_of(spec.limits.begin(), spec.limits.end(),
                     [](const ResourceLimit& limit) { return limit.current <= limit.maximum; });
}

std::optional<ProcessSpec> DecodeProcessSpec(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxProcessSpec) return std::nullopt;
  ProcessSpec spec;
  gofer::Decoder decoder(bytes);
  spec.Fields(decoder);
  if (!decoder.Finished() || !IsWellFormed(spec)) return std::nullopt;
  return spec;
}

}  // namespace runsc
