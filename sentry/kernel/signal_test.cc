#include "sentry/kernel/signal.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

TEST_CASE("standard signals are kept once, real-time ones in order") {
  SignalQueue queue;
  REQUIRE(queue.Push(MakeUserSignalInfo(SIGUSR1, SI_USER, 1, 0)));
  REQUIRE_FALSE(queue.Push(MakeUserSignalInfo(SIGUSR1, SI_USER, 2, 0)));
  REQUIRE(queue.Push(MakeUserSignalInfo(40, SI_QUEUE, 3, 0)));
  REQUIRE(queue.Push(MakeUserSignalInfo(40, SI_QUEUE, 4, 0)));
  REQUIRE(queue.size() == 3);
  REQUIRE(queue.Pop(SignalSet())->si_pid == 1);
  REQUIRE(queue.Pop(SignalSet())->si_pid == 3);
  REQUIRE(queue.pending().Has(40));
  REQUIRE(queue.Pop(SignalSet())->si_pid == 4);
  REQUIRE(queue.pending().empty());
  REQUIRE_FALSE(queue.Pop(SignalSet()).has_value());
}

TEST_CASE("synchronous signals come first, blocked ones not at all") {
  SignalQueue queue;
  queue.Push(MakeSignalInfo(SIGHUP, SI_USER));
  queue.Push(MakeSignalInfo(SIGSEGV, SEGV_MAPERR));
  queue.Push(MakeSignalInfo(SIGTERM, SI_USER));
  REQUIRE(queue.Pop(SignalSet())->si_signo == SIGSEGV);
  REQUIRE(queue.Pop(SignalSet::Of(SIGHUP))->si_signo == SIGTERM);
  queue.Discard(SignalSet::Of(SIGHUP));
  REQUIRE(queue.size() == 0);
}

TEST_CASE("exec resets handlers and keeps what is ignored") {
  auto handlers = MakeRef<SignalHandlers>();
  SignalAction handler;
  handler.handler = 0x1000;
  SignalAction ignore;
  ignore.handler = 1;
  handlers->Exchange(SIGUSR1, handler);
  handlers->Exchange(SIGUSR2, ignore);
  auto copy = handlers->Copy();
  copy->ResetForExec();
  REQUIRE(copy->Get(SIGUSR1).IsDefault());
  REQUIRE(copy->Get(SIGUSR2).IsIgnored());
  REQUIRE(handlers->Get(SIGUSR1).handler == 0x1000);
}

}  // namespace
}  // namespace runsc
