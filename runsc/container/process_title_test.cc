#include "runsc/container/process_title.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

namespace runsc {
namespace {

// Of a child, since the test program wants its own arguments.
std::string CommandLineAfter(const std::vector<std::string>& arguments) {
  int out[2];
  REQUIRE(::pipe(out) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    SetCommandLine(arguments);
    std::ifstream file("/proc/self/cmdline");
    std::string line{std::istreambuf_iterator<char>(file), {}};
    (void)!::write(out[1], line.data(), line.size());
    ::_exit(0);
  }
  ::close(out[1]);
  std::string line;
  char byte;
  while (::read(out[0], &byte, 1) == 1) line += byte;
  ::close(out[0]);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  return line;
}

TEST_CASE("a process shows another command line, as far as there is room") {
  CHECK(CommandLineAfter({"sh", "x"}).starts_with(std::string("sh\0x\0", 5)));
  std::string many = CommandLineAfter({std::string(100000, 'a')});
  CHECK(many.size() < 100000);
  CHECK(many.starts_with("aaaa"));
}

}  // namespace
}  // namespace runsc
