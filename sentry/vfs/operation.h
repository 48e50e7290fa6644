// Operation: one system call, as far as filesystems whose files others may change are
// concerned. What such a filesystem has been told once in it may be used until it ends: the
// call's answer then is that of a moment between its begin and its end, which is all that
// Linux promises. A thread is in no operation (0) while it serves no system call.
#ifndef SENTRY_VFS_OPERATION_H_
#define SENTRY_VFS_OPERATION_H_

#include <cstdint>

namespace runsc {

inline constinit thread_local uint64_t last_operation = 0;
inline constinit thread_local uint64_t current_operation = 0;  // of this thread; differs from all before

// From its construction to its destruction; one within another belongs to that.
class OperationScope {
 public:
  OperationScope() : outermost_(current_operation == 0) {
    if (outermost_) current_operation = ++last_operation;
  }
  ~OperationScope() {
    if (outermost_) current_operation = 0;
  }
  OperationScope(const OperationScope&) = delete;
  OperationScope& operator=(const OperationScope&) = delete;

 private:
  const bool outermost_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_OPERATION_H_
