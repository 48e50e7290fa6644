#include "platform/base/mutex.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <string_view>
#include <utility>

#include "platform/base/check.h"

namespace runsc {

#ifndef NDEBUG
namespace {

constexpr int kMaxHeld = 32;
struct HeldRanks {
  LockRank ranks[kMaxHeld];
  int count = 0;
};
thread_local HeldRanks held;

bool MayNest(LockRank rank) { return rank == LockRank::kWaitQueue; }

// The enumerator's name, from the way that both compilers print a template's argument.
template <LockRank rank>
constexpr std::string_view NameOf() {
  std::string_view function = __PRETTY_FUNCTION__;
  size_t end = function.find_first_of(";]", function.find("rank = "));
  return function.substr(0, end).substr(function.rfind(':', end) + 1);
}

template <size_t... values>
constexpr auto AllNames(std::index_sequence<values...>) {
  return std::array{NameOf<static_cast<LockRank>(values)>()...};
}

std::string_view Name(LockRank rank) {
  static constexpr auto kNames =
      AllNames(std::make_index_sequence<static_cast<size_t>(LockRank::kLog) + 1>());
  return kNames[static_cast<size_t>(rank)];
}

}  // namespace

void LockRankAcquired(LockRank rank) {
  if (rank != LockRank::kAny) {
    for (int i = 0; i < held.count; ++i) {
      LockRank other = held.ranks[i];
      if (other == LockRank::kAny || other < rank || (other == rank && MayNest(rank))) continue;
      std::array<char, 100> what{};
      fmt::format_to_n(what.data(), what.size() - 1, "lock order: {} is taken while {} is held", Name(rank),
                       Name(other));
      CheckFailed(__FILE__, __LINE__, what.data());
    }
  }
  CHECK(held.count < kMaxHeld);
  held.ranks[held.count++] = rank;
}

void LockRankReleased(LockRank rank) {
  for (int i = held.count - 1; i >= 0; --i) {
    if (held.ranks[i] != rank && held.ranks[i] != LockRank::kAny) continue;
    for (int j = i; j + 1 < held.count; ++j) held.ranks[j] = held.ranks[j + 1];
    --held.count;
    return;
  }
  CheckFailed(__FILE__, __LINE__, "released a lock that is not held");
}
#endif

TwoMutexLock::TwoMutexLock(Mutex& a, Mutex& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : first_(&a), second_(&b) {
  if (first_ == second_) second_ = nullptr;
  if (second_ != nullptr && std::less<>()(second_, first_)) std::swap(first_, second_);
  first_->Lock();
  if (second_ != nullptr) {
    second_->native().lock();
    LockRankAcquired(LockRank::kAny);
  }
}

TwoMutexLock::~TwoMutexLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (second_ != nullptr) {
    second_->native().unlock();
    LockRankReleased(LockRank::kAny);
  }
  first_->Unlock();
}

}  // namespace runsc
