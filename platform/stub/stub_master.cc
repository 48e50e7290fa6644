#include "platform/stub/stub_master.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "platform/base/log.h"
#include "platform/stub/stub_layout.h"

namespace runsc {
namespace {

constexpr uint64_t kBaseStep = 0x100000;
constexpr int kBaseCandidates = 64;
constexpr size_t kFreePagesKept = 32;
constexpr size_t kDyingAllowed = 16;

bool MapAt(uint64_t address, int prot, int flags, int fd, off_t offset) {
  void* wanted = reinterpret_cast<void*>(address);
  void* got = mmap(wanted, STUB_PAGE_SIZE, prot, flags, fd, offset);
  if (got == wanted) return true;
  if (got != MAP_FAILED) munmap(got, STUB_PAGE_SIZE);
  return false;
}

// Maps the three pages of the stub region into this process; false if something is there.
bool MapRegion(uint64_t base, int fd, const StubImage& image) {
  void* wanted = reinterpret_cast<void*>(base);
  void* got =
      mmap(wanted, STUB_MAPPED_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, STUB_MAPPED_SIZE);
    return false;
  }
  CHECK(image.code.size() <= STUB_PAGE_SIZE);
  bool mapped =
      MapAt(base, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) &&
      MapAt(base + STUB_COMMAND_OFFSET, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) &&
      MapAt(base + STUB_RESPONSE_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, STUB_PAGE_SIZE);
  if (mapped) {
    memcpy(wanted, image.code.data(), image.code.size());
    mapped = mprotect(wanted, STUB_PAGE_SIZE, PROT_READ | PROT_EXEC) == 0;
  }
  if (!mapped) munmap(wanted, STUB_MAPPED_SIZE);
  return mapped;
}

void SetSignals(uint64_t base, const StubImage& image) {
  struct {
    uint64_t handler;
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
  } action = {};
  constexpr uint64_t kSaRestorer = 0x04000000;
  for (int signal = 1; signal < _NSIG; ++signal)
    syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(action.mask));
  action = {base + image.handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | kSaRestorer, base, 0};
  for (int signal : image.handled_signals)
    syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(action.mask));
  uint64_t mask = image.handled_signals.empty() ? 0 : ~uint64_t{0};
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof(mask));
}

// glibc's rseq area goes away with the Sentry's memory; the host would write to it.
void LeaveRseq() {
  if (__rseq_size == 0) return;
  constexpr unsigned kMinimalSize = 32;
  char* area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  syscall(SYS_rseq, area, kMinimalSize, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

[[noreturn]] void MasterMain(uint64_t base, const StubImage& image, const sock_fprog& filter, uint64_t key) {
  LeaveRseq();
  SetSignals(base, image);
  rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && syscall(SYS_capset, &header, data) == 0 &&
               prctl(PR_SET_DUMPABLE, image.traceable ? 1 : 0) == 0 &&
               prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  if (ready) reinterpret_cast<void (*)(uint64_t)>(base)(key);
  while (true) syscall(SYS_exit_group, 1);
}

}  // namespace

Result<std::unique_ptr<StubMaster>> StubMaster::Start(const StubImage& image) {
  ASSIGN_OR_RETURN(auto pages, StubPages::New(image.file_size));
  uint64_t base = 0;
  for (int i = 0; i < kBaseCandidates && base == 0; ++i) {
    uint64_t candidate = image.highest_base - static_cast<uint64_t>(i) * kBaseStep;
    if (MapRegion(candidate, pages->fd(), image)) base = candidate;
  }
  if (base == 0) return Errno(ENOMEM);

  uint64_t key = 0;
  if (getrandom(&key, sizeof(key), 0) != sizeof(key)) return HostErrno();
  std::vector<sock_filter> code = image.filter(base, key);
  sock_fprog filter = {static_cast<unsigned short>(code.size()), code.data()};
  long pid = syscall(SYS_clone, CLONE_FILES, 0, nullptr, nullptr, 0);
  if (pid == 0) MasterMain(base, image, filter, key);
  Errno clone_error = HostErrno();
  munmap(reinterpret_cast<void*>(base), STUB_MAPPED_SIZE);
  if (pid < 0) return clone_error;

  auto process = std::make_unique<StubProcess>(std::move(pages));
  process->set_pid(static_cast<pid_t>(pid));
  // An empty list: the answer says that the master has got as far as its loop.
  auto alive = process->Run({});
  if (!alive.ok()) {
    LOG_ERROR("the master stub process did not start");
    return alive.error();
  }
  UniqueFd death(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!death) return HostErrno();
  UniqueFd stub_deaths;
  if (image.watch_deaths) {
    stub_deaths.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!stub_deaths) return HostErrno();
  }
  return std::unique_ptr<StubMaster>(
      new StubMaster(base, image.file_size, std::move(process), std::move(death), std::move(stub_deaths)));
}

StubMaster::~StubMaster() {
  MutexLock lock(mu_);
  dying_.push_back(std::move(process_));
  for (auto& process : dying_) {
    if (process->reaped()) continue;
    kill(process->pid(), SIGKILL);
    while (wait4(process->pid(), nullptr, __WALL, nullptr) < 0 && errno == EINTR) {
    }
  }
}

Result<std::unique_ptr<StubProcess>> StubMaster::Prepare() {
  MutexLock lock(mu_);
  ReapLocked();
  std::unique_ptr<StubPages> pages;
  if (!free_pages_.empty()) {
    pages = std::move(free_pages_.back());
    free_pages_.pop_back();
    RETURN_IF_ERROR(pages->Reset());
  } else {
    ASSIGN_OR_RETURN(pages, StubPages::New(file_size_));
  }
  return std::make_unique<StubProcess>(std::move(pages));
}

Result<void> StubMaster::Fork(StubProcess& process, std::span<const StubCommand> first) {
  // The new process finds its first list when it begins, and runs it while the Sentry
  // does other things.
  process.Load(first);
  process.Post();
  const StubCommand fork[] = {
      {SYS_clone, {STUB_FORK_FLAGS, 0, 0, 0, static_cast<uint64_t>(process.pages().fd())}},
  };
  MutexLock lock(mu_);
  auto forked = process_->Run(fork);
  if (!forked.ok()) {
    // Whoever watches death_fd ends the sandbox about now; until then no guest is to be told of it.
    constexpr int kPatience = 1000;  // milliseconds
    if (process_->dead()) poll(nullptr, 0, kPatience);
    return forked.error();
  }
  int32_t pid = *forked;
  process.set_pid(pid);
  if (!stub_deaths_) return Ok();
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  epoll_event event = {EPOLLIN, {}};
  if (!pidfd || epoll_ctl(stub_deaths_.get(), EPOLL_CTL_ADD, pidfd.get(), &event) != 0) {
    kill(pid, SIGKILL);
    wait4(pid, nullptr, __WALL, nullptr);
    return Errno(EAGAIN);
  }
  process.set_pidfd(std::move(pidfd));
  return Ok();
}

void StubMaster::Retire(std::unique_ptr<StubProcess> process) {
  process->set_pidfd(UniqueFd());  // this death is no news
  if (!process->reaped()) kill(process->pid(), SIGKILL);
  MutexLock lock(mu_);
  dying_.push_back(std::move(process));
  ReapLocked();
}

void StubMaster::ReapLocked() {
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
