#include "sentry/loader/elf_image.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstring>

namespace runsc {
namespace {

constexpr uint64_t kMax = 0x7ffffffff000;

// An ELF file in pieces that a test may spoil.
struct File {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> programs;
  std::string tail;  // behind the headers

  File() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_entry = 0x401000;
    Load(0x400000, 0, 0x2000, 0x2000, PF_R | PF_X);
    Load(0x403800, 0x2800, 0x100, 0x5000, PF_R | PF_W);
  }
  Elf64_Phdr& Add(uint32_t type) {
    Elf64_Phdr program{};
    program.p_type = type;
    programs.push_back(program);
    return programs.back();
  }
  Elf64_Phdr& Load(uint64_t vaddr, uint64_t offset, uint64_t file_size, uint64_t memory_size,
                   uint32_t flags) {
    Elf64_Phdr& program = Add(PT_LOAD);
    program.p_vaddr = vaddr, program.p_offset = offset;
    program.p_filesz = file_size, program.p_memsz = memory_size;
    program.p_flags = flags, program.p_align = 0x1000;
    return program;
  }
  Result<ElfImage> Parse() {
    if (header.e_phnum == 0) header.e_phnum = static_cast<uint16_t>(programs.size());
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes.append(reinterpret_cast<const char*>(programs.data()), programs.size() * sizeof(Elf64_Phdr));
    bytes += tail;
    auto read = [&](uint64_t offset, std::span<std::byte> to) -> Result<size_t> {
      if (offset >= bytes.size()) return size_t{0};
      size_t length = std::min<size_t>(to.size(), bytes.size() - offset);
      std::memcpy(to.data(), bytes.data() + offset, length);
      return length;
    };
    return ElfImage::Parse(read, kMax);
  }
};

}  // namespace

TEST_CASE("a program's segments and headers are found") {
  File file;
  file.Add(PT_GNU_STACK).p_flags = PF_R | PF_W | PF_X;
  ElfImage image = file.Parse().value();
  CHECK_FALSE(image.position_independent);
  CHECK(image.segments.size() == 2);
  CHECK(image.segments[0].prot == (PROT_READ | PROT_EXEC));
  CHECK(image.start == 0x400000);
  CHECK(image.end == 0x409000);
  CHECK(image.headers_address == 0x400040);
  CHECK(image.executable_stack);
  CHECK(image.interpreter.empty());
}

TEST_CASE("the interpreter's name has to end in the file") {
  File file;
  Elf64_Phdr& interpreter = file.Add(PT_INTERP);
  interpreter.p_offset = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
  file.tail = std::string("/lib/ld.so\0", 11);
  interpreter.p_filesz = 11;
  CHECK(file.Parse().value().interpreter == "/lib/ld.so");
  file.programs[2].p_filesz = 10;
  CHECK(file.Parse().is(ENOEXEC));
  file.programs[2].p_filesz = 12;
  CHECK(file.Parse().is(EIO));
  file.programs[2].p_filesz = 1;
  CHECK(file.Parse().is(ENOEXEC));
  file.programs[2].p_filesz = UINT64_MAX;
  CHECK(file.Parse().is(ENOEXEC));
}

TEST_CASE("what is no program for this machine is refused") {
  auto spoiled = [](auto spoil) {
    File file;
    spoil(file);
    return file.Parse();
  };
  CHECK(spoiled([](File& f) { f.header.e_ident[0] = 'X'; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_ident[EI_CLASS] = ELFCLASS32; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_machine = EM_AARCH64; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_type = ET_REL; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_phentsize = 32; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_phnum = 0xffff; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_phoff = UINT64_MAX - 8; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.header.e_phoff = 1 << 20; }).is(ENOEXEC));
  CHECK(spoiled([](File& f) { f.programs[0].p_type = f.programs[1].p_type = PT_NULL; }).is(ENOEXEC));
}

TEST_CASE("segments that no mapping can satisfy are refused") {
  auto spoiled = [](auto spoil) {
    File file;
    spoil(file.programs[1]);
    return file.Parse();
  };
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_filesz = p.p_memsz + 1; }).is(EINVAL));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_memsz = UINT64_MAX; }).is(ENOMEM));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_vaddr = kMax; }).is(ENOMEM));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_vaddr = UINT64_MAX - 0x7ff; }).is(ENOMEM));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_offset = 0x2801; }).is(EINVAL));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_offset = UINT64_MAX - 0x7ff; }).is(EINVAL));
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_vaddr = 0x1800; }).is(EINVAL));  // below the first one
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_align = 3; }).ok());             // Linux ignores it
  CHECK(spoiled([](Elf64_Phdr& p) { p.p_memsz = 0, p.p_filesz = 0; }).value().segments.size() == 1);
}

TEST_CASE("every cut of a file is refused or parsed, never overrun") {
  File file;
  file.header.e_phnum = 2;
  std::string bytes(reinterpret_cast<const char*>(&file.header), sizeof(file.header));
  bytes.append(reinterpret_cast<const char*>(file.programs.data()), 2 * sizeof(Elf64_Phdr));
  for (size_t length = 0; length < bytes.size(); ++length) {
    auto read = [&](uint64_t offset, std::span<std::byte> to) -> Result<size_t> {
      if (offset >= length) return size_t{0};
      size_t count = std::min<size_t>(to.size(), length - offset);
      std::memcpy(to.data(), bytes.data() + offset, count);
      return count;
    };
    REQUIRE(ElfImage::Parse(read, kMax).is(ENOEXEC));
  }
}

}  // namespace runsc
