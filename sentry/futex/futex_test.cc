#include "sentry/futex/futex.h"

#include <linux/futex.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

namespace runsc {
namespace {

// Guest memory of a few words, at addresses 0x1000 and up.
class Words final : public UserMemory {
 public:
  size_t CopyOut(UserAddr, std::span<const std::byte>) override { return 0; }
  size_t CopyIn(UserAddr, std::span<std::byte>) override { return 0; }
  size_t ZeroOut(UserAddr, size_t) override { return 0; }
  Result<size_t> WithBlocks(UserAddr, size_t, MemoryAccess, BlockFunction) override { return Errno(EFAULT); }
  Result<void> WithWord(UserAddr addr, MemoryAccess, absl::FunctionRef<Result<void>(uint32_t*)> op) override {
    if (addr.value() < 0x1000 || addr.value() >= 0x1000 + sizeof(words)) return Errno(EFAULT);
    return op(&words[(addr.value() - 0x1000) / 4]);
  }
  uint32_t words[4] = {};
};

class Flag final : public Waiter {
 public:
  bool Notify(EventMask) override {
    notified.fetch_add(1);
    return true;
  }
  std::atomic<int> notified{0};
};

const UserAddr kFirst(0x1000), kSecond(0x1004);
FutexKey KeyOf(UserAddr addr) { return FutexKey{nullptr, addr.value()}; }
bool Alive(uint32_t tid) { return tid != 99; }

}  // namespace

TEST_CASE("a waiter is queued only while the word is as expected") {
  FutexTable table;
  Words memory;
  Flag flag;
  FutexWaiter waiter(flag);
  CHECK(table.Prepare(waiter, KeyOf(kFirst), memory, kFirst, 1, ~0u).is(EAGAIN));
  CHECK(table.Prepare(waiter, KeyOf(kFirst), memory, UserAddr(8), 0, ~0u).is(EFAULT));
  CHECK(table.Prepare(waiter, KeyOf(kFirst), memory, kFirst, 0, 0).is(EINVAL));
  CHECK(table.Prepare(waiter, KeyOf(kFirst), memory, kFirst, 0, 2).ok());
  CHECK(table.Wake(KeyOf(kSecond), ~0u, 1) == 0);
  CHECK(table.Wake(KeyOf(kFirst), 4, 1) == 0);
  CHECK(table.Wake(KeyOf(kFirst), 6, 1) == 1);
  CHECK(waiter.woken());
  CHECK(flag.notified == 1);
  CHECK_FALSE(table.Cancel(waiter));
}

TEST_CASE("a cancelled waiter is not woken") {
  FutexTable table;
  Words memory;
  Flag flag;
  FutexWaiter waiter(flag);
  CHECK(table.Cancel(waiter));  // never queued
  REQUIRE(table.Prepare(waiter, KeyOf(kFirst), memory, kFirst, 0, ~0u).ok());
  CHECK(table.Cancel(waiter));
  CHECK(table.Wake(KeyOf(kFirst), ~0u, 1) == 0);
}

TEST_CASE("requeued waiters wake by their new key, oldest first") {
  FutexTable table;
  Words memory;
  Flag flags[3];
  FutexWaiter a(flags[0]), b(flags[1]), c(flags[2]);
  for (FutexWaiter* waiter : {&a, &b, &c})
    REQUIRE(table.Prepare(*waiter, KeyOf(kFirst), memory, kFirst, 0, ~0u).ok());
  uint32_t wrong = 5, right = 0;
  CHECK(table.Requeue(KeyOf(kFirst), KeyOf(kSecond), memory, kFirst, &wrong, 1, 1).is(EAGAIN));
  CHECK(table.Requeue(KeyOf(kFirst), KeyOf(kSecond), memory, kFirst, &right, 1, 1).value() == 2);
  CHECK(a.woken());
  CHECK(table.Wake(KeyOf(kSecond), ~0u, 9) == 1);
  CHECK(b.woken());
  CHECK_FALSE(c.woken());
  CHECK(table.Cancel(c));
  CHECK_FALSE(table.Cancel(a));
  CHECK_FALSE(table.Cancel(b));
}

TEST_CASE("WAKE_OP changes the word and compares what it was") {
  FutexTable table;
  Words memory;
  memory.words[1] = 3;
  auto run = [&](uint32_t operation) {
    return table.WakeOp(KeyOf(kFirst), KeyOf(kSecond), memory, kSecond, 1, 1, operation);
  };
  CHECK(run(FUTEX_OP(FUTEX_OP_ADD, 0xfff, FUTEX_OP_CMP_EQ, 3)).value() == 0);  // adds -1
  CHECK(memory.words[1] == 2);
  CHECK(run(FUTEX_OP(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_EQ, 0)).ok());
  CHECK(memory.words[1] == 18);
  CHECK(run(FUTEX_OP(7, 0, FUTEX_OP_CMP_EQ, 0)).is(ENOSYS));
  CHECK(run(FUTEX_OP(FUTEX_OP_SET, 7, 9, 0)).is(ENOSYS));
  CHECK(memory.words[1] == 18);
}

TEST_CASE("a PI lock is handed over and survives its owner") {
  FutexTable table;
  Words memory;
  Flag flag;
  FutexWaiter waiter(flag, 2);
  CHECK(table.LockPi(nullptr, KeyOf(kFirst), memory, kFirst, 1, Alive).ok());
  CHECK(memory.words[0] == 1);
  CHECK(table.LockPi(nullptr, KeyOf(kFirst), memory, kFirst, 1, Alive).is(EDEADLK));
  CHECK(table.UnlockPi(KeyOf(kFirst), memory, kFirst, 2).is(EPERM));
  CHECK(table.LockPi(&waiter, KeyOf(kFirst), memory, kFirst, 2, Alive).is(EAGAIN));
  CHECK(memory.words[0] == (1 | FUTEX_WAITERS));
  CHECK(table.Wake(KeyOf(kFirst), ~0u, 1) == 0);
  CHECK(table.UnlockPi(KeyOf(kFirst), memory, kFirst, 1).ok());
  CHECK(waiter.woken());
  CHECK(memory.words[0] == (2 | FUTEX_WAITERS));
  CHECK_FALSE(table.Cancel(waiter));
  CHECK(table.UnlockPi(KeyOf(kFirst), memory, kFirst, 2).ok());
  CHECK(memory.words[0] == 0);
  memory.words[0] = 99;
  FutexWaiter other(flag, 2);
  CHECK(table.LockPi(&other, KeyOf(kFirst), memory, kFirst, 2, Alive).is(ESRCH));
  memory.words[0] = 5;
  CHECK(table.OwnerDied(KeyOf(kFirst), memory, kFirst, 5, false, false).ok());
  CHECK(memory.words[0] == FUTEX_OWNER_DIED);
}

TEST_CASE("no wake is lost between the word's change and the wait") {
  FutexTable table;
  Words memory;
  auto& word = reinterpret_cast<std::atomic<uint32_t>&>(memory.words[0]);
  constexpr uint32_t kRounds = 20000;
  std::thread waker([&] {
    for (uint32_t i = 1; i <= kRounds; ++i) {
      word.store(i);
      table.Wake(KeyOf(kFirst), ~0u, 1);
      // The other side may be ahead: a wake can be late and meet the next round's waiter.
      while (__atomic_load_n(&memory.words[1], __ATOMIC_SEQ_CST) < i) std::this_thread::yield();
    }
  });
  for (uint32_t i = 1; i <= kRounds; ++i) {
    Flag flag;
    FutexWaiter waiter(flag);
    if (table.Prepare(waiter, KeyOf(kFirst), memory, kFirst, i - 1, ~0u).ok()) {
      while (!waiter.woken()) std::this_thread::yield();
      table.Cancel(waiter);
    }
    __atomic_store_n(&memory.words[1], i, __ATOMIC_SEQ_CST);
  }
  waker.join();
  SUCCEED();
}

}  // namespace runsc
