// StubMaster: the one process from which all stub processes are forked, since the Sentry
// itself cannot fork once its filter is in force; and the collecting of dead ones.
//
// Owner: the platform. Threading: Start by a single-threaded process; the rest is
// thread-safe. The thread that calls Start has to outlive all stubs (they die with it).
#ifndef PLATFORM_STUB_STUB_MASTER_H_
#define PLATFORM_STUB_STUB_MASTER_H_

#include <linux/filter.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "platform/stub/stub_process.h"

namespace runsc {

struct StubImage {
  std::span<const char> code;  // its entry is the first byte
  uint64_t highest_base = 0;   // the code page is at or somewhat below this address
  // The filter of all threads of all stub processes, for a code page at `base` and keepers that
  // have `key` (keeper_filter.h). Installed once, in the master: whoever is cloned shares it.
  std::function<std::vector<sock_filter>(uint64_t base, uint64_t key)> filter;
  uint64_t file_size = 2 * STUB_PAGE_SIZE;  // of the pages' file of each process
  bool watch_deaths = false;
  bool traceable = false;
  // Signals that get a handler (on an alternate stack, nothing masked); all others are
  // left as they are by default. Offset in the code. With handlers, keepers block all signals.
  std::vector<int> handled_signals = {};
  uint64_t handler = 0;
};

class StubMaster {
 public:
  static Result<std::unique_ptr<StubMaster>> Start(const StubImage& image);
  ~StubMaster();

  uint64_t base() const { return base_; }
  // A pidfd: readable when the master is dead.
  int death_fd() const { return death_.get(); }
  // An epoll of the pidfds of all stub processes that have not been retired; -1 unless the
  // image asks for it. It stays readable.
  int stub_death_fd() const { return stub_deaths_.get(); }

  // The pages of a process to be forked.
  Result<std::unique_ptr<StubProcess>> Prepare() ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the process, which is a child of this one without an exit signal (only a wait
  // with __WALL or __WCLONE sees it). Its keeper is busy with `first`: see StubProcess::Finish.
  Result<void> Fork(StubProcess& process, std::span<const StubCommand> first) ABSL_LOCKS_EXCLUDED(mu_);
  // Kills a process that nobody refers to any more, and reaps it now or later.
  void Retire(std::unique_ptr<StubProcess> process) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  StubMaster(uint64_t base, uint64_t file_size, std::unique_ptr<StubProcess> process, UniqueFd death,
             UniqueFd stub_deaths)
      : base_(base),
        file_size_(file_size),
        death_(std::move(death)),
        stub_deaths_(std::move(stub_deaths)),
        process_(std::move(process)) {}
  // Collects what has died; waits for it if there is too much.
  void ReapLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint64_t base_, file_size_;
  const UniqueFd death_, stub_deaths_;
  Mutex mu_{LockRank::kStub};
  std::unique_ptr<StubProcess> process_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<StubProcess>> dying_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<StubPages>> free_pages_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_STUB_STUB_MASTER_H_
