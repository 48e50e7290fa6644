#include "sentry/loader/script.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

ScriptLine Parse(std::string_view head) { return ParseScriptLine(head).value().value(); }

}  // namespace

TEST_CASE("a script names its interpreter and one argument") {
  CHECK_FALSE(ParseScriptLine("\177ELF").value().has_value());
  CHECK(Parse("#!/bin/sh\nrest").interpreter == "/bin/sh");
  CHECK_FALSE(Parse("#!/bin/sh\n").argument.has_value());
  CHECK_FALSE(Parse("#! \t/bin/sh \t\n").argument.has_value());
  CHECK(Parse("#!/usr/bin/env  python3 -u  \n").argument == "python3 -u");
  CHECK(Parse("#!/bin/sh").interpreter == "/bin/sh");  // the file ends there
  CHECK(Parse("#!/bin/sh -x").argument == "-x");
}

TEST_CASE("a line without a whole name is no script") {
  CHECK(ParseScriptLine("#!\n").is(ENOEXEC));
  CHECK(ParseScriptLine("#!  \t \n/bin/sh").is(ENOEXEC));
  CHECK(ParseScriptLine("#!" + std::string(254, 'a')).is(ENOEXEC));
  CHECK(ParseScriptLine("#!" + std::string(254, ' ')).is(ENOEXEC));
  // The argument may be cut off, the name not.
  std::string cut = "#!/bin/sh " + std::string(300, 'b');
  CHECK(Parse(cut.substr(0, kScriptLineMax)).argument == std::string(245, 'b'));
}

}  // namespace runsc
