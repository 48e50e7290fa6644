// CountAllowedCalls: how many system calls a filter of ours lets through for some arguments, which is what
// `runsc debug --posture` tells and a reader of the policies wants to know.
//
// Linux counterpart: none; classic BPF over struct seccomp_data, seccomp(2).
#ifndef PLATFORM_SECCOMP_ALLOWED_CALLS_H_
#define PLATFORM_SECCOMP_ALLOWED_CALLS_H_

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace runsc {

// Whether some arguments make the filter allow the call: both ways are gone at each question about them. A
// program of the few instructions that libseccomp makes; what else there may be is taken as unknown.
bool MayBeAllowed(std::span<const sock_filter> filter, uint32_t number);
size_t CountAllowedCalls(std::span<const sock_filter> filter);

}  // namespace runsc

#endif  // PLATFORM_SECCOMP_ALLOWED_CALLS_H_
