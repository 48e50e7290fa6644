// A tiny harness for system call tests: plain programs, linked statically, that run
// on the host first and then, unchanged, inside the sandbox from any root.
//
//   TEST(name) { ... }            a test; each runs in a child process of its own
//   EXPECT_EQ/NE/LT/LE/GT/GE      compare and go on
//   EXPECT_TRUE/FALSE(x)
//   EXPECT_OK(call)               a system call that must not return -1; its value
//   EXPECT_ERRNO(call, e)         a system call that must return -1 with errno e
//   ASSERT_...                    the same, and end the test on failure
//   SKIP("why")                   cannot run here
//   EXPECT_CHILD_OK([]{ ... })    runs the body in a forked child; its failures count
//   EXPECT_EXIT(fn, code) / EXPECT_KILLED(fn, signal)
//
// EXPECT and ASSERT work in children made by Fork() and the macros above: failures
// are printed there and become exit code 1. On a second thread use EXPECT only.
//
// Command line: [--in-process] [--list] [name...]. Exit code: 0 all passed, 1 some
// failed, 77 none failed and all were skipped.
#ifndef TEST_SYSCALLS_SYSCALL_TEST_H_
#define TEST_SYSCALLS_SYSCALL_TEST_H_

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <concepts>
#include <functional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace syscall_test {

struct Test {
  const char* name;
  void (*run)();
};
struct AbortTest {};  // thrown by a failed ASSERT
struct SkipTest {
  std::string why;
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}
struct Registrar {
  Registrar(const char* name, void (*run)()) { Tests().push_back({name, run}); }
};
inline std::atomic<int> failures{0};  // of this process
inline const char* current_test = "";

inline void Fail(const char* file, int line, const std::string& what) {
  failures.fetch_add(1);
  const char* slash = strrchr(file, '/');
  dprintf(STDERR_FILENO, "%s:%d: %s: %s\n", slash != nullptr ? slash + 1 : file, line, current_test,
          what.c_str());
}

template <typename T>
std::string Show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long long>(value));
  } else if constexpr (std::is_same_v<T, char> || std::is_same_v<T, unsigned char> ||
                       std::is_same_v<T, signed char>) {
    return std::to_string(static_cast<int>(value));
  } else if constexpr (std::is_null_pointer_v<T>) {
    return "nullptr";
  } else if constexpr (requires(std::ostringstream & out) { out << value; }) {
    std::ostringstream out;
    if constexpr (std::is_convertible_v<T, std::string>) {
      out << '"' << value << '"';
    } else {
      out << value;
    }
    return out.str();
  } else {
    return "(value)";
  }
}

// Integers compare by value whatever their signedness; C strings by content.
template <typename A, typename B>
constexpr bool BothIntegers =
    std::is_integral_v<A>&& std::is_integral_v<B> && !std::is_same_v<A, bool> && !std::is_same_v<B, bool>;
template <typename A, typename B>
bool Equal(const A& a, const B& b) {
  if constexpr (BothIntegers<A, B>) {
    // As the C comparison does: -1 equals the all-ones value of an unsigned type of the same size.
    using Common = std::common_type_t<A, B>;
    return static_cast<Common>(a) == static_cast<Common>(b);
  } else if constexpr (std::is_convertible_v<A, const char*> && std::is_convertible_v<B, const char*> &&
                       !std::is_null_pointer_v<A> && !std::is_null_pointer_v<B>) {
    const char* x = a;
    const char* y = b;
    return x == y || (x != nullptr && y != nullptr && strcmp(x, y) == 0);
  } else {
    return a == b;
  }
}
template <typename A, typename B>
bool Less(const A& a, const B& b) {
  if constexpr (BothIntegers<A, B>) {
    using Common = std::common_type_t<A, B>;
    if (std::is_signed_v<A> && a < A{})
      return !(std::is_signed_v<B> && b < B{}) || static_cast<Common>(a) < static_cast<Common>(b);
    if (std::is_signed_v<B> && b < B{}) return false;
    return static_cast<Common>(a) < static_cast<Common>(b);
  } else {
    return a < b;
  }
}

template <typename A, typename B>
bool CheckCompare(const char* file, int line, const char* text, bool holds, const A& a, const B& b) {
  if (!holds) Fail(file, line, std::string(text) + " is false: " + Show(a) + ", " + Show(b));
  return holds;
}
inline bool CheckTrue(const char* file, int line, const char* text, bool holds) {
  if (!holds) Fail(file, line, std::string(text) + " is false");
  return holds;
}

inline std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}
template <typename T>
bool IsMinusOne(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return value == reinterpret_cast<T>(-1);
  } else {
    return value == static_cast<T>(-1);
  }
}
// For EXPECT_OK: says the errno, and gives the value on.
template <typename T>
T CheckOk(const char* file, int line, const char* text, T value, bool abort) {
  if (IsMinusOne(value)) {
    Fail(file, line, std::string(text) + " failed: " + ErrnoName(errno));
    if (abort) throw AbortTest{};
  }
  return value;
}
template <typename Call>
bool CheckErrno(const char* file, int line, const char* text, const char* expected_text, int expected,
                Call call) {
  errno = 0;
  auto value = call();
  int error = errno;
  if (!IsMinusOne(value)) {
    Fail(file, line,
         std::string(text) + " should fail with " + expected_text + ", but returned " + Show(value));
    return false;
  }
  if (error != expected) {
    Fail(file, line,
         std::string(text) + " should fail with " + expected_text + ", but failed with " + ErrnoName(error));
    return false;
  }
  return true;
}

// Runs the body with failures counted; returns an exit code.
template <typename Body>
int RunBody(Body&& body) {
  failures = 0;
  try {
    body();
  } catch (const AbortTest&) {
    if (failures == 0) failures = 1;
  } catch (const SkipTest& skip) {
    dprintf(STDOUT_FILENO, "SKIPPED %s: %s\n", current_test, skip.why.c_str());
    return failures != 0 ? 1 : 77;
  }
  return failures != 0 ? 1 : 0;
}

// Forks a child that runs `body` and exits with 0 or 1. The caller waits for it.
template <typename Body>
pid_t Fork(Body&& body) {
  fflush(nullptr);
  pid_t child = fork();
  if (child == 0) _exit(RunBody(std::forward<Body>(body)));
  return child;
}
// The wait status of `child`; -1 if it cannot be waited for.
inline int WaitFor(pid_t child) {
  int status = -1;
  pid_t got;
  do {
    got = waitpid(child, &status, 0);
  } while (got == -1 && errno == EINTR);
  return got == child ? status : -1;
}
template <typename Body>
int WaitStatusOf(Body&& body) {
  pid_t child = Fork(std::forward<Body>(body));
  return child > 0 ? WaitFor(child) : -1;
}
inline std::string ShowStatus(int status) {
  if (status == -1) return "could not be waited for";
  if (WIFEXITED(status)) return "exited with " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return std::string("was killed by ") + strsignal(WTERMSIG(status));
  return "has wait status " + std::to_string(status);
}
inline bool CheckStatus(const char* file, int line, const char* text, bool holds, int status) {
  if (!holds) Fail(file, line, std::string("child (") + text + ") " + ShowStatus(status));
  return holds;
}

inline int Main(int argc, char** argv) {
  bool in_process = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument == "--list") {
      for (const Test& test : Tests()) printf("%s\n", test.name);
      return 0;
    }
    if (argument == "--in-process") {
      in_process = true;
    } else {
      names.push_back(argument);
    }
  }
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const Test& test : Tests()) {
    if (!names.empty()) {
      bool wanted = false;
      for (const std::string& name : names) wanted = wanted || name == test.name;
      if (!wanted) continue;
    }
    current_test = test.name;
    int code;
    if (in_process) {
      code = RunBody(test.run);
    } else {
      int status = WaitStatusOf(test.run);
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
      if (status == -1 || !WIFEXITED(status))
        dprintf(STDERR_FILENO, "%s: test %s\n", test.name, ShowStatus(status).c_str());
    }
    if (code == 0) {
      ++passed;
    } else if (code == 77) {
      ++skipped;
    } else {
      ++failed;
      dprintf(STDERR_FILENO, "FAILED %s\n", test.name);
    }
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  fflush(stdout);
  if (failed != 0 || passed + skipped == 0) return 1;
  return passed == 0 ? 77 : 0;
}

}  // namespace syscall_test

using syscall_test::Fork;
using syscall_test::WaitFor;
using syscall_test::WaitStatusOf;

#define TEST(name)                                                              \
  static void Test_##name();                                                    \
  static const ::syscall_test::Registrar registrar_##name(#name, &Test_##name); \
  static void Test_##name()

#define SYSCALL_TEST_COMPARE(a, op, b, holds)                                                         \
  [&](const auto& left_, const auto& right_) {                                                        \
    return ::syscall_test::CheckCompare(__FILE__, __LINE__, #a " " #op " " #b, holds, left_, right_); \
  }((a), (b))
#define SYSCALL_TEST_ASSERT(check)                   \
  do {                                               \
    if (!(check)) throw ::syscall_test::AbortTest{}; \
  } while (0)

#define EXPECT_EQ(a, b) SYSCALL_TEST_COMPARE(a, ==, b, ::syscall_test::Equal(left_, right_))
#define EXPECT_NE(a, b) SYSCALL_TEST_COMPARE(a, !=, b, !::syscall_test::Equal(left_, right_))
#define EXPECT_LT(a, b) SYSCALL_TEST_COMPARE(a, <, b, ::syscall_test::Less(left_, right_))
#define EXPECT_LE(a, b) SYSCALL_TEST_COMPARE(a, <=, b, !::syscall_test::Less(right_, left_))
#define EXPECT_GT(a, b) SYSCALL_TEST_COMPARE(a, >, b, ::syscall_test::Less(right_, left_))
#define EXPECT_GE(a, b) SYSCALL_TEST_COMPARE(a, >=, b, !::syscall_test::Less(left_, right_))
#define EXPECT_TRUE(x) ::syscall_test::CheckTrue(__FILE__, __LINE__, #x, static_cast<bool>(x))
#define EXPECT_FALSE(x) ::syscall_test::CheckTrue(__FILE__, __LINE__, "!(" #x ")", !static_cast<bool>(x))
#define EXPECT_OK(call) ::syscall_test::CheckOk(__FILE__, __LINE__, #call, (call), false)
#define EXPECT_ERRNO(call, expected) \
  ::syscall_test::CheckErrno(__FILE__, __LINE__, #call, #expected, (expected), [&] { return (call); })

#define ASSERT_EQ(a, b) SYSCALL_TEST_ASSERT(EXPECT_EQ(a, b))
#define ASSERT_NE(a, b) SYSCALL_TEST_ASSERT(EXPECT_NE(a, b))
#define ASSERT_LT(a, b) SYSCALL_TEST_ASSERT(EXPECT_LT(a, b))
#define ASSERT_LE(a, b) SYSCALL_TEST_ASSERT(EXPECT_LE(a, b))
#define ASSERT_GT(a, b) SYSCALL_TEST_ASSERT(EXPECT_GT(a, b))
#define ASSERT_GE(a, b) SYSCALL_TEST_ASSERT(EXPECT_GE(a, b))
#define ASSERT_TRUE(x) SYSCALL_TEST_ASSERT(EXPECT_TRUE(x))
#define ASSERT_FALSE(x) SYSCALL_TEST_ASSERT(EXPECT_FALSE(x))
#define ASSERT_OK(call) ::syscall_test::CheckOk(__FILE__, __LINE__, #call, (call), true)
#define ASSERT_ERRNO(call, expected) SYSCALL_TEST_ASSERT(EXPECT_ERRNO(call, expected))

#define FAIL(what) ::syscall_test::Fail(__FILE__, __LINE__, what)
#define SKIP(why) \
  throw ::syscall_test::SkipTest { why }

// Variadic: the body is a lambda and may hold commas.
#define EXPECT_CHILD_OK(...)                                                                             \
  [&](int status_) {                                                                                     \
    return ::syscall_test::CheckStatus(__FILE__, __LINE__, "should exit with 0", status_ == 0, status_); \
  }(::syscall_test::WaitStatusOf(__VA_ARGS__))
#define EXPECT_EXIT(body, code)                                                                        \
  [&](int status_) {                                                                                   \
    return ::syscall_test::CheckStatus(__FILE__, __LINE__, "should exit with " #code,                  \
                                       WIFEXITED(status_) && WEXITSTATUS(status_) == (code), status_); \
  }(::syscall_test::WaitStatusOf(body))
#define EXPECT_KILLED(body, signal)                                                                     \
  [&](int status_) {                                                                                    \
    return ::syscall_test::CheckStatus(__FILE__, __LINE__, "should be killed by " #signal,              \
                                       WIFSIGNALED(status_) && WTERMSIG(status_) == (signal), status_); \
  }(::syscall_test::WaitStatusOf(body))

int main(int argc, char** argv) { return syscall_test::Main(argc, argv); }

#endif  // TEST_SYSCALLS_SYSCALL_TEST_H_
