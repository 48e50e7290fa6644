#include "platform/seccomp/filter.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "platform/seccomp/allowed_calls.h"
#include "seccomp/test_filters.h"

namespace runsc {
namespace {

// Runs `body` in a child under the test's filter; its exit code and its report.
template <typename Body>
std::pair<int, std::string> UnderFilter(Body body) {
  int pipe_fds[2];
  REQUIRE(::pipe(pipe_fds) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    ReportSeccompViolations(pipe_fds[1], "test", [](long) { return "getppid"; });
    if (!InstallSeccompFilter(kTestFilter).ok()) ::_exit(2);
    body();
    ::_exit(0);
  }
  ::close(pipe_fds[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  char text[512];
  ssize_t n = ::read(pipe_fds[0], text, sizeof(text));
  ::close(pipe_fds[0]);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          std::string(text, n > 0 ? static_cast<size_t>(n) : 0)};
}

TEST_CASE("a call in the policy is allowed") {
  auto [code, report] = UnderFilter([] { (void)::getpid(); });
  CHECK(code == 0);
  CHECK(report.empty());
}

TEST_CASE("a call outside the policy is reported and ends the process") {
  auto [code, report] = UnderFilter([] { (void)::getppid(); });
  CHECK(code == kSeccompViolationExitCode);
  CHECK(report.find("test: stopped: the host system call getppid (number 110)") != std::string::npos);
}

TEST_CASE("argument conditions are looked at") {
  auto map = [](int prot) { (void)::mmap(nullptr, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
  CHECK(UnderFilter([&] { map(PROT_READ | PROT_WRITE); }).first == 0);
  CHECK(UnderFilter([&] { map(PROT_READ | PROT_EXEC); }).first == kSeccompViolationExitCode);
  // An int argument counts by its lower half.
  CHECK(UnderFilter([] {
          ::syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 0xffffffffu, 0);
        }).first == 0);
}

TEST_CASE("the calls that a filter may allow are counted") {
  CHECK(MayBeAllowed(kTestFilter, SYS_getpid));
  CHECK_FALSE(MayBeAllowed(kTestFilter, SYS_getppid));
  CHECK(MayBeAllowed(kTestFilter, SYS_mmap));  // for some arguments
  size_t count = CountAllowedCalls(kTestFilter);
  CHECK((count >= 3 && count < 50));
  CHECK(CountAllowedCalls({}) == 0);
}

}  // namespace
}  // namespace runsc
