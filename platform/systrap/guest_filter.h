// The seccomp filter of stub processes: one program for all of a sandbox. It only lets calls pass that come
// from the stub's code page; but a guest can jump there with any registers, and so for guest threads what
// matters is what is left when the whole thread is the guest's:
//
//   with the key  a keeper (keeper_filter.h): maps, unmaps and protects guest memory, makes threads. It reads
//                 its commands from a page that no guest can write to, keeps everything else in
//                 registers, has no stack, and blocks all signals (a signal frame would hold its registers).
//                 So it needs no second check. A guest thread has the key while it is born, for sigaltstack,
//                 with all signals blocked, and loses it before its first signal can come.
//   without       a guest thread: waits for and wakes words of the slots (futex), yields its CPU, and
//   unblocks
//                 its signals (once, at birth). Nothing else: no mmap, no munmap, no clone, no exit, no
//                 rt_sigreturn (a forged frame could mask the interrupt signal), no sigaltstack.
//
// A guest that makes these calls itself can at worst put itself to sleep, let others run, or wake threads
// that look at their word and sleep on.
#ifndef PLATFORM_SYSTRAP_GUEST_FILTER_H_
#define PLATFORM_SYSTRAP_GUEST_FILTER_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace runsc {

std::vector<sock_filter> SystrapFilter(uint64_t base, uint64_t key);

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_GUEST_FILTER_H_
