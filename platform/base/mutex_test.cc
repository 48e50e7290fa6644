#include "platform/base/mutex.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "platform/base/unique_fd.h"

namespace runsc {
namespace {

struct Ending {
  int status = 0;
  std::string said;  // on standard error
};

// How a process ends that does `act`.
Ending EndOf(void (*act)()) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  UniqueFd from(ends[0]), to(ends[1]);
  pid_t child = fork();
  if (child == 0) {
    dup2(to.get(), STDERR_FILENO);
    act();
    _exit(0);
  }
  to.reset();
  Ending ending;
  char buffer[4096];
  for (ssize_t n; (n = read(from.get(), buffer, sizeof(buffer))) > 0;)
    ending.said.append(buffer, static_cast<size_t>(n));
  REQUIRE(waitpid(child, &ending.status, 0) == child);
  return ending;
}

void InOrder() {
  Mutex outer(LockRank::kTaskTree), inner(LockRank::kSignal);
  SharedMutex last(LockRank::kMm);
  MutexLock a(outer);
  MutexLock b(inner);
  ReaderLock c(last);
}

void TwoByAddress() {
  Mutex one(LockRank::kPipe), other(LockRank::kPipe);
  TwoMutexLock both(other, one);
}

// What is tried does not wait, and so cannot be part of a deadlock; what is taken while it is held can.
void TriedAgainstOrder() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex outer(LockRank::kTaskTree), inner(LockRank::kSignal);
  MutexLock a(inner);
  if (outer.TryLock()) outer.Unlock();
}

void AfterRelease() {
  Mutex outer(LockRank::kTaskTree), inner(LockRank::kSignal);
  { MutexLock a(inner); }
  MutexLock b(outer);
}

}  // namespace

TEST_CASE("locks are taken in the order of their ranks") {
  for (auto act : {InOrder, TwoByAddress, TriedAgainstOrder, AfterRelease}) {
    Ending ending = EndOf(act);
    CHECK(ending.said == "");
    CHECK(ending.status == 0);
  }
}

#ifndef NDEBUG
namespace {

void AgainstOrder() {
  Mutex outer(LockRank::kTaskTree), inner(LockRank::kSignal);
  MutexLock a(inner);
  MutexLock b(outer);
}

void TwoOfOneRank() {
  Mutex one(LockRank::kPipe), other(LockRank::kPipe);
  MutexLock a(one);
  MutexLock b(other);
}

}  // namespace

TEST_CASE("a debug build ends at a lock that is taken against the order") {
  Ending ending = EndOf(AgainstOrder);
  CHECK(WIFSIGNALED(ending.status));
  CHECK(WTERMSIG(ending.status) == SIGABRT);
  CHECK_THAT(ending.said, Catch::Contains("kTaskTree is taken while kSignal is held"));
  CHECK_THAT(ending.said, Catch::Contains("called from"));
  ending = EndOf(TwoOfOneRank);
  CHECK(WIFSIGNALED(ending.status));
  CHECK_THAT(ending.said, Catch::Contains("kPipe is taken while kPipe is held"));
}
#endif

}  // namespace runsc
