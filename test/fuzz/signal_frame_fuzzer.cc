// rt_sigreturn(2) and the delivery of a signal with registers, stacks and frames of the guest's choice. The
// stack is a small memory; everything else faults.
#include "platform/host/xsave.h"
#include "sentry/arch/signal_frame.h"
#include "sentry/arch/xsave.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {
namespace {

constexpr uint64_t kBase = 0x7f0000000000;
constexpr size_t kSize = 16 << 10;
constexpr uint64_t kUserFlags = 0x50dd5;  // what sigreturn may set
constexpr uint64_t kInterruptFlag = 0x200;

class SmallMemory final : public UserMemory {
 public:
  std::string bytes = std::string(kSize, '\0');

  size_t CopyOut(UserAddr to, std::span<const std::byte> from) override {
    size_t n = Reach(to, from.size());
    if (n > 0) std::memcpy(bytes.data() + (to.value() - kBase), from.data(), n);
    return n;
  }
  size_t CopyIn(UserAddr from, std::span<std::byte> to) override {
    size_t n = Reach(from, to.size());
    if (n > 0) std::memcpy(to.data(), bytes.data() + (from.value() - kBase), n);
    return n;
  }
  size_t ZeroOut(UserAddr to, size_t length) override { return 0; }
  Result<size_t> WithBlocks(UserAddr, size_t, MemoryAccess, BlockFunction) override { return Errno(EFAULT); }
  Result<void> WithWord(UserAddr, MemoryAccess, absl::FunctionRef<Result<void>(uint32_t*)>) override {
    return Errno(EFAULT);
  }

 private:
  size_t Reach(UserAddr at, size_t length) const {
    if (at.value() < kBase || at.value() >= kBase + kSize) return 0;
    return std::min(length, kBase + kSize - at.value());
  }
};

void CheckState(std::span<const std::byte> state) {
  CHECK(state.size() == XsaveSize());
  // What the platform would load without an error.
  CHECK(ValidateXsave(state).ok());
}

void Return(SmallMemory& memory, uint64_t sp) {
  Registers registers{};
  registers.rsp = sp;
  registers.eflags = kInterruptFlag;
  Result<SignalReturn> back = PopSignalFrame(memory, registers, XsaveSize());
  if (!back.ok()) return;
  CheckState(back->fp_state);
  CHECK(registers.cs == kUserCodeSegment && registers.ss == kUserStackSegment);
  CHECK((registers.eflags & ~kUserFlags) == kInterruptFlag);
}

}  // namespace

std::vector<std::string> Seeds() {
  SmallMemory memory;
  Registers registers{};
  registers.rsp = kBase + kSize - 64;
  SignalFrameOptions options{};
  std::vector<std::byte> state = InitialFpState(XsaveSize());
  options.fp_state = state;
  CHECK(PushSignalFrame(memory, registers, options).ok());
  std::string frame = memory.bytes.substr(registers.rsp + 8 - kBase);
  return {std::string(1, '\0') + frame, std::string("\1") + Raw(registers.rsp, uint64_t{0}, uint64_t{0})};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  fuzz::InputReader input(data, size);
  fuzz::SmallMemory memory;
  if (input.Below(2) == 0) {
    std::string_view frame = input.Rest().substr(0, fuzz::kSize);
    uint64_t sp = fuzz::kBase + fuzz::kSize - frame.size();
    std::memcpy(memory.bytes.data() + (sp - fuzz::kBase), frame.data(), frame.size());
    fuzz::Return(memory, sp);
    return 0;
  }
  Registers registers{};
  registers.rsp = input.Value<uint64_t>();
  SignalFrameOptions options{};
  options.signal_stack.ss_sp = reinterpret_cast<void*>(input.Value<uint64_t>());
  options.signal_stack.ss_size = input.Value<uint64_t>();
  options.signal_stack.ss_flags = input.Value<int>();
  options.use_signal_stack = input.Below(2) != 0;
  std::vector<std::byte> state = InitialFpState(XsaveSize());
  options.fp_state = state;
  Registers before = registers;
  if (PushSignalFrame(memory, registers, options).ok()) {
    fuzz::Return(memory, registers.rsp + 8);
  } else {
    CHECK(std::memcmp(&before, &registers, sizeof(before)) == 0);
  }
  return 0;
}
