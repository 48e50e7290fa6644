// StubProcess: the Sentry's side of one process made of stub code, and StubPages,
// the two pages through which it is commanded.
//
// The keeper (the process's first thread) runs lists of system calls. It answers by
// setting the file offset of the pages' memfd, its *mailbox*: that is kernel state which
// no guest thread can forge, for guest code cannot make a host system call. The
// response page, which guest code can write, only carries a hint when to look.
//
// Why the stubs share the Sentry's descriptor table (CLONE_FILES): host files need
// not be passed before they are mapped, the mailbox works, and nothing is lost, since
// guest code has no way to make a call with a descriptor.
//
// Threading: not thread-safe; the owner's lock guards it (but MarkDead and dead).
#ifndef PLATFORM_STUB_STUB_PROCESS_H_
#define PLATFORM_STUB_STUB_PROCESS_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "platform/base/result.h"
#include "platform/base/unique_fd.h"
#include "platform/stub/stub_layout.h"

namespace runsc {

class StubPages {
 public:
  // A file of `size` bytes, of which the first two pages are mapped here.
  static Result<std::unique_ptr<StubPages>> New(uint64_t size);
  ~StubPages();
  StubPages(const StubPages&) = delete;
  StubPages& operator=(const StubPages&) = delete;

  int fd() const { return fd_.get(); }
  StubCommandPage& command() { return *reinterpret_cast<StubCommandPage*>(base_); }
  StubResponsePage& response() { return *reinterpret_cast<StubResponsePage*>(base_ + STUB_PAGE_SIZE); }
  // Forgets everything about the process that used the file before; what is behind the
  // two pages is zero again.
  Result<void> Reset();

 private:
  StubPages(UniqueFd fd, char* base, uint64_t size) : fd_(std::move(fd)), base_(base), size_(size) {}
  UniqueFd fd_;
  char* base_;
  uint64_t size_;
};

class StubProcess {
 public:
  explicit StubProcess(std::unique_ptr<StubPages> pages) : pages_(std::move(pages)) {}

  pid_t pid() const { return pid_; }
  void set_pid(pid_t pid) { pid_ = pid; }
  // A pidfd of the process, if somebody watches for its death.
  void set_pidfd(UniqueFd pidfd) { pidfd_ = std::move(pidfd); }
  StubPages& pages() { return *pages_; }
  std::unique_ptr<StubPages> TakePages() { return std::move(pages_); }

  // Puts a list (at most kStubCommands) into the command page, for the keeper's
  // next turn or for a borrowed guest thread. Finish must have been called for the last one.
  void Load(std::span<const StubCommand> commands);
  // Hands the loaded list to the keeper.
  void Post();
  // Waits for the posted list, if one is still out. Returns the last clone's result
  // or the first error; ESRCH if the process is dead or does not answer.
  Result<int32_t> Finish();
  Result<int32_t> Run(std::span<const StubCommand> commands);

  // Looks whether the process is dead, and lets it go on if it was stopped from outside.
  void CheckAlive();
  // Says that the process was seen to be dead. Any thread.
  void MarkDead() { dead_.store(true, std::memory_order_release); }
  bool dead() const { return dead_.load(std::memory_order_acquire); }
  // Whether wait4 has already collected it (its pid may be somebody else's by now).
  bool reaped() const { return reaped_; }

 private:
  std::unique_ptr<StubPages> pages_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  uint32_t sequence_ = 0;
  bool posted_ = false;
  bool reaped_ = false;
  int keeper_cpu_ = -1;
  std::atomic<bool> dead_{false};
};

}  // namespace runsc

#endif  // PLATFORM_STUB_STUB_PROCESS_H_
