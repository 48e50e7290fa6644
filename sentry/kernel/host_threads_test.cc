#include "sentry/kernel/host_threads.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <set>

namespace runsc {
namespace {

void RecordThread(void* argument) {
  static_cast<std::atomic<long>*>(argument)->store(syscall(SYS_gettid), std::memory_order_release);
}

struct Crowd {
  std::atomic<uint32_t> arrived{0};
  std::atomic<uint32_t> open{0};
  std::array<std::atomic<long>, 20> threads{};
};

void JoinCrowd(void* argument) {
  auto& crowd = *static_cast<Crowd*>(argument);
  crowd.threads[crowd.arrived.fetch_add(1)].store(syscall(SYS_gettid));
  crowd.open.wait(0);
}

}  // namespace

TEST_CASE("a thread whose body has returned runs the next one") {
  std::atomic<long> first{0}, second{0};
  HostThreads threads;
  REQUIRE(threads.Run(&RecordThread, &first).ok());
  threads.WaitForBodies();
  // It begins to wait a moment after its body has returned, and is taken then.
  bool reused = false;
  for (int i = 0; i < 1000 && !reused; ++i) {
    usleep(1000);
    REQUIRE(threads.Run(&RecordThread, &second).ok());
    threads.WaitForBodies();
    reused = first == second;
  }
  CHECK(reused);
}

TEST_CASE("bodies that run at once have a thread each, and all end") {
  Crowd crowd;
  {
    HostThreads threads;
    for (size_t i = 0; i < crowd.threads.size(); ++i) REQUIRE(threads.Run(&JoinCrowd, &crowd).ok());
    while (crowd.arrived < crowd.threads.size()) sched_yield();
    crowd.open = 1;
    crowd.open.notify_all();
  }
  std::set<long> distinct;
  for (auto& thread : crowd.threads) {
    distinct.insert(thread);
    CHECK(syscall(SYS_tgkill, getpid(), thread.load(), 0) != 0);
  }
  CHECK(distinct.size() == crowd.threads.size());
}

TEST_CASE("a thread that waits is moved to the CPU of who needs it") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  HostThreads threads;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
    std::atomic<int> ran_on{-1};
    REQUIRE(
        threads
            .Run([](void* argument) { *static_cast<std::atomic<int>*>(argument) = sched_getcpu(); }, &ran_on)
            .ok());
    threads.WaitForBodies();
    CHECK(ran_on == cpu);
  }
  sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace runsc
