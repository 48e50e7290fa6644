#include "runsc/lifecycle/spec_file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "runsc/oci/json_reader.h"

namespace runsc {

absl::StatusOr<UniqueFd> MemoryFileOf(std::span<const std::byte> bytes) {
  auto failed = [] { return absl::InternalError(fmt::format("memfd_create: {}", ErrorText(errno))); };
  UniqueFd file(::memfd_create("runsc", MFD_CLOEXEC));
  if (!file) return failed();
  while (!bytes.empty()) {
    ssize_t size = ::write(file.get(), bytes.data(), bytes.size());
    if (size <= 0) return failed();
    bytes = bytes.subspan(static_cast<size_t>(size));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return failed();
  return file;
}

absl::StatusOr<UniqueFd> ProcessSpecFile(const ProcessSpec& spec) {
  std::vector<std::byte> bytes = EncodeProcessSpec(spec);
  if (bytes.size() > kMaxProcessSpec)
    return absl::InvalidArgumentError("the arguments and the environment are too long");
  return MemoryFileOf(bytes);
}

}  // namespace runsc
