#include "sentry/loader/initial_stack.h"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>

namespace runsc {
namespace {

constexpr uint64_t kTop = 0x7ffffffff000;

struct View {
  InitialStack stack;
  uint64_t Word(uint64_t address) const {
    uint64_t value = 0;
    std::memcpy(&value, stack.bytes.data() + (address - stack.stack_pointer.value()), sizeof(value));
    return value;
  }
  std::string Text(uint64_t address) const {
    return stack.bytes.c_str() + (address - stack.stack_pointer.value());
  }
};

}  // namespace

TEST_CASE("the stack holds what a program looks for") {
  std::vector<std::string> argv{"prog", "", "x y"}, envp{"A=1"};
  std::string filename = "/bin/prog";
  View view{BuildInitialStack({argv, envp, filename, {}, {{AT_PAGESZ, 4096}}, UserAddr(kTop), 48})};
  uint64_t at = view.stack.stack_pointer.value();
  CHECK(at % 16 == 0);
  CHECK(view.stack.bytes.size() == kTop - at);
  CHECK(view.Word(at) == 3);
  CHECK(view.Text(view.Word(at + 8)) == "prog");
  CHECK(view.Text(view.Word(at + 16)).empty());
  CHECK(view.Text(view.Word(at + 24)) == "x y");
  CHECK(view.Word(at + 32) == 0);
  CHECK(view.Text(view.Word(at + 40)) == "A=1");
  CHECK(view.Word(at + 48) == 0);
  CHECK(view.Word(at + 56) == AT_PAGESZ);
  uint64_t end = 0;
  for (uint64_t entry = at + 56; view.Word(entry) != AT_NULL; entry += 16) {
    if (view.Word(entry) == AT_EXECFN) CHECK(view.Text(view.Word(entry + 8)) == filename);
    if (view.Word(entry) == AT_PLATFORM) CHECK(view.Text(view.Word(entry + 8)) == "x86_64");
    end = entry;
  }
  CHECK(end > at);
  CHECK(view.Word(kTop - 8) == 0);
  CHECK(view.stack.env_end - view.stack.env_start == 4);
}

TEST_CASE("no arguments and no environment still end") {
  std::vector<std::string> argv, envp;
  std::string filename = "p";
  View view{BuildInitialStack({argv, envp, filename, {}, {}, UserAddr(kTop)})};
  uint64_t at = view.stack.stack_pointer.value();
  CHECK(view.Word(at) == 0);
  CHECK(view.Word(at + 8) == 0);
  CHECK(view.Word(at + 16) == 0);
  CHECK(view.Word(at + 24) == AT_RANDOM);
}

TEST_CASE("arguments have limits") {
  std::vector<std::string> none;
  CHECK(CheckArgumentSize({std::string(131071, 'a')}, none, "f", 8 << 20).ok());
  CHECK(CheckArgumentSize({std::string(131072, 'a')}, none, "f", 8 << 20).is(E2BIG));
  std::vector<std::string> many(20, std::string(120000, 'a'));
  CHECK(CheckArgumentSize(many, none, "f", 8 << 20).is(E2BIG));  // a quarter of the stack
  CHECK(CheckArgumentSize(many, none, "f", 64 << 20).ok());
  std::vector<std::string> short_ones(100000, "");
  CHECK(CheckArgumentSize(short_ones, none, "f", 1 << 20).is(E2BIG));
}

}  // namespace runsc
