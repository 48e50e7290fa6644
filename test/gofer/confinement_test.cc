// The whole Gofer process, locked down as in a real sandbox.
#include <fcntl.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "gofer/server/seccomp_rules.h"
#include "test/gofer/gofer_fixture.h"

namespace runsc::gofer {
namespace {

std::string StatusField(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

TEST_CASE("a locked-down Gofer serves its roots, holds nothing else, and ends with its connection") {
  if (getuid() != 0) {
    WARN("SKIPPED: needs root for a mount namespace");
    return;
  }
  TemporaryDirectory directory;
  directory.Write("file", "x");
  TemporaryDirectory other;
  other.Write("single", "y");
  auto sockets = PacketSockets();
  int stray = open("/etc/passwd", O_RDONLY);  // has to be closed by it
  pid_t pid = fork();
  if (pid == 0) {
    sockets.first.reset();
    GoferOptions options;
    options.roots.push_back({.path = directory.path(), .read_only = false});
    options.roots.push_back({.path = other / "single", .read_only = true});
    options.sockets.push_back(std::move(sockets.second));
    options.keep_fds = {STDERR_FILENO};
    options.install_filter = [] { return InstallGoferFilter(STDERR_FILENO, /*allow_connect=*/false); };
    _exit(RunGofer(std::move(options)));
  }
  close(stray);
  sockets.second.reset();
  {
    GoferClient client(std::move(sockets.first), nullptr);
    auto root = client.Call(Attach{0});
    REQUIRE(root.ok());
    UniqueFd fd;
    REQUIRE(client.Call(Create{root->node, "made", O_RDWR, 0640, 3, 4}, &fd).ok());
    CHECK(write(fd.get(), "abc", 3) == 3);
    auto stat = client.Call(StatAt{root->node, "made"}).value().attributes;
    CHECK(stat.uid == 3);
    CHECK(stat.mode == (S_IFREG | 0640));
    CHECK(stat.size == 3);
    auto file = client.Call(Walk{root->node, {"file"}}).value().found.at(0);
    CHECK(client.Call(Link{file.node, root->node, "hard"}).ok());
    CHECK(
        client.Call(SetAttr{.node = file.node, .valid = kSetMode | kSetSize, .mode = 0600, .size = 9}).ok());
    CHECK(client.Call(Rename{root->node, "hard", root->node, "harder", 0}).ok());
    CHECK(client.Call(Unlink{root->node, "harder", 0}).ok());
    CHECK_FALSE(client.Call(ReadDir{root->node, 0}).value().entries.empty());

    auto single = client.Call(Attach{1});
    REQUIRE(single.ok());
    CHECK(S_ISREG(single->attributes.mode));
    CHECK(client.Call(Open{single->node, O_RDONLY}, &fd).ok());
    CHECK(client.Call(Open{single->node, O_RDWR}).is(EROFS));

    CHECK(StatusField(pid, "NoNewPrivs") == "1");
    CHECK(StatusField(pid, "Seccomp") == "2");
    // chown, dac_override, dac_read_search, fowner, fsetid.
    CHECK(StatusField(pid, "CapPrm") == "000000000000001f");
    CHECK(StatusField(pid, "CapBnd") == "000000000000001f");
    std::ifstream mounts("/proc/" + std::to_string(pid) + "/mountinfo");
    std::stringstream text;
    text << mounts.rdbuf();
    std::string lines = text.str();
    CHECK(std::count(lines.begin(), lines.end(), '\n') == 1);
    // stderr, proc, two roots, socket, four nodes and at most a listing.
    auto fds = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd");
    CHECK(std::distance(begin(fds), end(fds)) <= 10);
  }
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace runsc::gofer
