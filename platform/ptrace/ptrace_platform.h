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
#include <string>
#include <vector>

#include "platform/base/unique_fd.h"
#include "platform/platform.h"
#include "platform/stub/cpu_balancer.h"
#include "platform/stub/stub_address_space.h"

namespace runsc {

// Call at boot: single-threaded, with the final user and group ids, before the Sentry's
// seccomp filter. The calling thread has to outlive the sandbox (stubs die with it).
// Spaces and contexts must not outlive the platform.
Result<std::unique_ptr<Platform>> NewPtracePlatform();

class PtracePlatform final : public Platform {
 public:
  // Addresses in the stub's code page.
  struct StubCode {
    uint64_t inject = 0, trap = 0, park = 0, exit = 0;
  };

  // `thread_deaths` is a signalfd for SIGCHLD, which comes when a stub thread dies that is
  // being traced, and never in the normal course.
  PtracePlatform(std::unique_ptr<StubMaster> master, UniqueFd thread_deaths);

  std::string_view name() const override { return "ptrace"; }
  Result<RefPtr<AddressSpace>> NewAddressSpace() override;
  std::unique_ptr<Context> NewContext() override;
  uint64_t min_address() const override { return StubAddressSpace::kMinAddress; }
  uint64_t max_address() const override { return master_->base(); }
  size_t fp_state_size() const override;
  std::vector<int> death_fds() const override { return {master_->death_fd(), thread_deaths_.get()}; }
  std::string TakeDeath(int fd) override;

  const StubCode& code() const { return code_; }
  CpuBalancer& balancer() { return balancer_; }
  StubMaster& master() { return *master_; }

 private:
  const std::unique_ptr<StubMaster> master_;
  const StubCode code_;
  const UniqueFd thread_deaths_;
  CpuBalancer balancer_;
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_PTRACE_PLATFORM_H_
