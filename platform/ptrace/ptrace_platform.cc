#include "platform/ptrace/ptrace_platform.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
  // Blocked here, and so in every later thread: it is for the descriptor only.
  sigset_t deaths;
  sigemptyset(&deaths);
  sigaddset(&deaths, SIGCHLD);
  sigprocmask(SIG_BLOCK, &deaths, nullptr);
  UniqueFd thread_deaths(signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!thread_deaths) return HostErrno();
  ASSIGN_OR_RETURN(StubMaster master, StartStubMaster());
  UniqueFd master_death(static_cast<int>(syscall(SYS_pidfd_open, master.process->pid(), 0)));
  if (!master_death) return HostErrno();
  return std::unique_ptr<Platform>(std::make_unique<PtracePlatform>(
      master.code, std::move(master.process), std::move(master_death), std::move(thread_deaths)));
}

PtracePlatform::PtracePlatform(StubCode code, std::unique_ptr<StubProcess> master, UniqueFd master_death,
                               UniqueFd thread_deaths)
    : code_(code),
      master_death_(std::move(master_death)),
      thread_deaths_(std::move(thread_deaths)),
      master_(std::move(master)) {}

std::string PtracePlatform::TakeDeath(int fd) {
  if (fd == master_death_.get()) return "the master stub process was killed";
  signalfd_siginfo info;
  if (::read(fd, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return {};
  if (info.ssi_code != CLD_KILLED && info.ssi_code != CLD_DUMPED && info.ssi_code != CLD_EXITED) return {};
  if (info.ssi_code == CLD_EXITED) return "the stub process of a guest ended";
  return fmt::format("the stub process of a guest was killed by signal {}", info.ssi_status);
}

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
