// WaitUntilAsleep: until another thread of a test has come to where it waits.
#ifndef PLATFORM_BASE_ASLEEP_TEST_H_
#define PLATFORM_BASE_ASLEEP_TEST_H_

#include <sched.h>
#include <sys/types.h>

#include <atomic>
#include <fstream>
#include <string>

namespace runsc {

// `thread`: its gettid(2), which it stores right before.
inline void WaitUntilAsleep(const std::atomic<pid_t>& thread) {
  std::string state;
  while (state != "S") {
    sched_yield();
    std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string number, name;
    if (!(stat >> number >> name >> state) && thread != 0) break;  // it has ended already
  }
}

}  // namespace runsc

#endif  // PLATFORM_BASE_ASLEEP_TEST_H_
