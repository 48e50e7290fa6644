// The vocabulary of signals: sets, actions and the queue of what is pending.
// A SignalQueue has no lock of its own: its ThreadGroup's signal lock (kSignal) guards it.
// Linux counterpart: struct sigpending, struct k_sigaction; signal(7).
#ifndef SENTRY_KERNEL_SIGNAL_H_
#define SENTRY_KERNEL_SIGNAL_H_

#include <signal.h>

#include <cstdint>
#include <deque>
#include <optional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"

namespace runsc {

inline constexpr int kSignalMax = 64;
inline constexpr int kSignalRtMin = 32;  // the kernel's, below glibc's SIGRTMIN

constexpr bool IsValidSignal(int signal) { return signal >= 1 && signal <= kSignalMax; }

// Bit n-1 for signal n: the kernel's sigset_t.
class SignalSet {
 public:
  constexpr SignalSet() = default;
  explicit constexpr SignalSet(uint64_t bits) : bits_(bits) {}
  static constexpr SignalSet Of(int signal) { return SignalSet(uint64_t{1} << (signal - 1)); }
  static constexpr SignalSet All() { return SignalSet(~uint64_t{0}); }
  constexpr bool Has(int signal) const { return (bits_ >> (signal - 1) & 1) != 0; }
  constexpr void Add(int signal) { bits_ |= uint64_t{1} << (signal - 1); }
  constexpr void Remove(int signal) { bits_ &= ~(uint64_t{1} << (signal - 1)); }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr uint64_t bits() const { return bits_; }
  friend constexpr SignalSet operator|(SignalSet a, SignalSet b) { return SignalSet(a.bits_ | b.bits_); }
  friend constexpr SignalSet operator&(SignalSet a, SignalSet b) { return SignalSet(a.bits_ & b.bits_); }
  friend constexpr SignalSet operator~(SignalSet a) { return SignalSet(~a.bits_); }
  friend constexpr bool operator==(SignalSet, SignalSet) = default;

 private:
  uint64_t bits_ = 0;
};

inline constexpr SignalSet kUnblockableSignals =
    SignalSet(uint64_t{1} << (SIGKILL - 1) | uint64_t{1} << (SIGSTOP - 1));

// The kernel's struct sigaction on x86-64 (rt_sigaction(2)), which is not glibc's.
struct SignalAction {
  uint64_t handler = 0;  // SIG_DFL (0), SIG_IGN (1) or an address
  uint64_t flags = 0;    // SA_*; SA_RESTORER (0x04000000)
  uint64_t restorer = 0;
  uint64_t mask = 0;
  bool IsDefault() const { return handler == 0; }
  bool IsIgnored() const { return handler == 1; }
};
static_assert(sizeof(SignalAction) == 32);

// What SIG_DFL means for a signal.
enum class SignalDefault : uint8_t { kTerminate, kCore, kIgnore, kStop, kContinue };
SignalDefault DefaultActionOf(int signal);

// siginfo_t as the kernel writes it (128 bytes; glibc's layout is the same).
siginfo_t MakeSignalInfo(int signal, int code);
// si_code SI_USER or SI_TKILL, with the sender's ids.
siginfo_t MakeUserSignalInfo(int signal, int code, pid_t pid, uint32_t uid);

// Pending signals of one task or of its thread group. Standard signals are kept once,
// real-time signals are queued in order (RLIMIT_SIGPENDING is checked by the caller).
class SignalQueue {
 public:
  // False: a standard signal that is pending already.
  bool Push(const siginfo_t& info);
  // The next signal not in `blocked`: synchronous ones first, then by number.
  std::optional<siginfo_t> Pop(SignalSet blocked);
  void Discard(SignalSet signals);
  SignalSet pending() const { return pending_; }
  size_t size() const { return queue_.size(); }

 private:
  SignalSet pending_;
  std::deque<siginfo_t> queue_;
};

// The table of actions, shared by tasks made with CLONE_SIGHAND.
// Linux counterpart: struct sighand_struct. Guarded by the thread group's signal lock.
class SignalHandlers final : public RefCounted {
 public:
  SignalAction Get(int signal) const;
  SignalAction Exchange(int signal, const SignalAction& action);
  RefPtr<SignalHandlers> Copy() const;  // fork
  // execve, CLONE_CLEAR_SIGHAND: handlers become SIG_DFL, ignored ones stay.
  void ResetForExec();

 private:
  mutable Mutex mu_{LockRank::kLeaf};
  SignalAction actions_[kSignalMax] ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SIGNAL_H_
