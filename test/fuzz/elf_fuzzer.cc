// The program loader's parsers: ELF headers, "#!" lines, the value of security.capability. The checks are
// what the mapper relies on.
#include <elf.h>

#include "sentry/loader/elf_image.h"
#include "sentry/loader/exec_creds.h"
#include "sentry/loader/script.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {
namespace {

constexpr uint64_t kMaxAddress = (uint64_t{1} << 47) - kPageSize;

void TryElf(std::string_view file) {
  auto read = [&](uint64_t offset, std::span<std::byte> to) -> Result<size_t> {
    if (offset >= file.size()) return size_t{0};
    std::string_view from = file.substr(offset, to.size());
    std::memcpy(to.data(), from.data(), from.size());
    return from.size();
  };
  Result<ElfImage> parsed = ElfImage::Parse(read, kMaxAddress);
  if (!parsed.ok()) return;
  CHECK(!parsed->segments.empty());
  CHECK(parsed->start % kPageSize == 0 && parsed->end % kPageSize == 0);
  CHECK(parsed->start < parsed->end && parsed->end <= kMaxAddress);
  CHECK(parsed->alignment >= kPageSize && (parsed->alignment & (parsed->alignment - 1)) == 0);
  uint64_t before = 0;
  for (const ElfSegment& segment : parsed->segments) {
    CHECK(segment.vaddr >= before && segment.vaddr >= parsed->start);
    CHECK(segment.memory_size > 0 && segment.memory_size <= parsed->end - segment.vaddr);
    CHECK(segment.file_size <= segment.memory_size);
    CHECK(segment.offset <= INT64_MAX - kPageSize - segment.file_size);
    before = segment.vaddr;
  }
  CHECK(parsed->interpreter.find('\0') == std::string::npos);
}

void TryScript(std::string_view head) {
  head = head.substr(0, kScriptLineMax);
  Result<std::optional<ScriptLine>> line = ParseScriptLine(head);
  if (!line.ok() || !*line) return;
  const ScriptLine& script = **line;
  CHECK(!script.interpreter.empty() && script.interpreter.size() < kScriptLineMax);
  CHECK(script.interpreter.find_first_of(std::string_view(" \t\n\0", 4)) == std::string::npos);
  if (!script.argument) return;
  CHECK(!script.argument->empty() && script.argument->find('\0') == std::string::npos);
}

std::string Elf(uint16_t type, std::initializer_list<Elf64_Phdr> headers, std::string_view tail) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_entry = 0x401000;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<uint16_t>(headers.size());
  std::string bytes = Raw(header);
  for (const Elf64_Phdr& program : headers) bytes += Raw(program);
  return bytes.append(tail);
}

}  // namespace

std::vector<std::string> Seeds() {
  Elf64_Phdr text{PT_LOAD, PF_R | PF_X, 0, 0x400000, 0, 0x300, 0x300, 0x1000};
  Elf64_Phdr data{PT_LOAD, PF_R | PF_W, 0x10, 0x402010, 0, 0x20, 0x9000, 0x200000};
  Elf64_Phdr interpreter{PT_INTERP, PF_R, 64 + 4 * 56, 0, 0, 8, 8, 1};
  Elf64_Phdr stack{PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
  return {Elf(ET_EXEC, {text, data}, ""),
          Elf(ET_DYN, {text, data, interpreter, stack}, Text("/lib/ld\0")),
          "#! /bin/sh -e\n",
          "#!/usr/bin/env python3",
          Raw(uint32_t{0x02000001}, uint64_t{1}, uint64_t{2}),
          Raw(uint32_t{0x03000000}, uint64_t{1}, uint64_t{2}, uint32_t{1000})};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  runsc::fuzz::TryElf(input);
  runsc::fuzz::TryScript(input);
  (void)runsc::ParseFileCapabilities(input).ok();
  return 0;
}
