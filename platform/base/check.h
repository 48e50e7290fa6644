// CHECK: our own invariants, in every build. Never for anything that a guest or
// a bundle can choose: those return an Errno.
#ifndef PLATFORM_BASE_CHECK_H_
#define PLATFORM_BASE_CHECK_H_

namespace runsc {

// Writes "file:line: CHECK failed: what" to the log and stderr, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* what);

}  // namespace runsc

#define CHECK(condition) \
  (__builtin_expect(!(condition), 0) ? ::runsc::CheckFailed(__FILE__, __LINE__, #condition) : (void)0)

#ifdef NDEBUG
#define DCHECK(condition) ((void)sizeof(condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif

#endif  // PLATFORM_BASE_CHECK_H_
