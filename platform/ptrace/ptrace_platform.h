// PtracePlatform: guest code in traced stub processes. The portable backend, and the
// reference for what the others have to do.
//
//   Sentry ── master stub            untraced; forks one stub process an address space
//      ├──── stub process (keeper)   untraced first thread; runs command lists
//      │        └ stub threads       run guest code under PTRACE_SYSEMU, each traced by
//      └──── ...                     the host thread of its task
//
// The walls between guest code and the host: (1) SYSEMU swallows every system call of
// a traced thread; (2) a seccomp filter passes only the stub's own calls, only from the
// stub's code page (stub_filter.h); (3) no capabilities, no_new_privs, none of
// the Sentry's memory. Untraced threads only ever run stub code.
#ifndef PLATFORM_PTRACE_PTRACE_PLATFORM_H_
#define PLATFORM_PTRACE_PTRACE_PLATFORM_H_

#include <memory>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/unique_fd.h"
#include "platform/platform.h"
#include "platform/ptrace/cpu_balancer.h"
#include "platform/ptrace/stub_process.h"

namespace runsc {

// Call at boot: single-threaded, with the final user and group ids, before the Sentry's
// seccomp filter. The calling thread has to outlive the sandbox (stubs die with it).
// Spaces and contexts must not outlive the platform.
Result<std::unique_ptr<Platform>> NewPtracePlatform();

class PtracePlatform final : public Platform {
 public:
  // Addresses in the stub's code page.
  struct StubCode {
    uint64_t base = 0;
    uint64_t inject = 0, trap = 0, park = 0, exit = 0;
  };

  // `master_death` is a pidfd of the master; `thread_deaths` a signalfd for SIGCHLD, which
  // comes when a stub thread dies that is being traced, and never in the normal course.
  PtracePlatform(StubCode code, std::unique_ptr<StubProcess> master, UniqueFd master_death,
                 UniqueFd thread_deaths);
  ~PtracePlatform() override;

  std::string_view name() const override { return "ptrace"; }
  Result<RefPtr<AddressSpace>> NewAddressSpace() override;
  std::unique_ptr<Context> NewContext() override;
  uint64_t min_address() const override;
  uint64_t max_address() const override { return code_.base; }
  size_t fp_state_size() const override;
  std::vector<int> death_fds() const override { return {master_death_.get(), thread_deaths_.get()}; }
  std::string TakeDeath(int fd) override;

  const StubCode& code() const { return code_; }
  CpuBalancer& balancer() { return balancer_; }
  // Kills the process of an address space that nobody refers to any more, and reaps it
  // now or later.
  void Retire(std::unique_ptr<StubProcess> process) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Collects what has died; waits for it if there is too much.
  void ReapLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StubCode code_;
  const UniqueFd master_death_, thread_deaths_;
  CpuBalancer balancer_;
  Mutex mu_{LockRank::kStub};
  std::unique_ptr<StubProcess> master_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<StubProcess>> dying_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<StubPages>> free_pages_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_PTRACE_PLATFORM_H_
