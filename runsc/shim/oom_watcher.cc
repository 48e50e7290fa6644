#include "runsc/shim/oom_watcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <utility>

#include "runsc/cgroup/files.h"

namespace runsc::shim {
namespace {

constexpr std::chrono::milliseconds kCountDelay(100);

}  // namespace

OomWatcher::OomWatcher(EventLoop& loop, const Cgroup::Paths& paths, std::function<void()> killed)
    : loop_(loop), cgroup_(OpenCgroup(paths)), killed_(std::move(killed)), kills_(cgroup_->OomKills()) {
  Open(paths);
  if (!events_) return;
  loop_.Watch(events_.get(), POLLIN, [this](short) {
    char bytes[4096];
    // The end of the cgroup is an event too.
    if (::read(events_.get(), bytes, sizeof(bytes)) <= 0) loop_.SetEvents(events_.get(), 0);
    Check();
    // Version 1 tells before it has chosen and counted whom it kills.
    loop_.After(kCountDelay, [this, alive = std::weak_ptr<bool>(alive_)] {
      if (!alive.expired()) Check();
    });
  });
}

OomWatcher::~OomWatcher() {
  if (events_) loop_.Forget(events_.get());
}

void OomWatcher::Open(const Cgroup::Paths& paths) {
  if (auto unified = paths.find(""); unified != paths.end()) {
    UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (inotify &&
        ::inotify_add_watch(inotify.get(), (unified->second + "/memory.events").c_str(), IN_MODIFY) >= 0)
      events_ = std::move(inotify);
    return;
  }
  auto memory = paths.find("memory");
  if (memory == paths.end()) return;
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  control_.reset(::open((memory->second + "/memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
  if (!event || !control_) return;
  if (cgroup_files::Write(memory->second + "/cgroup.event_control",
                          fmt::format("{} {}", event.get(), control_.get()))
          .ok())
    events_ = std::move(event);
}

void OomWatcher::Check() {
  uint64_t now = cgroup_->OomKills();
  if (now <= kills_) return;
  kills_ = now;
  killed_();
}

}  // namespace runsc::shim
