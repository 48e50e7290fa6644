#include "sentry/control/process_spec.h"

#include "gofer/protocol/codec.h"

namespace runsc {

std::vector<std::byte> EncodeProcessSpec(const ProcessSpec& spec) {
  std::vector<std::byte> bytes;
  gofer::Encoder encoder(bytes);
  const_cast<ProcessSpec&>(spec).Fields(encoder);
  return bytes;
}

std::optional<ProcessSpec> DecodeProcessSpec(std::span<const std::byte> bytes) {
  constexpr size_t kMaxGroups = 65536;  // NGROUPS_MAX
  if (bytes.size() > kMaxProcessSpec) return std::nullopt;
  ProcessSpec spec;
  gofer::Decoder decoder(bytes);
  spec.Fields(decoder);
  if (!decoder.Finished()) return std::nullopt;
  if (spec.arguments.empty() || spec.groups.size() > kMaxGroups) return std::nullopt;
  if (spec.working_directory.empty() || spec.working_directory[0] != '/') return std::nullopt;
  // Strings of C: a zero byte would make another string of what follows it.
  auto holds_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  for (const std::string& text : spec.arguments)
    if (holds_zero(text)) return std::nullopt;
  for (const std::string& text : spec.environment)
    if (holds_zero(text)) return std::nullopt;
  if (holds_zero(spec.working_directory)) return std::nullopt;
  for (const ResourceLimit& limit : spec.limits)
    if (limit.current > limit.maximum) return std::nullopt;
  spec.umask &= 0777;
  return spec;
}

}  // namespace runsc
