#include "platform/ptrace/ptrace_platform.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "platform/host/xsave.h"
#include "platform/ptrace/ptrace_address_space.h"
#include "platform/ptrace/ptrace_context.h"
#include "platform/ptrace/stub_master.h"

namespace runsc {
namespace {

constexpr size_t kFreePagesKept = 32;
constexpr size_t kDyingAllowed = 16;
constexpr uint64_t kMinAddress = 0x10000;  // the default of vm.mmap_min_addr

}  // namespace

Result<std::unique_ptr<Platform>> NewPtracePlatform() {
  // Stops are waited for; that each one also tried to send SIGCHLD would only cost.
  struct sigaction action;
  if (sigaction(SIGCHLD, nullptr, &action) == 0) {
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, nullptr);
  }
  ASSIGN_OR_RETURN(StubMaster master, StartStubMaster());
  return std::unique_ptr<Platform>(std::make_unique<PtracePlatform>(master.code, std::move(master.process)));
}

PtracePlatform::PtracePlatform(StubCode code, std::unique_ptr<StubProcess> master)
    : code_(code), master_(std::move(master)) {}

PtracePlatform::~PtracePlatform() {
  MutexLock lock(mu_);
  dying_.push_back(std::move(master_));
  for (auto& process : dying_) {
    if (process->reaped()) continue;
    kill(process->pid(), SIGKILL);
    while (wait4(process->pid(), nullptr, __WALL, nullptr) < 0 && errno == EINTR) {
    }
  }
}

uint64_t PtracePlatform::min_address() const { return kMinAddress; }

size_t PtracePlatform::fp_state_size() const { return XsaveSize(); }

std::unique_ptr<Context> PtracePlatform::NewContext() { return std::make_unique<PtraceContext>(*this); }

Result<RefPtr<AddressSpace>> PtracePlatform::NewAddressSpace() {
  MutexLock lock(mu_);
  ReapLocked();
  std::unique_ptr<StubPages> pages;
  if (!free_pages_.empty()) {
    pages = std::move(free_pages_.back());
    free_pages_.pop_back();
    pages->Reset();
  } else {
    ASSIGN_OR_RETURN(pages, StubPages::New());
  }
  auto process = std::make_unique<StubProcess>(std::move(pages));
  // The new process finds its first list when it begins: it makes a guest thread
  // while the Sentry does other things.
  const StubCommand first[] = {
      {SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}},
      {SYS_clone, {STUB_THREAD_FLAGS}},
  };
  process->Load(first);
  process->Post();
  const StubCommand fork[] = {
      {SYS_clone, {STUB_FORK_FLAGS, 0, 0, 0, 0, static_cast<uint64_t>(process->pages().fd())}},
  };
  ASSIGN_OR_RETURN(int32_t pid, master_->Run(fork));
  process->set_pid(pid);
  return RefPtr<AddressSpace>(MakeRef<PtraceAddressSpace>(*this, std::move(process)));
}

void PtracePlatform::Retire(std::unique_ptr<StubProcess> process) {
  if (!process->reaped()) kill(process->pid(), SIGKILL);
  MutexLock lock(mu_);
  dying_.push_back(std::move(process));
  ReapLocked();
}

void PtracePlatform::ReapLocked() {
  for (size_t i = 0; i < dying_.size();) {
    StubProcess& process = *dying_[i];
    if (!process.reaped()) {
      int flags = __WALL | (dying_.size() > kDyingAllowed ? 0 : WNOHANG);
      pid_t waited = wait4(process.pid(), nullptr, flags, nullptr);
      if (waited == 0 || (waited < 0 && errno == EINTR)) {
        ++i;
        continue;
      }
    }
    if (free_pages_.size() < kFreePagesKept) free_pages_.push_back(process.TakePages());
    dying_[i] = std::move(dying_.back());
    dying_.pop_back();
  }
}

}  // namespace runsc
