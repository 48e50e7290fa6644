// What a build with a sanitizer (tools/sanitize.sh) needs of processes that confine themselves: after that
// the runtime can neither open a file for its report, nor read /proc/self/maps, nor start a symbolizer.
//
// In other builds there is nothing of it.
#ifndef PLATFORM_HOST_SANITIZER_H_
#define PLATFORM_HOST_SANITIZER_H_

namespace runsc {

#ifdef RUNSC_SANITIZED
// The descriptor of the reports, in every process; out of the way of those that tests count.
inline constexpr int kSanitizerReportFd = 900;

// Opens a file whose name begins as RUNSC_SANITIZER_REPORT says, for reports of this process and of those
// that it makes (without it they go to stderr), and lets the runtime note where the program is. At the start
// of main.
void PrepareSanitizer();
// In a process that was made without the runtime's knowledge: reports go on to the same file.
void KeepSanitizerReport();
#else
inline constexpr int kSanitizerReportFd = -1;
inline void PrepareSanitizer() {}
inline void KeepSanitizerReport() {}
#endif

}  // namespace runsc

#endif  // PLATFORM_HOST_SANITIZER_H_
