// The time as containerd's messages have it.
#ifndef RUNSC_SHIM_TIMESTAMP_H_
#define RUNSC_SHIM_TIMESTAMP_H_

#include <time.h>

#include "runsc/shim/proto/task.pb.h"

namespace runsc::shim {

inline timespec Now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

inline api::Timestamp ToTimestamp(const timespec& time) {
  api::Timestamp timestamp;
  timestamp.set_seconds(time.tv_sec);
  timestamp.set_nanos(static_cast<int32_t>(time.tv_nsec));
  return timestamp;
}

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_TIMESTAMP_H_
