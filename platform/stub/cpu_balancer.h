// CpuBalancer: keeps the host thread of a task and its stub thread on one CPU.
//
// Each hand-over wakes one of the two, while the other goes to sleep. On one
// CPU that is several times cheaper than across CPUs, but pinning a pair takes the
// host's load balancing away from it. So a thread of the balancer looks at all pairs some
// times a second and
//   - unpins a stub thread that has run guest code without a stop for a while: it is
//     CPU-bound, gains nothing from the pin, and the host balances it better;
//   - pins a pair that switches often to the CPU with the least load;
//   - moves one pair from the most to the least loaded CPU when the loads differ by more
//     than one pair. Two pairs that wake each other in turn make one pair's load, and so
//     stay together, unless they are coupled (turns.h): then each has a CPU of its own.
// While no pair switches and no pinned one runs guest code it sleeps: an idle sandbox
// uses no CPU.
//
// Threading: Enter, Look and Leave by the task's thread, without a lock; the rest takes the lock.
#ifndef PLATFORM_STUB_CPU_BALANCER_H_
#define PLATFORM_STUB_CPU_BALANCER_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/stub/baton.h"

namespace runsc {

class CpuBalancer {
 public:
  // One task thread and its stub thread; a member of the context.
  class Pair {
   public:
    // The two are on different CPUs: each may spin for the other.
    bool apart() const { return apart_.load(std::memory_order_relaxed); }
    bool in_guest() const { return in_guest_.load(std::memory_order_relaxed); }
    // It takes turns with another pair on another CPU: whoever waits yields its CPU, and looks again.
    bool coupled() const { return coupled_.load(std::memory_order_relaxed); }
    // It shares the CPUs on which it is apart with others, in turn: whoever holds this. Null: it does not.
    Baton* baton() const { return baton_.load(std::memory_order_relaxed); }
    uint64_t id() const { return id_; }  // never that of another pair, or 0

   private:
    friend class CpuBalancer;
    static inline std::atomic<uint64_t> last_id_{0};
    const uint64_t id_ = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
    std::atomic<bool> in_guest_{false};
    std::atomic<bool> apart_{false}, coupled_{false};  // written under the lock
    std::atomic<Baton*> baton_{nullptr};               // likewise; only while it is apart
    std::atomic<uint32_t> switches_{0};
    // Guarded by the balancer's lock.
    pid_t task_tid_ = 0;
    pid_t stub_tid_ = 0;
    Pair* partner_ = nullptr;  // while coupled
    int cpu_ = -1;             // where it is pinned; -1: nowhere
    uint32_t seen_ = 0;        // switches_ at the last look
    uint32_t load_ = 0;        // running average of in_guest_, 256 = always
    uint32_t stuck_ = 0;       // looks in a row that found it in guest code without a switch
  };

  CpuBalancer();
  ~CpuBalancer();

  // Takes the calling thread and its new stub thread under control, and pins both.
  void Add(Pair& pair, pid_t stub_tid) ABSL_LOCKS_EXCLUDED(mu_);
  // The stub thread is about to be let go.
  void Remove(Pair& pair) ABSL_LOCKS_EXCLUDED(mu_);

  // Puts the two threads of a pair on different CPUs, for a while; false if no CPU is free
  // for that, as far as this sandbox's own threads go. It ends with Gather, or when the pair does not switch
  // any more or others need the CPU.
  bool Spread(Pair& pair) ABSL_LOCKS_EXCLUDED(mu_);
  // The same although no CPU is free: the pair has a baton then, and may run only with that in hand.
  bool SpreadInTurn(Pair& pair) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether any pair is spread in turn: then others had better be, too.
  bool any_in_turn() const { return in_turn_.load(std::memory_order_relaxed) > 0; }
  void Gather(Pair& pair) ABSL_LOCKS_EXCLUDED(mu_);

  // Gives the pair and the one with the other id a CPU each, until either is uncoupled, does not switch any
  // more, or others need the CPU. Uncoupled, they are together on one. False: not now.
  bool Couple(Pair& pair, uint64_t other_id) ABSL_LOCKS_EXCLUDED(mu_);
  void Uncouple(Pair& pair) ABSL_LOCKS_EXCLUDED(mu_);

  // Around the time in which guest code may run. Between Enter and Look the caller makes a sequentially
  // consistent store of its own, or a fence: one does for all that has to be said before guest code runs.
  void Enter(Pair& pair) {
    pair.switches_.store(pair.switches_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    pair.in_guest_.store(true, std::memory_order_relaxed);
  }
  void Look() {
    if (asleep_.load(std::memory_order_relaxed) != 0) Wake();
  }
  void Leave(Pair& pair) { pair.in_guest_.store(false, std::memory_order_release); }

  // The CPU that the calling thread is on, if it is one of a pair, else -1.
  static int ThreadCpu();
  // Pins a thread to one CPU; false if the host refuses.
  static bool SetAffinity(pid_t tid, int cpu);

 private:
  void Wake();
  void Loop();
  // Returns whether there is a reason to look again soon.
  bool Tick() ABSL_LOCKS_EXCLUDED(mu_);
  void PinLocked(Pair& pair, int cpu) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetApartLocked(Pair& pair, bool apart, Baton* baton) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UnpinLocked(Pair& pair) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UncoupleLocked(Pair& pair) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TickCoupledLocked(Pair& pair, bool moved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // CPUs that other pairs of this sandbox use now, without its partner.
  size_t CpusInUseLocked(const Pair& but) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MoveOneLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int LeastLoadedLocked(int preferred) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::vector<int> cpus_;        // that the process may use; fewer than two: nothing is pinned
  std::vector<Baton> batons_;    // each for two of them
  std::atomic<int> in_turn_{0};  // pairs that have one; written under the lock
  std::atomic<uint32_t> asleep_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
  Mutex mu_{LockRank::kLeaf};
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Pair*> pairs_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_STUB_CPU_BALANCER_H_
