// membarrier(2).
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

using namespace syscall_test;

long Membarrier(int command, unsigned flags = 0) { return syscall(SYS_membarrier, command, flags, 0); }

TEST(membarrier_needs_registration) {
  EXPECT_ERRNO(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), EPERM);
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

TEST(membarrier_arguments) {
  int known = static_cast<int>(ASSERT_OK(Membarrier(MEMBARRIER_CMD_QUERY)));
  constexpr int kPrivate = MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
  EXPECT_EQ(known & kPrivate, kPrivate);
  EXPECT_ERRNO(Membarrier(MEMBARRIER_CMD_QUERY, 1), EINVAL);
  EXPECT_ERRNO(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 1), EINVAL);
  EXPECT_ERRNO(Membarrier(1 << 20), EINVAL);
}

TEST(membarrier_registration_is_inherited_but_not_by_programs) {
  ASSERT_OK(Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
  EXPECT_CHILD_OK([] { EXPECT_OK(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)); });
  EXPECT_CHILD_OK([] {
    execl("/proc/self/exe", "membarrier_test", "--in-process", "membarrier_needs_registration", nullptr);
    EXPECT_TRUE(false);
  });
}

// As briefly as can be if the other thread runs, and else it gets the CPU.
void SpinUntil(const std::atomic<int>& value, int wanted) {
  for (int i = 0; value.load() != wanted; ++i)
    if (i > 1000) sched_yield();
}

// Each of two threads stores and then looks for the other's store. One has no fence between: the other one's
// call is a fence for both, so that at least one sees the other.
TEST(membarrier_orders_other_threads) {
  ASSERT_OK(Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
  constexpr int kRounds = 300;
  std::atomic<int> fast{0}, slow{0}, round{0}, done{0}, seen_by_fast{0};
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      SpinUntil(round, i);
      fast.store(i, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      seen_by_fast.store(slow.load(std::memory_order_relaxed), std::memory_order_relaxed);
      done.store(i);
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    round.store(i);
    slow.store(i, std::memory_order_relaxed);
    EXPECT_OK(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
    int seen_by_slow = fast.load(std::memory_order_relaxed);
    SpinUntil(done, i);
    EXPECT_TRUE(seen_by_slow == i || seen_by_fast.load() == i);
  }
  other.join();
}

TEST(membarrier_for_everybody) {
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_GLOBAL));
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED));
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED));
  EXPECT_ERRNO(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), EPERM);
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE));
  EXPECT_OK(Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE));
}

}  // namespace
