#include "runsc/container/root_view.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace runsc {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("in a root view there is the container's root, and nothing of the host") {
  char path[] = "/tmp/root-view-XXXXXX";
  const std::string folder = ::mkdtemp(path);
  std::filesystem::create_directories(folder + "/root/etc/inner");
  std::filesystem::create_directories(folder + "/volume");
  std::filesystem::create_symlink("/etc/inner", folder + "/root/link");
  std::filesystem::create_symlink("/../../.." + folder + "/outside", folder + "/root/escape");
  std::filesystem::create_directories(folder + "/outside");
  std::ofstream(folder + "/root/etc/name") << "container";
  std::ofstream(folder + "/volume/file") << "volume";
  RootView view{.root = folder + "/root",
                .binds = {{folder + "/volume", "/link", true},
                          {folder + "/volume", "/escape"},
                          {folder + "/volume", "/missing"},
                          {folder + "/volume/file", "/etc"}}};
  int said[2];
  REQUIRE(::pipe(said) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    absl::Status status = EnterRootView(view);
    char answer = 'x';
    if (absl::IsPermissionDenied(status)) {
      answer = 'p';
    } else if (status.ok()) {
      bool right = Contents("/etc/name") == "container" && Contents("/etc/inner/file") == "volume" &&
                   ::access(folder.c_str(), F_OK) != 0 && ::access("/proc/self", F_OK) != 0;
      std::ofstream("/etc/written") << "from inside";
      bool read_only = ::access("/etc/inner/file", W_OK) != 0 && errno == EROFS;
      answer = right && read_only ? 'y' : 'n';
    }
    (void)!::write(said[1], &answer, 1);
    ::_exit(0);
  }
  char answer = 0;
  REQUIRE(::read(said[0], &answer, 1) == 1);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  if (answer == 'p') {
    WARN("SKIPPED: making a mount namespace is not allowed here");
  } else {
    CHECK(answer == 'y');
    CHECK(Contents(folder + "/root/etc/written") == "from inside");
    CHECK(std::filesystem::is_empty(folder + "/outside"));
    CHECK(std::filesystem::is_empty(folder + "/root/etc/inner"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace runsc
