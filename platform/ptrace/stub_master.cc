#include "platform/ptrace/stub_master.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "platform/base/log.h"
#include "platform/ptrace/stub_filter.h"
#include "platform/ptrace/stub_layout.h"

namespace runsc {
namespace {

constexpr uint64_t kHighestBase = 0x7fffffff0000;
constexpr uint64_t kBaseStep = 0x100000;
constexpr int kBaseCandidates = 64;

bool MapAt(uint64_t address, int prot, int flags, int fd, off_t offset) {
  void* wanted = reinterpret_cast<void*>(address);
  void* got = mmap(wanted, STUB_PAGE_SIZE, prot, flags, fd, offset);
  if (got == wanted) return true;
  if (got != MAP_FAILED) munmap(got, STUB_PAGE_SIZE);
  return false;
}

// Maps the three pages of the stub region into this process; false if something is there.
bool MapRegion(uint64_t base, int fd) {
  void* wanted = reinterpret_cast<void*>(base);
  void* got =
      mmap(wanted, STUB_REGION_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (got != wanted) {
    if (got != MAP_FAILED) munmap(got, STUB_REGION_SIZE);
    return false;
  }
  size_t code_size = static_cast<size_t>(runsc_ptrace_stub_end - runsc_ptrace_stub_begin);
  CHECK(code_size <= STUB_PAGE_SIZE);
  bool mapped =
      MapAt(base, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) &&
      MapAt(base + STUB_COMMAND_OFFSET, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) &&
      MapAt(base + STUB_RESPONSE_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, STUB_PAGE_SIZE);
  if (mapped) {
    memcpy(wanted, runsc_ptrace_stub_begin, code_size);
    mapped = mprotect(wanted, STUB_PAGE_SIZE, PROT_READ | PROT_EXEC) == 0;
  }
  if (!mapped) munmap(wanted, STUB_REGION_SIZE);
  return mapped;
}

void ResetSignals() {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } action = {};
  for (int signal = 1; signal < _NSIG; ++signal)
    syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(action.mask));
  uint64_t none = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

// glibc's rseq area goes away with the Sentry's memory; the host would write to it.
void LeaveRseq() {
  if (__rseq_size == 0) return;
  constexpr unsigned kMinimalSize = 32;
  char* area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  syscall(SYS_rseq, area, kMinimalSize, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

[[noreturn]] void MasterMain(uint64_t entry, const sock_fprog& filter) {
  LeaveRseq();
  ResetSignals();
  rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && syscall(SYS_capset, &header, data) == 0 &&
               prctl(PR_SET_DUMPABLE, 1) == 0 &&  // else the Sentry may not trace it
               prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  if (ready) reinterpret_cast<void (*)()>(entry)();
  while (true) syscall(SYS_exit_group, 1);
}

}  // namespace

Result<StubMaster> StartStubMaster() {
  ASSIGN_OR_RETURN(auto pages, StubPages::New());
  uint64_t base = 0;
  for (int i = 0; i < kBaseCandidates && base == 0; ++i) {
    uint64_t candidate = kHighestBase - static_cast<uint64_t>(i) * kBaseStep;
    if (MapRegion(candidate, pages->fd())) base = candidate;
  }
  if (base == 0) return Errno(ENOMEM);

  StubMaster master;
  auto address = [base](const char* symbol) {
    return base + static_cast<uint64_t>(symbol - runsc_ptrace_stub_begin);
  };
  master.code = {base, address(runsc_ptrace_stub_inject), address(runsc_ptrace_stub_trap),
                 address(runsc_ptrace_stub_park), address(runsc_ptrace_stub_exit)};
  std::vector<sock_filter> code = StubFilter(base);
  sock_fprog filter = {static_cast<unsigned short>(code.size()), code.data()};

  long pid = syscall(SYS_clone, CLONE_FILES, 0, nullptr, nullptr, 0);
  if (pid == 0) MasterMain(address(runsc_ptrace_stub_master), filter);
  Errno clone_error = HostErrno();
  munmap(reinterpret_cast<void*>(base), STUB_REGION_SIZE);
  if (pid < 0) return clone_error;

  master.process = std::make_unique<StubProcess>(std::move(pages));
  master.process->set_pid(static_cast<pid_t>(pid));
  // An empty list: the answer says that the master has got as far as its loop.
  auto alive = master.process->Run({});
  if (!alive.ok()) {
    LOG_ERROR("ptrace platform: the master stub process did not start");
    return alive.error();
  }
  return master;
}

}  // namespace runsc
