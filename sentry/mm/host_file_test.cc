// A mapped host file that shrinks while the Sentry copies from it.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "sentry/mm/fake_platform_test.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

class HostFile final : public MappedObject, public Mappable, public BackingFile {
 public:
  static constexpr uint64_t kLength = 64 * kPageSize;
  HostFile() : fd_(memfd_create("host", MFD_CLOEXEC)) {
    if (ftruncate(fd_, kLength) != 0) __builtin_trap();
    memory_ = static_cast<std::byte*>(mmap(nullptr, kLength, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    memset(memory_, 'h', kLength);
  }
  ~HostFile() override {
    munmap(memory_, kLength);
    close(fd_);
  }
  void Shrink(uint64_t length) {
    if (ftruncate(fd_, static_cast<off_t>(length)) != 0) __builtin_trap();
  }
  Mappable& mappable() override { return *this; }
  std::string Name() const override { return "/host"; }
  uint64_t device() const override { return 7; }
  uint64_t inode_number() const override { return 8; }
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess) override {
    if (offset >= kLength) return Errno(ENXIO);
    FileRange range{offset, std::min(max_length, kLength - offset)};
    AddPageRefs(range);
    return Translation{this, range, true};
  }
  void AddMapping(MappingOwner&, UserRange range, uint64_t, bool) override { mapped += range.length(); }
  void RemoveMapping(MappingOwner&, UserRange range, uint64_t, bool) override { mapped -= range.length(); }
  int host_fd() const override { return fd_; }
  std::byte* At(FileRange range) override { return memory_ + range.offset; }
  void AddPageRefs(FileRange range) override { refs += range.length; }
  void ReleasePageRefs(FileRange range) override { refs -= range.length; }

  uint64_t refs = 0;
  uint64_t mapped = 0;

 private:
  int fd_;
  std::byte* memory_;
};

}  // namespace

TEST_CASE("a host file that shrinks costs an EFAULT, not the Sentry") {
  InstallSafeCopyHandler();
  FakePlatform platform;
  auto file = MemoryFile::Create(16 << 20).value();
  RefPtr<HostFile> host = MakeRef<HostFile>();
  RefPtr<MemoryManager> mm = MemoryManager::Create(platform, *file).value();
  MMapOptions o{.length = HostFile::kLength, .prot = PROT_READ | PROT_WRITE, .shared = true, .object = host};
  UserAddr shared = mm->MMap(o).value();
  o.shared = false;
  UserAddr copy = mm->MMap(o).value();
  CHECK(mm->Vmas(false)[0].name == "/host");
  std::string buffer(HostFile::kLength, 'x');
  auto bytes = std::as_writable_bytes(std::span(buffer));
  CHECK(mm->CopyIn(shared, bytes) == buffer.size());
  CHECK(buffer == std::string(buffer.size(), 'h'));
  host->Shrink(3 * kPageSize + 100);
  CHECK(mm->CopyIn(shared, bytes) == 4 * kPageSize);
  CHECK(mm->CopyOut(shared + 2 * kPageSize, bytes) == 2 * kPageSize);
  CHECK(mm->ZeroOut(shared + kPageSize, HostFile::kLength) == 3 * kPageSize);
  CHECK(mm->CopyIn(shared + 10 * kPageSize, bytes) == 0);
  CHECK(
      mm->WithWord(shared + 10 * kPageSize, MemoryAccess::kRead, [](uint32_t*) { return Ok(); }).is(EFAULT));
  // Copy-on-write of a page that is gone.
  CHECK(mm->CopyOut(copy + 10 * kPageSize, bytes.first(1)) == 0);
  std::byte* memory = nullptr;
  CHECK(FakeGuest(*mm).Touch((copy + 10 * kPageSize).value(), SwitchResult::Access::kWrite, &memory, *file) ==
        -ENXIO);
  CHECK(mm->CopyOut(copy + kPageSize, bytes.first(1)) == 1);

  RefPtr<MemoryManager> child = mm->Fork().value();
  CHECK(host->mapped == 4 * HostFile::kLength);
  REQUIRE(child->MUnmap(shared + kPageSize, kPageSize).ok());
  CHECK(host->mapped == 4 * HostFile::kLength - kPageSize);
  child.reset();
  CHECK(host->mapped == 2 * HostFile::kLength);
  mm.reset();
  CHECK(host->mapped == 0);
  CHECK(host->refs == 0);
  o.object.reset();
  CHECK(host->ref_count() == 1);
  CHECK(file->allocated_bytes() == 0);
}

}  // namespace runsc
