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

class Inode;

// What the vfs will do next with a name that it asks a directory for, so that a filesystem far away can do
// both in one round trip.
inline constinit thread_local bool opens_for_reading = false;
// The directory whose Create or Mkdir comes next and says EEXIST itself: a lookup there may say that there
// is no such name without having looked.
inline constinit thread_local const Inode* creates_new_in = nullptr;

// Of the attributes that are asked for only type, mode, uid and gid will be used: a filesystem may know these
// where it would have to ask for the rest.
inline constinit thread_local bool asks_for_access_only = false;

template <typename T>
class IntentScope {
 public:
  IntentScope(T& intent, T value) : intent_(intent), before_(intent) { intent = value; }
  ~IntentScope() { intent_ = before_; }
  IntentScope(const IntentScope&) = delete;
  IntentScope& operator=(const IntentScope&) = delete;

 private:
  T& intent_;
  const T before_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_OPERATION_H_
