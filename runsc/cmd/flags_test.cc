#include "runsc/cmd/flags.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

TEST_CASE("flags stop at the command") {
  FlagSet flags;
  bool verbose = false;
  std::string root;
  std::vector<std::string> volumes;
  flags.Bool("verbose", "", &verbose);
  flags.String("root", "DIR", "", &root);
  flags.Repeated("volume", "SPEC", "", &volumes);
  std::vector<std::string> arguments{"--verbose",    "-root=/x", "--volume", "a:b",
                                     "--volume=c:d", "ls",       "--verbose"};
  CHECK(flags.Parse(arguments) == "");
  CHECK(verbose);
  CHECK(root == "/x");
  CHECK(volumes == std::vector<std::string>{"a:b", "c:d"});
  CHECK(arguments == std::vector<std::string>{"ls", "--verbose"});

  arguments = {"--verbose=false", "--", "--root", "x"};
  CHECK(flags.Parse(arguments) == "");
  CHECK(!verbose);
  CHECK(arguments == std::vector<std::string>{"--root", "x"});
}

TEST_CASE("a flag may have a short name") {
  FlagSet flags;
  bool quiet = false;
  std::string format;
  flags.Bool("quiet, q", "say less", &quiet);
  flags.String("format, f", "FORMAT", "how", &format);
  std::vector<std::string> arguments{"-q", "-f", "json", "x"};
  CHECK(flags.Parse(arguments) == "");
  CHECK(quiet);
  CHECK(format == "json");
  arguments = {"--quiet=false", "--format=table"};
  CHECK(flags.Parse(arguments) == "");
  CHECK(!quiet);
  CHECK(format == "table");
  CHECK(flags.Help().starts_with("  -q, --quiet "));
  CHECK(flags.Help().find("  -f, --format=FORMAT ") != std::string::npos);
}

TEST_CASE("what is wrong is said") {
  FlagSet flags;
  std::string mode;
  uint32_t uid = 0;
  bool given = false;
  flags.Choice("mode", {"a", "b"}, "", &mode);
  flags.Unsigned("uid", "UID", "", &uid, &given);
  std::vector<std::string> arguments{"--nope=1"};
  CHECK(flags.Parse(arguments) == "flag provided but not defined: -nope");
  arguments = {"--mode"};
  CHECK(flags.Parse(arguments) == "--mode needs a value (a|b)");
  arguments = {"--mode=c"};
  CHECK(flags.Parse(arguments) == "--mode: 'c' is not one of a|b");
  arguments = {"--uid=-1"};
  CHECK(flags.Parse(arguments).find("--uid: ") == 0);
}

TEST_CASE("sizes") {
  uint64_t bytes = 0;
  CHECK((ParseSize("4096", &bytes) && bytes == 4096));
  CHECK((ParseSize("2G", &bytes) && bytes == uint64_t{2} << 30));
  CHECK((ParseSize("1mb", &bytes) && bytes == 1 << 20));
  CHECK(!ParseSize("", &bytes));
  CHECK(!ParseSize("1q", &bytes));
  CHECK(!ParseSize("99999999999999g", &bytes));
}

}  // namespace
}  // namespace runsc
