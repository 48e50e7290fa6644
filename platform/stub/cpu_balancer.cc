#include "platform/stub/cpu_balancer.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "platform/base/signal_mask.h"

namespace runsc {
namespace {

constexpr long kTickNs = 5'000'000;
constexpr int kQuietTicksBeforeSleep = 10;
constexpr uint32_t kFullLoad = 256;
constexpr uint32_t kMoveAtDifference = kFullLoad + kFullLoad / 8;
constexpr uint32_t kStuckTicks = 2;
constexpr uint32_t kSwitchesToPin = 8;  // in one tick

thread_local bool thread_is_paired = false;

void SetAffinityMask(pid_t tid, const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(cpu, &set);
  sched_setaffinity(tid, sizeof(set), &set);
}

}  // namespace

int CpuBalancer::ThreadCpu() { return thread_is_paired ? sched_getcpu() : -1; }

bool CpuBalancer::SetAffinity(pid_t tid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(tid, sizeof(set), &set) == 0;
}

CpuBalancer::CpuBalancer() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus_.push_back(cpu);
  batons_ = std::vector<Baton>(cpus_.size() / 2);
}

CpuBalancer::~CpuBalancer() {
  stop_.store(true);
  Wake();
  if (thread_.joinable()) thread_.join();
}

void CpuBalancer::Wake() {
  asleep_.store(0, std::memory_order_seq_cst);
  asleep_.notify_one();
}

void CpuBalancer::Add(Pair& pair, pid_t stub_tid) {
  if (cpus_.size() < 2) return;
  MutexLock lock(mu_);
  if (!started_) {
    started_ = true;
    ThreadSignalMask mask;
    thread_ = std::thread([this] { Loop(); });
  }
  pair.task_tid_ = static_cast<pid_t>(syscall(SYS_gettid));
  pair.stub_tid_ = stub_tid;
  pair.seen_ = pair.switches_.load(std::memory_order_relaxed);
  pair.stuck_ = 0;
  PinLocked(pair, pair.cpu_ >= 0 ? pair.cpu_ : LeastLoadedLocked(sched_getcpu()));
  thread_is_paired = true;
  pairs_.push_back(&pair);
}

void CpuBalancer::Remove(Pair& pair) {
  if (cpus_.size() < 2) return;
  MutexLock lock(mu_);
  auto it = std::find(pairs_.begin(), pairs_.end(), &pair);
  if (it == pairs_.end()) return;
  *it = pairs_.back();
  pairs_.pop_back();
  UncoupleLocked(pair);
  SetApartLocked(pair, false, nullptr);
}

void CpuBalancer::SetApartLocked(Pair& pair, bool apart, Baton* baton) {
  const Baton* before = pair.baton_.exchange(baton, std::memory_order_relaxed);
  in_turn_.fetch_add((baton != nullptr) - (before != nullptr), std::memory_order_relaxed);
  pair.apart_.store(apart, std::memory_order_relaxed);
}

void CpuBalancer::PinLocked(Pair& pair, int cpu) {
  pair.cpu_ = cpu;
  SetApartLocked(pair, false, nullptr);
  SetAffinity(pair.stub_tid_, cpu);
  SetAffinity(pair.task_tid_, cpu);
}

void CpuBalancer::UnpinLocked(Pair& pair) {
  pair.cpu_ = -1;
  SetAffinityMask(pair.stub_tid_, cpus_);
  SetAffinityMask(pair.task_tid_, cpus_);
}

size_t CpuBalancer::CpusInUseLocked(const Pair& but) const {
  size_t used = 0;
  for (const Pair* pair : pairs_) {
    if (pair == &but || pair == but.partner_) continue;
    used += pair->apart() ? 2 : pair->in_guest() ? 1 : 0;
  }
  return used;
}

bool CpuBalancer::Spread(Pair& pair) {
  if (cpus_.size() < 2) return false;
  MutexLock lock(mu_);
  if (pair.apart()) return true;
  if (pair.coupled()) return false;
  if (CpusInUseLocked(pair) + 2 > cpus_.size()) return false;
  if (pair.cpu_ < 0) PinLocked(pair, LeastLoadedLocked(-1));
  // The next CPU of the list that no other pair is pinned to, or else just the next one.
  size_t own = static_cast<size_t>(std::find(cpus_.begin(), cpus_.end(), pair.cpu_) - cpus_.begin());
  int other = cpus_[(own + 1) % cpus_.size()];
  for (size_t i = 1; i < cpus_.size(); ++i) {
    int cpu = cpus_[(own + i) % cpus_.size()];
    bool taken = std::any_of(pairs_.begin(), pairs_.end(),
                             [cpu](const Pair* p) { return p->cpu_ == cpu && p->in_guest(); });
    if (taken) continue;
    other = cpu;
    break;
  }
  if (!SetAffinity(pair.stub_tid_, other)) return false;
  SetApartLocked(pair, true, nullptr);
  return true;
}

bool CpuBalancer::SpreadInTurn(Pair& pair) {
  if (batons_.empty()) return false;
  MutexLock lock(mu_);
  if (pair.apart() || pair.coupled()) return false;
  const size_t index = pair.id_ % batons_.size();
  PinLocked(pair, cpus_[2 * index]);
  if (!SetAffinity(pair.stub_tid_, cpus_[2 * index + 1])) return false;
  SetApartLocked(pair, true, &batons_[index]);
  return true;
}

void CpuBalancer::Gather(Pair& pair) {
  MutexLock lock(mu_);
  if (!pair.apart()) return;
  SetApartLocked(pair, false, nullptr);
  SetAffinity(pair.stub_tid_, pair.cpu_);
}

bool CpuBalancer::Couple(Pair& pair, uint64_t other_id) {
  if (cpus_.size() < 2) return false;
  MutexLock lock(mu_);
  auto it = std::find_if(pairs_.begin(), pairs_.end(), [=](const Pair* p) { return p->id_ == other_id; });
  if (it == pairs_.end() || *it == &pair || pair.partner_ != nullptr || (*it)->partner_ != nullptr)
    return false;
  Pair& other = **it;
  pair.partner_ = &other;
  other.partner_ = &pair;
  if (CpusInUseLocked(pair) + 2 > cpus_.size()) {
    pair.partner_ = other.partner_ = nullptr;
    return false;
  }
  const int cpu = pair.cpu_ >= 0 ? pair.cpu_ : LeastLoadedLocked(-1);
  PinLocked(pair, cpu);
  const size_t own = static_cast<size_t>(std::find(cpus_.begin(), cpus_.end(), cpu) - cpus_.begin());
  PinLocked(other, cpus_[(own + 1) % cpus_.size()]);
  pair.coupled_.store(true, std::memory_order_relaxed);
  other.coupled_.store(true, std::memory_order_relaxed);
  return true;
}

void CpuBalancer::Uncouple(Pair& pair) {
  MutexLock lock(mu_);
  UncoupleLocked(pair);
}

void CpuBalancer::UncoupleLocked(Pair& pair) {
  if (pair.partner_ == nullptr) return;
  Pair& other = *pair.partner_;
  pair.partner_ = other.partner_ = nullptr;
  pair.coupled_.store(false, std::memory_order_relaxed);
  other.coupled_.store(false, std::memory_order_relaxed);
  if (pair.cpu_ >= 0 && other.cpu_ >= 0) PinLocked(other, pair.cpu_);
}

void CpuBalancer::TickCoupledLocked(Pair& pair, bool moved) {
  if (!moved || CpusInUseLocked(pair) + 2 > cpus_.size()) UncoupleLocked(pair);
}

int CpuBalancer::LeastLoadedLocked(int preferred) {
  std::vector<uint32_t> loads(cpus_.size());
  for (const Pair* pair : pairs_) {
    if (pair->cpu_ < 0) continue;
    auto it = std::find(cpus_.begin(), cpus_.end(), pair->cpu_);
    if (it != cpus_.end()) loads[static_cast<size_t>(it - cpus_.begin())] += pair->in_guest() ? kFullLoad : 0;
  }
  size_t best = 0;
  for (size_t i = 1; i < cpus_.size(); ++i)
    if (loads[i] < loads[best] || (loads[i] == loads[best] && cpus_[i] == preferred)) best = i;
  return cpus_[best];
}

bool CpuBalancer::Tick() {
  MutexLock lock(mu_);
  bool busy = false;
  for (Pair* pair : pairs_) {
    uint32_t switches = pair->switches_.load(std::memory_order_relaxed);
    uint32_t moved = switches - pair->seen_;
    pair->seen_ = switches;
    bool in_guest = pair->in_guest();
    pair->load_ = (pair->load_ * 3 + (in_guest ? kFullLoad : 0)) / 4;
    if (moved != 0 || (in_guest && pair->cpu_ >= 0)) busy = true;
    pair->stuck_ = in_guest && moved == 0 ? pair->stuck_ + 1 : 0;
    if (pair->apart()) {
      const bool has_cpus = pair->baton() != nullptr || CpusInUseLocked(*pair) + 2 <= cpus_.size();
      if (moved != 0 && has_cpus) continue;
      SetApartLocked(*pair, false, nullptr);
      SetAffinity(pair->stub_tid_, pair->cpu_);
    }
    if (pair->coupled()) {
      TickCoupledLocked(*pair, moved != 0);
      continue;
    }
    if (pair->cpu_ >= 0 && pair->stuck_ >= kStuckTicks) {
      UnpinLocked(*pair);
    } else if (pair->cpu_ < 0 && moved >= kSwitchesToPin) {
      PinLocked(*pair, LeastLoadedLocked(-1));
    }
  }
  MoveOneLocked();
  return busy;
}

void CpuBalancer::MoveOneLocked() {
  std::vector<uint32_t> loads(cpus_.size());
  for (const Pair* pair : pairs_) {
    auto it = std::find(cpus_.begin(), cpus_.end(), pair->cpu_);
    if (it != cpus_.end()) loads[static_cast<size_t>(it - cpus_.begin())] += pair->load_;
  }
  auto most = std::max_element(loads.begin(), loads.end());
  auto least = std::min_element(loads.begin(), loads.end());
  if (*most - *least < kMoveAtDifference) return;
  uint32_t wanted = (*most - *least) / 2;
  int from = cpus_[static_cast<size_t>(most - loads.begin())];
  auto distance = [wanted](const Pair* p) {
    return p->load_ > wanted ? p->load_ - wanted : wanted - p->load_;
  };
  Pair* best = nullptr;
  for (Pair* pair : pairs_) {
    if (pair->cpu_ == from && pair->load_ > 0 && !pair->apart() && !pair->coupled() &&
        (best == nullptr || distance(pair) < distance(best)))
      best = pair;
  }
  if (best != nullptr) PinLocked(*best, cpus_[static_cast<size_t>(least - loads.begin())]);
}

void CpuBalancer::Loop() {
  int quiet = 0;
  while (!stop_.load()) {
    timespec tick = {0, kTickNs};
    nanosleep(&tick, nullptr);
    quiet = Tick() ? 0 : quiet + 1;
    if (quiet < kQuietTicksBeforeSleep) continue;
    asleep_.store(1, std::memory_order_seq_cst);
    // One more look: an Enter before the store did not see it.
    if (!Tick() && !stop_.load()) asleep_.wait(1);
    asleep_.store(0, std::memory_order_relaxed);
    quiet = 0;
  }
}

}  // namespace runsc
