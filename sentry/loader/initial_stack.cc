#include "sentry/loader/initial_stack.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace runsc {
namespace {

constexpr uint64_t kMinArgumentBytes = 32 * kPageSize;      // linux/limits.h: ARG_MAX
constexpr uint64_t kMaxArgumentBytes = (8u << 20) / 4 * 3;  // three quarters of _STK_LIM
constexpr std::string_view kPlatform{"x86_64\0", 7};

}  // namespace

uint64_t ArgumentLimit(uint64_t stack_limit) {
  return std::clamp(stack_limit / 4, kMinArgumentBytes, kMaxArgumentBytes);
}

Result<void> CheckArgumentSize(const std::vector<std::string>& argv, const std::vector<std::string>& envp,
                               const std::string& filename, uint64_t stack_limit) {
  uint64_t limit = ArgumentLimit(stack_limit);
  // An empty argv is passed on as one empty string.
  uint64_t total = (std::max<size_t>(argv.size(), 1) + envp.size()) * sizeof(uint64_t);
  if (total >= limit) return Errno(E2BIG);
  total += filename.size() + 1;
  for (const auto* strings : {&argv, &envp}) {
    for (const std::string& text : *strings) {
      if (text.size() + 1 > kMaxArgumentLength) return Errno(E2BIG);
      total += text.size() + 1;
      if (total > limit) return Errno(E2BIG);
    }
  }
  return Ok();
}

InitialStack BuildInitialStack(InitialStackRequest request) {
  InitialStack stack;
  // From the bottom of the string area up: arguments, environment, the program's name, 8 zero bytes.
  std::string strings;
  std::vector<uint64_t> offsets;
  for (const std::string& text : request.argv) {
    offsets.push_back(strings.size());
    strings.append(text.c_str(), text.size() + 1);
  }
  uint64_t env_offset = strings.size();
  for (const std::string& text : request.envp) {
    offsets.push_back(strings.size());
    strings.append(text.c_str(), text.size() + 1);
  }
  uint64_t filename_offset = strings.size();
  strings.append(request.filename.c_str(), request.filename.size() + 1);
  strings.append(sizeof(uint64_t), '\0');

  UserAddr strings_start = request.top - strings.size();
  stack.args_start = strings_start;
  stack.args_end = stack.env_start = strings_start + env_offset;
  stack.env_end = strings_start + filename_offset;

  uint64_t platform = (strings_start.value() - request.random_skip - kPlatform.size()) & ~uint64_t{15};
  uint64_t random = platform - request.random.size();
  request.auxv.emplace_back(AT_RANDOM, random);
  request.auxv.emplace_back(AT_EXECFN, strings_start.value() + filename_offset);
  request.auxv.emplace_back(AT_PLATFORM, platform);
  request.auxv.emplace_back(AT_NULL, 0);

  std::vector<uint64_t> table;
  table.push_back(request.argv.size());
  for (size_t i = 0; i < offsets.size(); ++i) {
    if (i == request.argv.size()) table.push_back(0);
    table.push_back(strings_start.value() + offsets[i]);
  }
  if (request.envp.empty()) table.push_back(0);
  table.push_back(0);
  for (const auto& [type, value] : request.auxv) {
    stack.auxv.push_back(type);
    stack.auxv.push_back(value);
  }
  table.insert(table.end(), stack.auxv.begin(), stack.auxv.end());

  uint64_t pointer = (random - table.size() * sizeof(uint64_t)) & ~uint64_t{15};
  stack.stack_pointer = UserAddr(pointer);
  stack.bytes.resize(request.top.value() - pointer);
  auto put = [&](uint64_t address, const void* from, size_t length) {
    std::memcpy(stack.bytes.data() + (address - pointer), from, length);
  };
  put(pointer, table.data(), table.size() * sizeof(uint64_t));
  put(random, request.random.data(), request.random.size());
  put(platform, kPlatform.data(), kPlatform.size());
  put(strings_start.value(), strings.data(), strings.size());
  return stack;
}

}  // namespace runsc
