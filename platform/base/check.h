// CHECK: our own invariants, in every build. Never for anything that a guest or
// a bundle can choose: those return an Errno.
#ifndef PLATFORM_BASE_CHECK_H_
#define PLATFORM_BASE_CHECK_H_

namespace runsc {

// Writes "file:line: CHECK failed: what" to the log and stderr, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* what);

}  // namespace runsc

#define RUNSC_CHECK(condition) \
  (__builtin_expect(!(condition), 0) ? ::runsc::CheckFailed(__FILE__, __LINE__, #condition) : (void)0)

// A unit test includes Catch2 first and then has that one's CHECK; inline code in
// headers therefore says RUNSC_CHECK.
#ifndef CATCH_VERSION_MAJOR
#define CHECK(condition) RUNSC_CHECK(condition)
#endif

#ifdef NDEBUG
#define DCHECK(condition) ((void)sizeof(condition))
#else
#define DCHECK(condition) RUNSC_CHECK(condition)
#endif

#endif  // PLATFORM_BASE_CHECK_H_
