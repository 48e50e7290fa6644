// Errno: the one error type of the Sentry and the Gofer. Its values are Linux's
// numbers (errno(3)), also on the wire. The ERESTART* codes of
// include/linux/errno.h exist only inside the Sentry: they say how an
// interrupted system call goes on, and task signal delivery translates them.
#ifndef PLATFORM_BASE_ERRNO_H_
#define PLATFORM_BASE_ERRNO_H_

#include <cerrno>
#include <string_view>

namespace runsc {

// Internal codes; never reach a guest, except that they are visible to ptrace(2).
inline constexpr int ERESTARTSYS = 512;            // restart if SA_RESTART
inline constexpr int ERESTARTNOINTR = 513;         // restart always
inline constexpr int ERESTARTNOHAND = 514;         // restart if no handler ran
inline constexpr int ERESTART_RESTARTBLOCK = 516;  // restart by restart_syscall(2)

class [[nodiscard]] Errno {
 public:
  explicit constexpr Errno(int value) : value_(value) {}
  constexpr int value() const { return value_; }
  constexpr bool IsRestart() const { return value_ >= 512; }
  // "ENOENT"; "E???" for an unknown number.
  std::string_view name() const;
  // "No such file or directory".
  std::string_view message() const;
  friend constexpr bool operator==(Errno a, Errno b) { return a.value_ == b.value_; }
  friend constexpr bool operator==(Errno a, int b) { return a.value_ == b; }

 private:
  int value_;
};

// The calling thread's errno as an Errno, to return right after a host call failed.
inline Errno HostErrno() { return Errno(errno); }

}  // namespace runsc

#endif  // PLATFORM_BASE_ERRNO_H_
