#include "platform/host/resident_code.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>

namespace runsc {
namespace {

// What of this program's code is in memory, in KiB.
long ResidentCode() {
  std::ifstream file("/proc/self/smaps");
  std::string line;
  bool is_code = false;
  long sum = 0;
  while (std::getline(file, line)) {
    if (line.find('-') != std::string::npos && line.find(':') > line.find('-'))
      is_code =
          line.find(" r-xp ") != std::string::npos && line.find("platform_host_test") != std::string::npos;
    if (is_code && line.starts_with("Rss:")) sum += std::stol(line.substr(4));
  }
  return sum;
}

long ConstantSum() {
  static constexpr const char* kWords[] = {"constants", "are", "the", "file's", "too"};
  long sum = 0;
  for (const char* word : kWords) {
    for (const char* c = word; *c != '\0'; ++c) sum += *c;
  }
  return sum;
}

TEST_CASE("code is let go of, and goes on") {
  const long sum = ConstantSum();
  std::ostringstream busy;  // some code that is not needed again
  busy << 1.5 << std::hex << 77;
  const long before = ResidentCode();
  REQUIRE(before > 0);
  ReleaseCode();
  const long after = ResidentCode();
  CHECK(after < before);
  CHECK(ConstantSum() == sum);
  CHECK(busy.str() == "1.54d");
}

}  // namespace
}  // namespace runsc
