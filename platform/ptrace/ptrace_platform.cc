#include "platform/ptrace/ptrace_platform.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/host/xsave.h"
#include "platform/ptrace/ptrace_address_space.h"
#include "platform/ptrace/ptrace_context.h"
#include "platform/ptrace/stub_code.h"
#include "platform/ptrace/stub_filter.h"

namespace runsc {
namespace {

constexpr uint64_t kHighestBase = 0x7fffffff0000;

PtracePlatform::StubCode CodeAt(uint64_t base) {
  auto address = [base](const char* symbol) {
    return base + static_cast<uint64_t>(symbol - runsc_ptrace_stub_begin);
  };
  return {address(runsc_ptrace_stub_inject), address(runsc_ptrace_stub_trap), address(runsc_ptrace_stub_park),
          address(runsc_ptrace_stub_exit)};
}

}  // namespace

Result<std::unique_ptr<Platform>> NewPtracePlatform() {
  // Stops are waited for; that each one also tried to send SIGCHLD would only cost.
  struct sigaction action;
  if (sigaction(SIGCHLD, nullptr, &action) == 0) {
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, nullptr);
  }
  // Blocked here, and so in every later thread: it is for the descriptor only.
  sigset_t deaths;
  sigemptyset(&deaths);
  sigaddset(&deaths, SIGCHLD);
  sigprocmask(SIG_BLOCK, &deaths, nullptr);
  UniqueFd thread_deaths(signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!thread_deaths) return HostErrno();
  StubImage image;
  image.code = {runsc_ptrace_stub_begin, runsc_ptrace_stub_end};
  image.highest_base = kHighestBase;
  image.filter = StubFilter;
  image.traceable = true;
  ASSIGN_OR_RETURN(auto master, StubMaster::Start(image));
  return std::unique_ptr<Platform>(
      std::make_unique<PtracePlatform>(std::move(master), std::move(thread_deaths)));
}

PtracePlatform::PtracePlatform(std::unique_ptr<StubMaster> master, UniqueFd thread_deaths)
    : master_(std::move(master)), code_(CodeAt(master_->base())), thread_deaths_(std::move(thread_deaths)) {}

std::string PtracePlatform::TakeDeath(int fd) {
  if (fd == master_->death_fd()) return "the master stub process was killed";
  signalfd_siginfo info;
  if (::read(fd, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return {};
  if (info.ssi_code != CLD_KILLED && info.ssi_code != CLD_DUMPED && info.ssi_code != CLD_EXITED) return {};
  if (info.ssi_code == CLD_EXITED) return "the stub process of a guest ended";
  return fmt::format("the stub process of a guest was killed by signal {}", info.ssi_status);
}

size_t PtracePlatform::fp_state_size() const { return XsaveSize(); }

std::unique_ptr<Context> PtracePlatform::NewContext() { return std::make_unique<PtraceContext>(*this); }

Result<RefPtr<AddressSpace>> PtracePlatform::NewAddressSpace() {
  // The first list makes a guest thread.
  const StubCommand first[] = {
      {SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
      {SYS_clone, {STUB_THREAD_FLAGS}},
  };
  ASSIGN_OR_RETURN(auto process, master_->Prepare());
  RETURN_IF_ERROR(master_->Fork(*process, first));
  return RefPtr<AddressSpace>(MakeRef<PtraceAddressSpace>(*this, std::move(process)));
}

}  // namespace runsc
