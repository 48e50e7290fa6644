#include "runsc/oci/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace runsc::oci {
namespace {

absl::StatusOr<SeccompProgram> Compile(const std::string& seccomp) {
  auto spec = ParseSpec(R"({"ociVersion":"1.0.2","root":{"path":"r"},"linux":{"seccomp":)" + seccomp + "}}");
  if (!spec.ok()) return spec.status();
  return CompileSeccomp(*spec->linux.seccomp);
}

std::string ErrorOf(const std::string& seccomp) { return std::string(Compile(seccomp).status().message()); }

// What a process that has the filter gets from a call: the result, or -errno; 1000+n if signal n ended it.
int Try(const std::string& seccomp, long number, long first = 0, long second = 0) {
  absl::StatusOr<SeccompProgram> program = Compile(seccomp);
  REQUIRE(program.status().message() == "");
  pid_t child = ::fork();
  if (child == 0) {
    sock_fprog filter{static_cast<unsigned short>(program->filter.size()), program->filter.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(SYS_seccomp, 1, 0, &filter) != 0)
      ::_exit(255);
    long result = ::syscall(number, first, second, 0, 0, 0, 0);
    ::_exit(result < 0 ? errno : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : -WEXITSTATUS(status);
}

TEST_CASE("a profile that denies") {
  const std::string profile = R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
    {"names":["getppid","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":42},
    {"names":["getuid"],"action":"SCMP_ACT_KILL_PROCESS"},
    {"names":["dup"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_GT"}]},
    {"names":["dup2"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},
                                                       {"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
    {"names":["fcntl"],"action":"SCMP_ACT_ERRNO","errnoRet":3,
     "args":[{"index":1,"value":240,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]})";
  CHECK(Try(profile, SYS_getppid) == -42);
  CHECK(Try(profile, SYS_getpid) == 0);
  CHECK(Try(profile, SYS_getuid) == 1000 + SIGSYS);
  CHECK(Try(profile, SYS_dup, 1) == 0);
  CHECK(Try(profile, SYS_dup, 2) == -EPERM);
  CHECK(Try(profile, SYS_dup2, 1, 5) == -EPERM);
  CHECK(Try(profile, SYS_dup2, 2, 5) == -EPERM);
  CHECK(Try(profile, SYS_dup2, 0, 5) == 0);
  CHECK(Try(profile, SYS_fcntl, 0, 1) == -3);
  CHECK(Try(profile, SYS_fcntl, 0, 272) == -EINVAL);  // the kernel's answer
  CHECK(Try(profile, 5000) == -ENOSYS);
}

TEST_CASE("a profile that allows") {
  const std::string profile = R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":7,
    "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
    "flags":["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls":[{"names":["getpid","exit_group","exit","statx","clone3"],"action":"SCMP_ACT_ALLOW"},
                {"names":["getppid"],"action":"SCMP_ACT_ERRNO","errnoRet":7}]})";
  CHECK(Try(profile, SYS_getpid) == 0);
  CHECK(Try(profile, SYS_getuid) == -7);
  CHECK(Try(profile, SYS_getppid) == -7);
  // Newer than what the profile knows (clone3 is 435).
  CHECK(Try(profile, 436) == -ENOSYS);
  CHECK(Try(profile, 434) == -7);
  CHECK(Compile(profile)->flags == SECCOMP_FILTER_FLAG_LOG);
}

TEST_CASE("what is wrong with a profile is said") {
  CHECK(ErrorOf(R"({"defaultAction":"ALLOW"})") ==
        "config.json: linux.seccomp.defaultAction: there is no action 'ALLOW'");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1})") ==
        "config.json: linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no error number");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["Z80"]})") ==
        "config.json: linux.seccomp.architectures[0]: there is no architecture 'Z80'");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]})") ==
        "config.json: linux.seccomp.flags[0]: there is no flag 'X'");
  CHECK(
      ErrorOf(
          R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_NOTIFY"}]})") ==
      "config.json: linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY is not supported");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_ERRNO",
                    "errnoRet":70000}]})") ==
        "config.json: linux.seccomp.syscalls[0].errnoRet: must not be more than 65535");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_ERRNO",
                    "args":[{"index":0,"value":1,"op":"="}]}]})") ==
        "config.json: linux.seccomp.syscalls[0].args[0].op: there is no operator '='");
  CHECK(ErrorOf(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_ERRNO",
                    "args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}]})") ==
        "config.json: linux.seccomp.syscalls[0].args[0].index: must be from 0 to 5, not 6");
}

}  // namespace
}  // namespace runsc::oci
