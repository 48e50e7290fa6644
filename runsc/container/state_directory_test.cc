#include "runsc/container/state_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace runsc {
namespace {

class Scratch {
 public:
  Scratch() {
    char path[] = "/tmp/state-test-XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string root() const { return path_ + "/a/b"; }

 private:
  std::string path_;
};

ContainerState SomeState() {
  ContainerState state;
  state.id = "c1";
  state.oci_version = "1.0.2";
  state.status = ContainerStatus::kRunning;
  state.monitor = ProcessIdentity::Of(::getpid());
  state.bundle = "/bundle";
  state.rootfs = "/bundle/root\"fs";
  state.created = 1'700'000'000'120'000'000;
  state.annotations = {{"k", "v"}};
  state.cgroup_paths = {{"memory", "/sys/fs/cgroup/memory/c1"}};
  state.systemd_unit = {.name = "a-c1.scope", .slice = "a.slice", .description = "runsc container c1"};
  state.control_socket = "control.sock";
  state.hooks.poststop.push_back({.path = "/bin/true", .args = {"true", "x"}, .env = {}, .timeout = 5});
  return state;
}

TEST_CASE("ids of containers") {
  for (const char* id : {"a", "A-Z_0+9.x", "..."}) CHECK(StateDirectory::CheckId(id).ok());
  for (const char* id : {"", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n", "~a"})
    CHECK(!StateDirectory::CheckId(id).ok());
  CHECK(!StateDirectory::CheckId(std::string(1025, 'a')).ok());
  CHECK(StateDirectory("/nonexistent").Create("a/b").status().message() ==
        "invalid container ID format: \"a/b\": only letters, digits and _ + - . may be in it");
}

TEST_CASE("a state is what was saved") {
  Scratch scratch;
  StateDirectory states(scratch.root());
  CHECK(states.List().empty());
  CHECK(states.Load("c1").status().message() == "container does not exist: c1");
  {
    auto made = states.Create("c1");
    REQUIRE(made.ok());
    CHECK(absl::IsNotFound(made->Load().status()));
    REQUIRE(made->Save(SomeState()).ok());
    // Locked by us, and there.
    CHECK(absl::IsAlreadyExists(states.Create("c1").status()));
  }
  auto loaded = states.Load("c1");
  REQUIRE(loaded.ok());
  CHECK(SerializeState(*loaded) == SerializeState(SomeState()));
  CHECK(loaded->hooks.poststop[0].timeout == 5);
  CHECK(loaded->cgroup_paths.size() == 1);
  CHECK(loaded->systemd_unit == SomeState().systemd_unit);
  CHECK(loaded->CurrentStatus() == ContainerStatus::kRunning);
  CHECK(absl::IsAlreadyExists(states.Create("c1").status()));
  CHECK(states.List().size() == 1);

  auto opened = states.Open("c1");
  REQUIRE(opened.ok());
  REQUIRE(opened->Remove().ok());
  CHECK(std::filesystem::is_empty(scratch.root()));
  CHECK(absl::IsNotFound(states.Open("c1").status()));
}

TEST_CASE("a directory that was left half-made is taken over") {
  Scratch scratch;
  StateDirectory states(scratch.root());
  { REQUIRE(states.Create("c1").ok()); }
  CHECK(states.List().empty());
  CHECK(absl::IsNotFound(states.Load("c1").status()));
  CHECK(states.Open("c1").ok());
  CHECK(states.Create("c1").ok());
}

TEST_CASE("a state file that cannot be read is said so") {
  Scratch scratch;
  StateDirectory states(scratch.root());
  auto made = states.Create("c1");
  REQUIRE(made.ok());
  std::ofstream(made->File("state.json")) << "{\"id\":1}";
  auto entries = states.List();
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].state.status().message() ==
        made->File("state.json") + ": id: must be a string, not a number");
  ContainerState other = SomeState();
  other.id = "c2";
  REQUIRE(made->Save(other).ok());
  CHECK(!states.Load("c1").ok());
}

TEST_CASE("a waiter for the lock of a removed container finds none") {
  Scratch scratch;
  StateDirectory states(scratch.root());
  auto made = states.Create("c1");
  REQUIRE(made.ok());
  REQUIRE(made->Save(SomeState()).ok());
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    // The parent's lock came along with its descriptor: it counts until all copies are closed.
    made->Unlock();
    (void)!::write(ready[1], "x", 1);
    bool gone = absl::IsNotFound(states.Open("c1").status());
    ::_exit(gone ? 0 : 1);
  }
  char byte;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(made->Remove().ok());
  made->Unlock();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a process is known by its start time too") {
  ProcessIdentity self = ProcessIdentity::Of(::getpid());
  CHECK(self.IsAlive());
  CHECK(self.Open());
  ProcessIdentity reused = self;
  ++reused.start_time;
  CHECK(!reused.IsAlive());
  CHECK(!reused.Open());
  pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(ProcessIdentity::Of(child).pid == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  ContainerState state = SomeState();
  state.monitor = reused;
  CHECK(state.CurrentStatus() == ContainerStatus::kStopped);
}

TEST_CASE("reports") {
  ContainerState state = SomeState();
  state.owner = 0;
  std::string pid = std::to_string(::getpid());
  CHECK(StateReport(state) == R"({
  "ociVersion": "1.2.0",
  "id": "c1",
  "pid": )" + pid + R"(,
  "status": "running",
  "bundle": "/bundle",
  "rootfs": "/bundle/root\"fs",
  "created": "2023-11-14T22:13:20.12Z",
  "annotations": {
    "k": "v"
  },
  "owner": "root"
}
)");
  CHECK(HookState(state, ContainerStatus::kCreating) ==
        R"({"ociVersion":"1.2.0","id":"c1","status":"creating","pid":)" + pid +
            R"(,"bundle":"/bundle","annotations":{"k":"v"}})");
  CHECK(StateListReport({}) == "null\n");
  state.monitor = {};
  state.annotations.clear();
  CHECK(StateListReport({state}) ==
        R"([{"ociVersion":"1.2.0","id":"c1","pid":0,"status":"stopped","bundle":"/bundle",)"
        R"("rootfs":"/bundle/root\"fs","created":"2023-11-14T22:13:20.12Z","owner":"root"}])"
        "\n");
  CHECK(FormatTime(0) == "1970-01-01T00:00:00Z");
  CHECK(UserName(123456) == "#123456");
}

}  // namespace
}  // namespace runsc
