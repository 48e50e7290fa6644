// What the conformance suite and the benchmark need to run guest code: small
// assembler snippets, memory for them, and a tiny test registry.
#ifndef TEST_PLATFORM_GUEST_H_
#define TEST_PLATFORM_GUEST_H_

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"

namespace runsc::platform_test {

// GUEST(name, "instructions"): guest_name and guest_name_end enclose the code.
#define GUEST(name, text)                                                                     \
  extern "C" const char guest_##name[], guest_##name##_end[];                                 \
  __asm__(".pushsection .rodata.guest,\"a\",@progbits\n .globl guest_" #name ", guest_" #name \
          "_end\nguest_" #name ":\n" text "\nguest_" #name "_end:\n.popsection\n")

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kCode = 0x400000;  // r-x
inline constexpr uint64_t kData = 0x800000;  // rw-, kDataPages
inline constexpr uint64_t kDataPages = 16;
inline constexpr uint64_t kStackTop = kData + kDataPages * kPage;

using Reason = SwitchResult::Reason;

// One address space with a page of code and some of data, which is also its stack.
class Guest {
 public:
  explicit Guest(Platform& platform, uint64_t pages = 64) : platform_(platform), pages_(pages) {
    fd_ = memfd_create("guest", MFD_CLOEXEC);
    if (ftruncate(fd_, static_cast<off_t>(pages * kPage)) != 0) abort();
    memory_ = static_cast<char*>(mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    auto space = platform.NewAddressSpace();
    if (!space.ok()) {
      fprintf(stderr, "NewAddressSpace: %s\n", std::string(space.error().name()).c_str());
      abort();
    }
    space_ = *std::move(space);
  }
  ~Guest() {
    space_.reset();
    munmap(memory_, pages_ * kPage);
    close(fd_);
  }

  // Puts code into page 0 of the file and maps it, and the data pages behind it.
  void Load(const char* begin, const char* end) {
    memcpy(memory_, begin, static_cast<size_t>(end - begin));
    if (!space().MapFile(kCode, fd_, 0, kPage, {PROT_READ | PROT_EXEC}).ok()) abort();
    if (!space().MapFile(kData, fd_, kPage, kDataPages * kPage, {PROT_READ | PROT_WRITE}).ok()) abort();
  }
  Registers Start() const {
    Registers r = {};
    r.rip = kCode;
    r.rsp = kStackTop;
    r.cs = 0x33;
    r.ss = 0x2b;
    r.eflags = 0x202;
    return r;
  }
  // The Sentry's view of guest address kData + offset.
  template <typename T>
  std::atomic<T>& Data(uint64_t offset) {
    return *reinterpret_cast<std::atomic<T>*>(memory_ + kPage + offset);
  }
  char* memory() { return memory_; }
  int fd() const { return fd_; }
  AddressSpace& space() { return *space_; }
  Platform& platform() { return platform_; }
  std::unique_ptr<Context> NewContext() { return platform_.NewContext(); }

 private:
  Platform& platform_;
  uint64_t pages_;
  int fd_;
  char* memory_;
  RefPtr<AddressSpace> space_;
};

// Where the code of the backend's stubs is.
uint64_t StubBase(Platform& platform);

struct Test {
  const char* name;
  void (*run)(Platform&);
};
std::vector<Test>& Tests();
void Failed(const char* file, int line, const char* what, long long a, long long b);

struct Register {
  Register(const char* name, void (*run)(Platform&)) { Tests().push_back({name, run}); }
};

#define TEST(name)                                                            \
  static void Test##name(::runsc::Platform& platform);                        \
  static ::runsc::platform_test::Register register_##name(#name, Test##name); \
  static void Test##name([[maybe_unused]] ::runsc::Platform& platform)

// Any thread. Go on after a failure.
#define EXPECT(condition) \
  ((condition) ? (void)0 : ::runsc::platform_test::Failed(__FILE__, __LINE__, #condition, 0, 0))
#define EXPECT_EQ(a, b)                                                                                   \
  do {                                                                                                    \
    auto expect_a_ = (a);                                                                                 \
    auto expect_b_ = (b);                                                                                 \
    if (!(expect_a_ == static_cast<decltype(expect_a_)>(expect_b_)))                                      \
      ::runsc::platform_test::Failed(__FILE__, __LINE__, #a " == " #b, static_cast<long long>(expect_a_), \
                                     static_cast<long long>(expect_b_));                                  \
  } while (0)

}  // namespace runsc::platform_test

#endif  // TEST_PLATFORM_GUEST_H_
