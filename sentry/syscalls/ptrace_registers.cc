#include "sentry/syscalls/ptrace_registers.h"

#include <elf.h>
#include <sys/user.h>

#include <algorithm>
#include <cstring>

#include "sentry/arch/xsave.h"
#include "sentry/kernel/kernel.h"

namespace runsc {
namespace {

constexpr uint64_t kTaskSizeMax = (uint64_t{1} << 47) - 4096;
// CF PF AF ZF SF TF DF OF NT RF AC: what a tracer may change.
constexpr uint64_t kFlagMask = 0x54dd5;
constexpr size_t kUserSize = 928;  // the kernel's struct user has two words more than the C library's
constexpr size_t kRegistersSize = sizeof(user_regs_struct);
constexpr size_t kDebugRegisters = offsetof(struct user, u_debugreg);
constexpr size_t kFeaturesOffset = 464;  // xstate_fx_sw_bytes: which components there are
constexpr size_t kHeaderOffset = kFxsaveSize;
static_assert(sizeof(Registers) == kRegistersSize);

using State = std::vector<std::byte>;

Result<void> CheckSelector(uint64_t value, uint64_t old) {
  // Others than those of the ABI cannot be loaded here.
  return (value & 0xffff) == (old & 0xffff) ? Ok() : Result<void>(Errno(EIO));
}

// Takes what `wanted` says as far as a tracer may say it.
Result<void> Take(Registers& registers, const Registers& wanted) {
  for (auto selector :
       {&Registers::cs, &Registers::ss, &Registers::ds, &Registers::es, &Registers::fs, &Registers::gs})
    RETURN_IF_ERROR(CheckSelector(wanted.*selector, registers.*selector));
  if (wanted.fs_base >= kTaskSizeMax || wanted.gs_base >= kTaskSizeMax) return Errno(EIO);
  Registers old = registers;
  registers = wanted;
  for (auto selector :
       {&Registers::cs, &Registers::ss, &Registers::ds, &Registers::es, &Registers::fs, &Registers::gs})
    registers.*selector = old.*selector;
  registers.eflags = (old.eflags & ~kFlagMask) | (wanted.eflags & kFlagMask);
  return Ok();
}

Result<Registers> Get(Task& tracer, Task& target) {
  Registers registers;
  RETURN_IF_ERROR(target.tracee().WhileStopped(tracer, [&]() -> Result<void> {
    registers = target.tracee().registers();
    return Ok();
  }));
  return registers;
}

Result<void> Set(Task& tracer, Task& target, const Registers& wanted) {
  return target.tracee().WhileStopped(tracer, [&]() -> Result<void> {
    RETURN_IF_ERROR(Take(target.tracee().registers(), wanted));
    target.tracee().RegistersChanged();
    return Ok();
  });
}

// What the tracee's own thread hands over; shared, as it may come too late.
struct SharedState : RefCounted {
  State bytes;
};

Result<State> GetState(Task& tracer, Task& target) {
  auto state = MakeRef<SharedState>();
  state->bytes.resize(tracer.kernel().platform().fp_state_size());
  RETURN_IF_ERROR(target.tracee().RunErrand(
      tracer, [state](Task& task) { return task.context().GetFpState(state->bytes); }));
  state->bytes.resize(FrameXsaveSize(state->bytes.size()));
  uint64_t features = FrameFeatures();
  memcpy(state->bytes.data() + kFeaturesOffset, &features, sizeof(features));
  return std::move(state->bytes);
}

Result<void> SetState(Task& tracer, Task& target, State state) {
  RETURN_IF_ERROR(SanitizeXsave(state));
  auto shared = MakeRef<SharedState>();
  shared->bytes = std::move(state);
  shared->bytes.resize(tracer.kernel().platform().fp_state_size());
  return target.tracee().RunErrand(tracer,
                                   [shared](Task& task) { return task.context().SetFpState(shared->bytes); });
}

// The legacy area in place of what is there.
Result<void> SetLegacyState(Task& tracer, Task& target, std::span<const std::byte> legacy) {
  ASSIGN_OR_RETURN(State state, GetState(tracer, target));
  std::copy(legacy.begin(), legacy.end(), state.begin());
  if (state.size() > kHeaderOffset) {
    uint64_t present = 0;
    memcpy(&present, state.data() + kHeaderOffset, sizeof(present));
    present |= 3;  // x87, SSE
    memcpy(state.data() + kHeaderOffset, &present, sizeof(present));
  }
  return SetState(tracer, target, std::move(state));
}

Result<State> ReadSet(Task& tracer, Task& target, uint64_t type) {
  if (type == NT_PRSTATUS) {
    ASSIGN_OR_RETURN(Registers registers, Get(tracer, target));
    auto bytes = std::as_bytes(std::span(&registers, 1));
    return State(bytes.begin(), bytes.end());
  }
  ASSIGN_OR_RETURN(State state, GetState(tracer, target));
  if (type == NT_FPREGSET) {
    memset(state.data() + kFeaturesOffset, 0, kFxsaveSize - kFeaturesOffset);
    state.resize(kFxsaveSize);
  }
  return state;
}

Result<void> WriteSet(Task& tracer, Task& target, uint64_t type, std::span<const std::byte> from) {
  if (type == NT_PRSTATUS) {
    ASSIGN_OR_RETURN(Registers registers, Get(tracer, target));
    memcpy(&registers, from.data(), std::min(from.size(), sizeof(registers)));
    return Set(tracer, target, registers);
  }
  if (type == NT_FPREGSET) {
    ASSIGN_OR_RETURN(State state, GetState(tracer, target));
    memcpy(state.data(), from.data(), std::min(from.size(), kFxsaveSize));
    return SetLegacyState(tracer, target, std::span(state).first(kFxsaveSize));
  }
  const size_t size = FrameXsaveSize(tracer.kernel().platform().fp_state_size());
  if (from.size() < size) return Errno(EFAULT);
  return SetState(tracer, target, State(from.begin(), from.begin() + static_cast<ptrdiff_t>(size)));
}

}  // namespace

Result<uint64_t> PeekUser(Task& tracer, Task& target, uint64_t offset) {
  if (offset % sizeof(uint64_t) != 0 || offset >= kUserSize) return Errno(EIO);
  ASSIGN_OR_RETURN(Registers registers, Get(tracer, target));
  uint64_t value = 0;
  if (offset < kRegistersSize)
    memcpy(&value, reinterpret_cast<const char*>(&registers) + offset, sizeof(value));
  return value;  // no debug registers are in use
}

Result<void> PokeUser(Task& tracer, Task& target, uint64_t offset, uint64_t value) {
  if (offset % sizeof(uint64_t) != 0 || offset >= kUserSize) return Errno(EIO);
  if (offset >= kDebugRegisters && offset < kDebugRegisters + sizeof(user::u_debugreg)) {
    // Watchpoints are not there; what sets none does no harm.
    if (value != 0) return Errno(EINVAL);
    return target.tracee().WhileStopped(tracer, []() -> Result<void> { return Ok(); });
  }
  if (offset >= kRegistersSize) return Errno(EIO);
  ASSIGN_OR_RETURN(Registers registers, Get(tracer, target));
  memcpy(reinterpret_cast<char*>(&registers) + offset, &value, sizeof(value));
  return Set(tracer, target, registers);
}

Result<void> GetRegisters(Task& tracer, Task& target, UserAddr to) {
  ASSIGN_OR_RETURN(Registers registers, Get(tracer, target));
  return tracer.memory().Write(UserPtr<Registers>(to), registers);
}

Result<void> SetRegisters(Task& tracer, Task& target, UserAddr from) {
  ASSIGN_OR_RETURN(Registers registers, tracer.memory().Read(UserPtr<const Registers>(from)));
  return Set(tracer, target, registers);
}

Result<void> GetFpRegisters(Task& tracer, Task& target, UserAddr to) {
  ASSIGN_OR_RETURN(State state, ReadSet(tracer, target, NT_FPREGSET));
  return tracer.memory().WriteArray(UserPtr<std::byte>(to), std::span<const std::byte>(state));
}

Result<void> SetFpRegisters(Task& tracer, Task& target, UserAddr from) {
  std::byte legacy[kFxsaveSize];
  RETURN_IF_ERROR(tracer.memory().ReadArray(UserPtr<std::byte>(from), std::span(legacy)));
  return SetLegacyState(tracer, target, legacy);
}

Result<void> RegisterSet(Task& tracer, Task& target, uint64_t type, UserAddr iovec_addr, bool set) {
  UserPtr<iovec> user(iovec_addr);
  ASSIGN_OR_RETURN(iovec vec, tracer.memory().Read(user));
  if (type != NT_PRSTATUS && type != NT_FPREGSET && type != NT_X86_XSTATE) return Errno(EINVAL);
  if (vec.iov_len % sizeof(uint64_t) != 0) return Errno(EINVAL);
  const UserPtr<std::byte> buffer(reinterpret_cast<uint64_t>(vec.iov_base));
  ASSIGN_OR_RETURN(State bytes, ReadSet(tracer, target, type));
  bytes.resize(std::min(bytes.size(), vec.iov_len));
  if (set) {
    RETURN_IF_ERROR(tracer.memory().ReadArray(buffer, std::span(bytes)));
    RETURN_IF_ERROR(WriteSet(tracer, target, type, bytes));
  } else {
    RETURN_IF_ERROR(tracer.memory().WriteArray(buffer, std::span<const std::byte>(bytes)));
  }
  vec.iov_len = bytes.size();
  return tracer.memory().Write(user, vec);
}

}  // namespace runsc
