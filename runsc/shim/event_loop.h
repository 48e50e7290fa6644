// EventLoop: the one thread of a shim. Callbacks run one after the other; none may block for long.
//
// poll(2) and not epoll(7): a shim has a few dozen descriptors, and one that nobody waits for is simply left
// out, while epoll would go on telling that its other end has hung up.
#ifndef RUNSC_SHIM_EVENT_LOOP_H_
#define RUNSC_SHIM_EVENT_LOOP_H_

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace runsc::shim {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  // Calls `ready` with what poll(2) says of `fd`, which stays the caller's, whenever it says one of `events`
  // (POLLIN, POLLOUT) or an error. With no events it says nothing.
  void Watch(int fd, short events, std::function<void(short)> ready);
  // Other events for a watched descriptor.
  void SetEvents(int fd, short events);
  // Before `fd` is closed. No callback follows.
  void Forget(int fd);

  // Once, after the callbacks that are due now.
  void Post(std::function<void()> callback) { posted_.push_back(std::move(callback)); }
  // Once, after that time.
  void After(std::chrono::milliseconds delay, std::function<void()> callback) {
    timers_.emplace(Clock::now() + delay, std::move(callback));
  }

  // Until Stop() is called.
  void Run();
  void Stop() { stopped_ = true; }

 private:
  struct Watched {
    uint64_t id = 0;  // a descriptor's number may be another one's by the time its callback is due
    short events = 0;
    std::function<void(short)> ready;
  };
  void RunPosted();
  void RunTimers();
  int Timeout() const;
  void Wait();

  std::map<int, Watched> watched_;
  uint64_t next_id_ = 1;
  std::vector<std::function<void()>> posted_;
  std::multimap<Clock::time_point, std::function<void()>> timers_;
  bool stopped_ = false;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_EVENT_LOOP_H_
