#include "sentry/wait/host_poller.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include <thread>

#include "platform/base/errno.h"
#include "platform/base/log.h"
#include "platform/base/signal_mask.h"
#include "sentry/wait/deferred.h"

namespace runsc {

namespace {

constexpr EventMask kReadable = EPOLLIN | EPOLLRDNORM;
constexpr EventMask kWritable = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

// What stands for others is watched, and told with all that it stands for.
EventMask Watched(EventMask events) {
  return ((events & kReadable) != 0 ? EPOLLIN : 0u) | ((events & kWritable) != 0 ? EPOLLOUT : 0u) |
         (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP));
}

}  // namespace

HostPoller& HostPoller::Get() {
  // Never destroyed: its thread runs until the process ends.
  static HostPoller* poller = new HostPoller;
  return *poller;
}

void HostPoller::ArmMissing(int fd, WaitQueue& queue, EventMask wanted, EventMask ready) {
  EventMask missing = Watched(wanted & ~ready & ~static_cast<EventMask>(EPOLLHUP));
  // Hang-ups and errors come along with all others.
  if (missing == 0 && ready == 0) missing = EPOLLHUP;
  if (missing != 0) Arm(fd, queue, missing);
}

bool HostPoller::StartLocked() {
  if (epoll_ >= 0) return true;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) {
    LOG_ERROR("cannot wait for host descriptors: {}", HostErrno().message());
    return false;
  }
  // No signal is this thread's to take.
  ThreadSignalMask mask;
  std::thread(&HostPoller::Run, this, epoll_).detach();
  return true;
}

void HostPoller::Arm(int fd, WaitQueue& queue, EventMask events) {
  events = Watched(events);
  MutexLock lock(mu_);
  if (events == 0 || !StartLocked()) return;
  auto [it, added] = watches_.try_emplace(fd);
  it->second.queue = &queue;
  if (it->second.edges) return;
  if (it->second.armed == 0) armed_.fetch_add(1, std::memory_order_relaxed);
  it->second.armed |= events;
  WatchLocked(added ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, it->second.armed);
}

void HostPoller::WatchEdges(int fd, WaitQueue& queue) {
  {
    MutexLock lock(mu_);
    if (!StartLocked()) return;
    auto [it, added] = watches_.try_emplace(fd);
    Watch& watch = it->second;
    watch.queue = &queue;
    if (watch.edges) return;
    if (watch.armed == 0) armed_.fetch_add(1, std::memory_order_relaxed);
    watch.edges = true;
    watch.armed = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
    WatchLocked(added ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, watch.armed | EPOLLET);
  }
  // The host begins with what is there already, of which the caller knows.
  CollectArmed();
}

void HostPoller::WatchLocked(int operation, int fd, EventMask events) {
  epoll_event event{};
  event.events = (events & EPOLLET) != 0 ? events : events | EPOLLONESHOT;
  event.data.fd = fd;
  if (epoll_ctl(epoll_, operation, fd, &event) < 0)
    LOG_WARNING("cannot wait for host descriptor {}: {}", fd, HostErrno().message());
}

void HostPoller::Forget(int fd) {
  MutexLock lock(mu_);
  auto it = watches_.find(fd);
  if (it == watches_.end()) return;
  if (it->second.armed != 0) armed_.fetch_sub(1, std::memory_order_relaxed);
  watches_.erase(it);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void HostPoller::Tell(int epoll, int timeout_ms) {
  epoll_event events[16];
  int count = epoll_wait(epoll, events, 16, timeout_ms);
  for (int i = 0; i < count; ++i) {
    MutexLock lock(mu_);
    auto it = watches_.find(events[i].data.fd);
    if (it == watches_.end()) continue;
    EventMask told = events[i].events;
    // One event disarms the descriptor for all of them, and others may wait for the rest: those go on.
    // A hang-up or an error is for everybody, and would come again at once.
    bool ended = (told & (EPOLLHUP | EPOLLERR)) != 0;
    if (!it->second.edges) {
      const bool was_armed = it->second.armed != 0;
      it->second.armed &= ended ? 0 : ~told;
      if (it->second.armed != 0) {
        WatchLocked(EPOLL_CTL_MOD, events[i].data.fd, it->second.armed);
      } else if (was_armed) {
        armed_.fetch_sub(1, std::memory_order_relaxed);
      }
    }
    if ((told & EPOLLIN) != 0) told |= kReadable;
    if ((told & EPOLLOUT) != 0) told |= kWritable;
    it->second.queue->Notify(told);
  }
}

void HostPoller::CollectArmed() {
  int epoll;
  {
    MutexLock lock(mu_);
    epoll = epoll_;
  }
  Tell(epoll, 0);
}

void HostPoller::Run(int epoll) {
  for (;;) {
    Tell(epoll, -1);
    RunDeferred();
  }
}

}  // namespace runsc
