// Loads a real program into an address space without a platform.
#include <elf.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>

#include "sentry/loader/elf_loader.h"
#include "sentry/mm/fake_platform_test.h"
#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

// A read-only file with the given contents, in the memory file.
class ContentFile final : public FileDescription, public Mappable {
 public:
  ContentFile(MemoryFile& memory_file, std::string contents)
      : FileDescription(AnonymousPath("content", S_IFREG | 0755), O_RDONLY),
        memory_file_(memory_file),
        contents_(std::move(contents)),
        range_(memory_file.Allocate(*PageRoundUp(contents_.size())).value()) {
    std::memcpy(memory_file.At(range_), contents_.data(), contents_.size());
  }
  ~ContentFile() override { memory_file_.ReleasePageRefs(range_); }
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override {
    if (offset >= contents_.size()) return size_t{0};
    return to.CopyOut(std::as_bytes(std::span(contents_)).subspan(offset));
  }
  Result<RefPtr<MappedObject>> ConfigureMMap(int, bool) override { return RefPtr<MappedObject>(this); }
  Mappable& mappable() override { return *this; }
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess) override {
    if (offset >= range_.length) return Errno(ENXIO);
    Translation translation;
    translation.file = &memory_file_;
    translation.range = {range_.offset + offset, std::min(max_length, range_.length - offset)};
    memory_file_.AddPageRefs(translation.range);
    return translation;
  }

 private:
  MemoryFile& memory_file_;
  const std::string contents_;
  const FileRange range_;
};

}  // namespace

TEST_CASE("a program without an interpreter is laid out as its headers say") {
  // This test itself: a static, position-independent program.
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string contents((std::istreambuf_iterator<char>(self)), std::istreambuf_iterator<char>());
  auto memory_file = MemoryFile::Create(uint64_t{1} << 30).value();
  FakePlatform platform;
  GuestClock clock;
  auto loader = ElfLoader::Create(platform, *memory_file, clock, 1).value();

  LoadRequest request;
  request.paths.creds = Credentials::Root();
  request.file = MakeRef<ContentFile>(*memory_file, contents);
  request.filename = "/bin/self";
  request.argv = {"self", "argument"};
  request.envp = {"HOME=/"};
  Elf64_Ehdr header;
  std::memcpy(&header, contents.data(), sizeof(header));
  if (contents.find("/ld-linux") != std::string::npos) {
    WARN("SKIPPED: this test itself has an interpreter, as with sanitizers");
    return;
  }
  LoadedProgram program = loader->Load(request).value();
  CHECK(program.name == "self");
  CHECK(program.registers.rip % kPageSize == header.e_entry % kPageSize);
  CHECK(program.registers.rsp % 16 == 0);

  MemoryManager& memory = *program.memory;
  CHECK(memory.Read(UserPtr<const uint64_t>(program.registers.rsp)).value() == 2);
  uint64_t argument = memory.Read(UserPtr<const uint64_t>(program.registers.rsp + 16)).value();
  CHECK(memory.ReadString(UserAddr(argument), 100, ENAMETOOLONG).value() == "argument");
  uint64_t headers = 0, vdso = 0;
  MemoryLayout layout = memory.GetLayout();
  for (size_t i = 0; i + 1 < layout.auxv.size(); i += 2) {
    if (layout.auxv[i] == AT_PHDR) headers = layout.auxv[i + 1];
    if (layout.auxv[i] == AT_SYSINFO_EHDR) vdso = layout.auxv[i + 1];
  }
  REQUIRE(headers != 0);
  std::vector<Elf64_Phdr> programs(header.e_phnum);
  REQUIRE(memory.ReadArray(UserPtr<const Elf64_Phdr>(headers), std::span(programs)).ok());
  uint64_t bias = program.registers.rip - header.e_entry;
  for (const Elf64_Phdr& segment : programs) {
    if (segment.p_type != PT_LOAD) continue;
    std::string bytes(segment.p_memsz, 'x');
    REQUIRE(memory.CopyIn(UserAddr(segment.p_vaddr + bias), std::as_writable_bytes(std::span(bytes))) ==
            bytes.size());
    CHECK(bytes.compare(0, segment.p_filesz, contents, segment.p_offset, segment.p_filesz) == 0);
    CHECK(bytes.find_first_not_of('\0', segment.p_filesz) == std::string::npos);
  }
  Elf64_Ehdr image = memory.Read(UserPtr<const Elf64_Ehdr>(vdso)).value();
  CHECK(std::memcmp(image.e_ident, ELFMAG, SELFMAG) == 0);
  CHECK(memory.Brk(UserAddr()).value() == layout.brk_start);
}

TEST_CASE("files that are no programs are refused") {
  auto memory_file = MemoryFile::Create(uint64_t{1} << 30).value();
  FakePlatform platform;
  GuestClock clock;
  auto loader = ElfLoader::Create(platform, *memory_file, clock, 1).value();
  LoadRequest request;
  request.paths.creds = Credentials::Root();
  request.filename = "f";
  for (const char* text : {"text", "#!", "\177ELF"}) {
    request.file = MakeRef<ContentFile>(*memory_file, text);
    CHECK(loader->Load(request).is(ENOEXEC));
  }
  request.argv.assign(30, std::string(120000, 'a'));
  CHECK(loader->Load(request).is(E2BIG));
}

}  // namespace runsc
