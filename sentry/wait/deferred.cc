#include "sentry/wait/deferred.h"

#include <utility>
#include <vector>

namespace runsc {

namespace {

struct Entry {
  RefPtr<Deferred> work;
  EventMask events;
};
thread_local std::vector<Entry> entries;

}  // namespace

namespace deferred_internal {

constinit thread_local bool pending = false;

void Run() {
  // What runs may notify in its turn.
  while (!entries.empty()) {
    std::vector<Entry> now = std::exchange(entries, {});
    for (const Entry& entry : now) entry.work->Run(entry.events);
  }
  pending = false;
}

}  // namespace deferred_internal

void Defer(Deferred& work, EventMask events) {
  for (Entry& entry : entries) {
    if (entry.work.get() != &work) continue;
    entry.events |= events;
    return;
  }
  entries.push_back(Entry{RefPtr<Deferred>(&work), events});
  deferred_internal::pending = true;
}

}  // namespace runsc
