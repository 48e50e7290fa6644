// The limits of resources (setrlimit(2), a shell's ulimit) under which runsc was started are meant for the
// guest, which the Sentry keeps to them. The sandbox's own processes, which map all of the guest's memory
// from one file and live as long as it does, cannot work under them.
#ifndef PLATFORM_HOST_OWN_LIMITS_H_
#define PLATFORM_HOST_OWN_LIMITS_H_

#include <string>

namespace runsc {

// Lifts this process's own, and so those of what it makes: address space, data, CPU time and file sizes
// wholly, open files to what a guest may want. Which hard limit leaves too little, in words for the user; or
// "".
std::string LiftOwnLimits();

}  // namespace runsc

#endif  // PLATFORM_HOST_OWN_LIMITS_H_
