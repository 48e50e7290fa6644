// OomWatcher: notices that the host killed a process of a control group for want of memory.
// Linux counterpart: an eventfd at memory.oom_control (cgroup-v1/memory.rst), inotify(7) on memory.events
// (cgroup-v2.rst).
#ifndef RUNSC_SHIM_OOM_WATCHER_H_
#define RUNSC_SHIM_OOM_WATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "platform/base/unique_fd.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/shim/event_loop.h"

namespace runsc::shim {

class OomWatcher {
 public:
  OomWatcher(EventLoop& loop, const Cgroup::Paths& paths, std::function<void()> killed);
  ~OomWatcher();
  OomWatcher(const OomWatcher&) = delete;
  OomWatcher& operator=(const OomWatcher&) = delete;

  // Tells of what has happened up to now; before an end is told, so that its reason comes first.
  void Check();

 private:
  void Open(const Cgroup::Paths& paths);

  EventLoop& loop_;
  const std::unique_ptr<Cgroup> cgroup_;
  const std::function<void()> killed_;
  uint64_t kills_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for a timer, which may be late
  UniqueFd events_, control_;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_OOM_WATCHER_H_
