#include "sentry/wait/host_poller.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace runsc {
namespace {

// Waits for one of its events as a task does.
class Sleeper final : public Waiter {
 public:
  bool Notify(EventMask) override {
    std::lock_guard lock(mu_);
    told_ = true;
    changed_.notify_all();
    return true;
  }
  bool WaitUntilTold() {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return told_; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool told_ = false;
};

}  // namespace

TEST_CASE("An event leaves those armed who wait for another one") {
  int fd[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
  WaitQueue queue;
  Sleeper reader, writer;
  queue.Add(reader, EPOLLIN);
  queue.Add(writer, EPOLLOUT);
  HostPoller& poller = HostPoller::Get();
  poller.Arm(fd[0], queue, EPOLLIN);
  poller.Arm(fd[0], queue, EPOLLOUT);
  CHECK(writer.WaitUntilTold());
  REQUIRE(write(fd[1], "x", 1) == 1);
  CHECK(reader.WaitUntilTold());
  poller.Forget(fd[0]);
  queue.Remove(reader);
  queue.Remove(writer);
  close(fd[0]);
  close(fd[1]);
}

TEST_CASE("A hang-up is told to everybody, once") {
  int fd[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
  WaitQueue queue;
  Sleeper reader, other;
  queue.Add(reader, EPOLLIN | EPOLLHUP);
  queue.Add(other, EPOLLPRI | EPOLLHUP);
  HostPoller& poller = HostPoller::Get();
  poller.Arm(fd[0], queue, EPOLLIN | EPOLLPRI);
  close(fd[1]);
  CHECK(reader.WaitUntilTold());
  CHECK(other.WaitUntilTold());
  poller.Forget(fd[0]);
  queue.Remove(reader);
  queue.Remove(other);
  close(fd[0]);
}

}  // namespace runsc
