#include "runsc/shim/event_loop.h"

#include <algorithm>
#include <utility>

namespace runsc::shim {

void EventLoop::Watch(int fd, short events, std::function<void(short)> ready) {
  watched_[fd] = {next_id_++, events, std::move(ready)};
}

void EventLoop::SetEvents(int fd, short events) {
  if (auto found = watched_.find(fd); found != watched_.end()) found->second.events = events;
}

void EventLoop::Forget(int fd) { watched_.erase(fd); }

void EventLoop::Run() {
  while (true) {
    RunPosted();
    RunTimers();
    if (stopped_) return;
    Wait();
  }
}

void EventLoop::RunPosted() {
  while (!posted_.empty()) {
    for (auto& callback : std::exchange(posted_, {})) callback();
  }
}

void EventLoop::RunTimers() {
  Clock::time_point now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    auto callback = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    callback();
  }
}

// In milliseconds, rounded up, as poll(2) takes it.
int EventLoop::Timeout() const {
  if (!posted_.empty()) return 0;
  if (timers_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void EventLoop::Wait() {
  std::vector<pollfd> polls;
  std::vector<uint64_t> ids;
  for (const auto& [fd, watched] : watched_) {
    if (watched.events == 0) continue;
    polls.push_back({fd, watched.events, 0});
    ids.push_back(watched.id);
  }
  if (::poll(polls.data(), polls.size(), Timeout()) <= 0) return;
  for (size_t i = 0; i < polls.size(); ++i) {
    if (polls[i].revents == 0) continue;
    auto found = watched_.find(polls[i].fd);
    if (found == watched_.end() || found->second.id != ids[i]) continue;
    // A copy: it may forget itself.
    auto ready = found->second.ready;
    ready(polls[i].revents);
  }
}

}  // namespace runsc::shim
