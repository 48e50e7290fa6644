#include "platform/systrap/systrap_platform.h"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/epoll.h>

#include "platform/host/xsave.h"
#include "platform/systrap/guest_filter.h"
#include "platform/systrap/slot_layout.h"
#include "platform/systrap/systrap_address_space.h"
#include "platform/systrap/systrap_context.h"

namespace runsc {
namespace {

// The region must not cross a multiple of 4 GiB: the filter compares halves of addresses.
constexpr uint64_t kHighestBase = 0x7fff70000000;
static_assert(kHighestBase - 64 * 0x100000 >= SLOTS_ABOVE && SLOTS_ABOVE >> SLOTS_SHIFT == SLOTS_HIGH_BITS);
constexpr unsigned long kHwcap2FsGsBase = 2;

}  // namespace

bool SystrapSupported() {
  constexpr size_t kSmallestXsave = 576;
  return (getauxval(AT_HWCAP2) & kHwcap2FsGsBase) != 0 && XsaveSize() > kSmallestXsave &&
         XsaveSize() <= ThreadSlot::kMaxFpState;
}

Result<std::unique_ptr<Platform>> NewSystrapPlatform() {
  if (!SystrapSupported()) return Errno(ENOSYS);
  StubImage image;
  image.code = {runsc_systrap_stub_begin, runsc_systrap_stub_end};
  image.highest_base = kHighestBase;
  image.filter = SystrapFilter;
  image.file_size = SYSTRAP_REGION_SIZE;
  image.watch_deaths = true;
  image.handled_signals = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SYSTRAP_INTERRUPT_SIGNAL};
  image.handler = static_cast<uint64_t>(runsc_systrap_stub_handler - runsc_systrap_stub_begin);
  ASSIGN_OR_RETURN(auto master, StubMaster::Start(image));
  return std::unique_ptr<Platform>(
      std::make_unique<SystrapPlatform>(std::move(master), __builtin_cpu_supports("bmi2") != 0));
}

Result<RefPtr<AddressSpace>> SystrapPlatform::NewAddressSpace() {
  ASSIGN_OR_RETURN(auto space, SystrapAddressSpace::New(*master_, can_patch_));
  return RefPtr<AddressSpace>(std::move(space));
}

std::string SystrapPlatform::TakeDeath(int fd) {
  if (fd == master_->death_fd()) return "the master stub process was killed";
  epoll_event event;
  if (epoll_wait(fd, &event, 1, 0) <= 0) return {};  // retired meanwhile
  return "the stub process of a guest was killed";
}

std::unique_ptr<Context> SystrapPlatform::NewContext() { return std::make_unique<SystrapContext>(*this); }

size_t SystrapPlatform::fp_state_size() const { return XsaveSize(); }

}  // namespace runsc
