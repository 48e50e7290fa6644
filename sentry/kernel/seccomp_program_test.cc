#include "sentry/kernel/seccomp_program.h"

#include <linux/audit.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

namespace runsc {
namespace {

using Instructions = std::vector<sock_filter>;

seccomp_data DataFor(uint32_t number, std::mt19937_64& random) {
  seccomp_data data = {static_cast<int>(number), AUDIT_ARCH_X86_64, random(), {}};
  for (auto& argument : data.args) argument = random() % 3 == 0 ? random() : random() % 8;
  return data;
}

sock_filter RandomInstruction(std::mt19937_64& random) {
  static constexpr uint16_t kCodes[] = {BPF_LD | BPF_W | BPF_ABS,
                                        BPF_LD | BPF_W | BPF_ABS,
                                        BPF_LD | BPF_IMM,
                                        BPF_LD | BPF_MEM,
                                        BPF_LDX | BPF_IMM,
                                        BPF_ST,
                                        BPF_ALU | BPF_ADD | BPF_K,
                                        BPF_ALU | BPF_DIV | BPF_X,
                                        BPF_ALU | BPF_AND | BPF_K,
                                        BPF_ALU | BPF_LSH | BPF_X,
                                        BPF_ALU | BPF_NEG,
                                        BPF_MISC | BPF_TAX,
                                        BPF_MISC | BPF_TXA,
                                        BPF_JMP | BPF_JA,
                                        BPF_JMP | BPF_JEQ | BPF_K,
                                        BPF_JMP | BPF_JGE | BPF_K,
                                        BPF_JMP | BPF_JSET | BPF_X,
                                        BPF_RET | BPF_K,
                                        BPF_RET | BPF_A};
  sock_filter instruction = {kCodes[random() % std::size(kCodes)], static_cast<uint8_t>(random() % 4),
                             static_cast<uint8_t>(random() % 4), static_cast<uint32_t>(random() % 4)};
  if (instruction.code == (BPF_LD | BPF_W | BPF_ABS)) instruction.k *= 4;
  if (instruction.code == (BPF_RET | BPF_K))
    instruction.k = random() % 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO;
  return instruction;
}

TEST_CASE("what is said to be allowed whatever the arguments are, is allowed") {
  std::mt19937_64 random(4711);
  int programs = 0, allowed_numbers = 0;
  for (int i = 0; i < 20000; ++i) {
    Instructions instructions;
    for (uint64_t length = random() % 12; length > 0; --length)
      instructions.push_back(RandomInstruction(random));
    instructions.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
    auto program = SeccompProgram::Create(instructions);
    if (!program.ok()) continue;
    ++programs;
    SeccompProgram::NumberSet allowed = program->AllowedNumbers();
    for (uint32_t number = 0; number < 12; ++number) {
      if (!allowed[number]) continue;
      ++allowed_numbers;
      for (int k = 0; k < 4; ++k) REQUIRE(program->Run(DataFor(number, random)) == SECCOMP_RET_ALLOW);
    }
  }
  CHECK(programs > 1000);
  CHECK(allowed_numbers > 1000);
}

TEST_CASE("numbers that depend on more than the number are not known") {
  auto program = SeccompProgram::Create({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 4},
                                         {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64},
                                         {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
                                         {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                         {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 3},
                                         {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 4},
                                         {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                                         {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 1},
                                         {BPF_LD | BPF_W | BPF_ABS, 0, 0, 16},
                                         {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7},
                                         {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 2},
                                         {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}});
  REQUIRE(program.ok());
  SeccompProgram::NumberSet allowed = program->AllowedNumbers();
  CHECK(allowed[0]);
  CHECK_FALSE(allowed[3]);
  CHECK_FALSE(allowed[4]);
  CHECK(allowed[5]);
  CHECK(allowed.count() == SeccompProgram::kNumbers - 2);
}

TEST_CASE("bytes that are no program are refused") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    Instructions instructions(1 + random() % 20);
    for (auto& instruction : instructions) {
      uint64_t bits = random();
      static_assert(sizeof(bits) == sizeof(instruction));
      memcpy(&instruction, &bits, sizeof(bits));
    }
    auto program = SeccompProgram::Create(instructions);
    if (program.ok()) (void)program->Run(DataFor(0, random));  // ends, within bounds
  }
}

}  // namespace
}  // namespace runsc
