// The platform conformance suite: platform_conformance_test BACKEND [TEST...]
#include <fcntl.h>

#include <cstdio>
#include <cstring>
#include <functional>

#include "platform/base/log.h"
#include "platform/ptrace/ptrace_platform.h"
#include "platform/systrap/systrap_platform.h"
#include "test/platform/guest.h"

namespace runsc::platform_test {

namespace {
std::atomic<int> failures{0};
}  // namespace

std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

uint64_t StubBase(Platform& platform) {
  auto* systrap = dynamic_cast<SystrapPlatform*>(&platform);
  return systrap != nullptr ? systrap->stub_base() : platform.max_address();
}

void Failed(const char* file, int line, const char* what, long long a, long long b) {
  int n = failures.fetch_add(1);
  if (n < 50)
    fprintf(stderr, "%s:%d: failed: %s (%lld = %#llx, %lld = %#llx)\n", file, line, what, a,
            static_cast<unsigned long long>(a), b, static_cast<unsigned long long>(b));
}

namespace {

int Main(int argc, char** argv) {
  struct Backend {
    const char* name;
    Result<std::unique_ptr<Platform>> (*make)();
  };
  static constexpr Backend kBackends[] = {{"ptrace", NewPtracePlatform}, {"systrap", NewSystrapPlatform}};
  const char* wanted = argc > 1 ? argv[1] : "ptrace";
  SetLog(2, LogLevel::kWarning, "test");
  for (const Backend& backend : kBackends) {
    if (strcmp(backend.name, wanted) != 0) continue;
    auto platform = backend.make();
    if (!platform.ok()) {
      printf("SKIPPED: platform %s: %s\n", wanted, std::string(platform.error().message()).c_str());
      return 77;
    }
    int failed_tests = 0;
    for (const Test& test : Tests()) {
      bool chosen = argc <= 2;
      for (int i = 2; i < argc; ++i) chosen = chosen || strcmp(argv[i], test.name) == 0;
      if (!chosen) continue;
      int before = failures.load();
      test.run(**platform);
      bool ok = failures.load() == before;
      printf("%s %s\n", ok ? "ok    " : "FAILED", test.name);
      fflush(stdout);
      failed_tests += ok ? 0 : 1;
    }
    return failed_tests == 0 ? 0 : 1;
  }
  fprintf(stderr, "no such platform: %s\n", wanted);
  return 2;
}

}  // namespace
}  // namespace runsc::platform_test

int main(int argc, char** argv) { return runsc::platform_test::Main(argc, argv); }
