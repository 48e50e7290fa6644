#include "platform/host/landlock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "platform/base/unique_fd.h"

namespace runsc {
namespace {

constexpr int kNoLandlock = 77;

// A directory `served` and one beside it, with a file each.
struct Tree {
  std::string top;
  Tree() {
    char name[] = "/tmp/landlock-test.XXXXXX";
    top = ::mkdtemp(name);
    for (const char* directory : {"served", "other"}) {
      ::mkdir((top + "/" + directory).c_str(), 0755);
      Make(top + "/" + directory + "/file");
    }
  }
  ~Tree() {
    for (const char* path : {"/served/file", "/served/new", "/served", "/other/file", "/other", ""})
      if (::unlink((top + path).c_str()) != 0) ::rmdir((top + path).c_str());
  }
  static bool Make(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)).get() >= 0;
  }
};

bool Opens(const std::string& path, int flags) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC)).get() >= 0;
}

// What `body` exits with in a child that is restricted to `roots`.
template <typename Body>
int Restricted(std::span<const LandlockRoot> roots, Body body) {
  pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    auto restricted = RestrictByLandlock({.roots = roots});
    if (!restricted.ok()) ::_exit(99);
    if (!*restricted) ::_exit(kNoLandlock);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int Bits(std::initializer_list<bool> answers) {
  int bits = 0, bit = 1;
  for (bool answer : answers) {
    bits |= answer ? bit : 0;
    bit *= 2;
  }
  return bits;
}

TEST_CASE("without roots nothing can be opened, and what is open stays open") {
  Tree tree;
  UniqueFd open_file(::open((tree.top + "/served/file").c_str(), O_RDWR | O_CLOEXEC));
  int bits = Restricted({}, [&] {
    return Bits({Opens(tree.top + "/served/file", O_RDONLY), Opens("/", O_RDONLY | O_DIRECTORY),
                 Tree::Make(tree.top + "/served/new"), ::write(open_file.get(), "x", 1) == 1,
                 ::ftruncate(open_file.get(), 0) == 0});
  });
  if (bits == kNoLandlock) {
    WARN("SKIPPED: this kernel has no Landlock");
    return;
  }
  CHECK(bits == Bits({false, false, false, true, true}));
}

TEST_CASE("what is beneath a root can be opened as the root says, and nothing beside it") {
  for (bool read_only : {true, false}) {
    Tree tree;
    UniqueFd served(::open((tree.top + "/served").c_str(), O_PATH | O_CLOEXEC));
    LandlockRoot root{served.get(), read_only};
    int bits = Restricted({&root, 1}, [&] {
      return Bits({Opens(tree.top + "/served/file", O_RDONLY), Opens(tree.top + "/served/file", O_WRONLY),
                   Tree::Make(tree.top + "/served/new"), Opens(tree.top + "/other/file", O_RDONLY),
                   Opens(tree.top + "/served/../other/file", O_RDONLY)});
    });
    if (bits == kNoLandlock) return;
    CHECK(bits == Bits({true, !read_only, !read_only, false, false}));
  }
}

TEST_CASE("a root can be a file") {
  Tree tree;
  UniqueFd served(::open((tree.top + "/served/file").c_str(), O_PATH | O_CLOEXEC));
  LandlockRoot root{served.get(), false};
  int bits = Restricted({&root, 1}, [&] {
    return Bits({Opens(tree.top + "/served/file", O_RDWR | O_TRUNC), Tree::Make(tree.top + "/served/new")});
  });
  if (bits == kNoLandlock) return;
  CHECK(bits == Bits({true, false}));
}

}  // namespace
}  // namespace runsc
