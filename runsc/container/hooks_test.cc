#include "runsc/container/hooks.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace runsc {
namespace {

class Scratch {
 public:
  Scratch() {
    char path[] = "/tmp/hooks-test-XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

oci::Hook Shell(const std::string& script) { return {.path = "/bin/sh", .args = {"hook", "-c", script}}; }

TEST_CASE("a hook gets the state, its arguments and no other environment") {
  Scratch scratch;
  ::setenv("NOT_FOR_HOOKS", "1", 1);
  oci::Hook hook = Shell("cat >" + (scratch / "out") + "; echo \"$0 $A $NOT_FOR_HOOKS\" >>out; echo noise");
  hook.args.push_back("zero");
  hook.env = {"A=b", "PATH=/usr/bin:/bin"};
  std::string state(200000, 's');
  absl::Status status = RunHook(hook, "prestart hook #0", state, {.working_directory = scratch.path()});
  CHECK(status.message() == "");
  CHECK(Contents(scratch / "out") == state + "zero b \n");
}

TEST_CASE("a hook that does not read its state is no failure") {
  CHECK(RunHook({.path = "/bin/true"}, "h", std::string(200000, 's')).ok());
}

TEST_CASE("a hook's failure is told with what it said") {
  CHECK(RunHook(Shell("echo one >&2; echo two >&2; exit 3"), "poststart hook #1", "{}").message() ==
        "poststart hook #1 /bin/sh: exit status 3, stderr: one; two");
  CHECK(RunHook(Shell("kill -9 $$"), "h", "{}").message() == "h /bin/sh: killed by signal 9");
  CHECK(RunHook({.path = "/nonexistent"}, "h", "{}").message() ==
        "h /nonexistent: exit status 127, stderr: /nonexistent: no such file or directory");
  CHECK(RunHook({.path = "/bin/true"}, "h", "{}", {.working_directory = "/nonexistent"}).message() ==
        "h /bin/true: exit status 127, stderr: /nonexistent: no such file or directory");
  std::string long_text = std::string(
      RunHook(Shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; echo END >&2; exit 1"), "h", "{}")
          .message());
  CHECK(long_text.size() < 5000);
  CHECK(long_text.ends_with("xEND"));
}

TEST_CASE("a hook that hangs is killed with its children") {
  Scratch scratch;
  oci::Hook hook = Shell("sleep 1000 & echo $! >" + (scratch / "pid") + "; wait");
  hook.timeout = 1;
  CHECK(RunHook(hook, "h", "{}").message() == "h /bin/sh: killed after its timeout of 1 s");
  pid_t child = std::stoi(Contents(scratch / "pid"));
  // Gone, or a zombie that its new parent has yet to reap.
  auto gone = [&] {
    if (::kill(child, 0) != 0) return true;
    std::string stat = Contents("/proc/" + std::to_string(child) + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 1000 && !gone(); ++i) ::usleep(10000);
  CHECK(gone());
}

TEST_CASE("a child of a hook that keeps its stderr does not keep us") {
  Scratch scratch;
  auto before = std::chrono::steady_clock::now();
  CHECK(RunHook(Shell("sleep 60 & echo $! >" + (scratch / "pid")), "h", "{}").ok());
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(50));
  ::kill(std::stoi(Contents(scratch / "pid")), SIGKILL);
}

TEST_CASE("hooks run in order until one fails, or all") {
  Scratch scratch;
  std::vector<oci::Hook> hooks = {Shell("echo 1 >>out"), Shell("exit 1"), Shell("echo 3 >>out")};
  HookPlace place{.working_directory = scratch.path()};
  CHECK(RunHooks(hooks, "createRuntime", "{}", place).message() ==
        "createRuntime hook #1 /bin/sh: exit status 1");
  CHECK(Contents(scratch / "out") == "1\n");
  CHECK(RunAllHooks(hooks, "poststop", "{}", place) ==
        std::vector<std::string>{"poststop hook #1 /bin/sh: exit status 1"});
  CHECK(Contents(scratch / "out") == "1\n1\n3\n");
}

TEST_CASE("hooks can be run in other namespaces") {
  int self = ::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  REQUIRE(self >= 0);
  absl::Status status = RunHook({.path = "/bin/true"}, "h", "{}", {.namespaces = {self}});
  // An ordinary user may not enter even its own.
  if (::geteuid() == 0)
    CHECK(status.message() == "");
  else
    CHECK(status.message() == "h /bin/true: exit status 127, stderr: setns: Operation not permitted");
  ::close(self);
}

}  // namespace
}  // namespace runsc
