#include "platform/seccomp/filter.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

namespace runsc {
namespace {

std::atomic<int> report_fd{-1};
std::atomic<const char*> report_who{""};
std::atomic<const char* (*)(long)> report_name_of{nullptr};

// Formats without allocating: this runs in a signal handler.
class Line {
 public:
  void Text(const char* text) {
    while (*text != '\0' && size_ < sizeof(data_)) data_[size_++] = *text++;
  }
  void Number(uint64_t value, unsigned base) {
    char digits[24];
    size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    if (base == 16) Text("0x");
    while (count > 0 && size_ < sizeof(data_)) data_[size_++] = digits[--count];
  }
  void Write(int fd) const { (void)!::write(fd, data_, size_); }

 private:
  char data_[400];
  size_t size_ = 0;
};

void OnViolation(int, siginfo_t* info, void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  Line line;
  line.Text("runsc: ");
  line.Text(report_who.load());
  line.Text(": stopped: the host system call ");
  auto name_of = report_name_of.load();
  const char* name = name_of != nullptr ? name_of(info->si_syscall) : nullptr;
  if (name != nullptr) {
    line.Text(name);
    line.Text(" ");
  }
  line.Text("(number ");
  line.Number(static_cast<uint64_t>(info->si_syscall), 10);
  line.Text(") is not in its seccomp policy; arguments");
  for (int index : {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}) {
    line.Text(" ");
    line.Number(static_cast<uint64_t>(registers[index]), 16);
  }
  line.Text(", at ");
  line.Number(reinterpret_cast<uint64_t>(info->si_call_addr), 16);
  line.Text("\n");
  line.Write(report_fd.load());
  ::_exit(kSeccompViolationExitCode);
}

}  // namespace

Result<void> InstallSeccompFilter(std::span<const sock_filter> filter) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return HostErrno();
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (result < 0) return HostErrno();
  if (result > 0) return Errno(ESRCH);
  return Ok();
}

void ReportSeccompViolations(int fd, const char* who, const char* (*name_of)(long number)) {
  report_fd = fd;
  report_who = who;
  report_name_of = name_of;
  struct sigaction action {};
  action.sa_sigaction = OnViolation;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
}

}  // namespace runsc
