// ReleaseCode: this process lets go of the pages of its program that it has in memory: code and constants,
// which are the file's. They stay in the host's page cache, and what is used again is mapped again, sixteen
// pages a fault. A process of ours needs a tenth of what it took to get up; without this, each would be
// counted all of it for as long as it sleeps.
//
// Linux counterpart: MADV_DONTNEED of madvise(2) on a private mapping of a file.
#ifndef PLATFORM_HOST_RESIDENT_CODE_H_
#define PLATFORM_HOST_RESIDENT_CODE_H_

namespace runsc {

// How long, in milliseconds, nothing has to happen before a process is taken to be up.
inline constexpr int kQuietAfterStart = 200;

// For all threads, of which any may be running. Calls nothing but madvise(2).
void ReleaseCode();

}  // namespace runsc

#endif  // PLATFORM_HOST_RESIDENT_CODE_H_
