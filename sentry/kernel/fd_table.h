// FDTable: file descriptor numbers and the open files behind them, of one or several
// tasks (CLONE_FILES).
// Threading: any thread. Get is the hot path of every system call that takes an fd.
// Linux counterpart: struct files_struct.
#ifndef SENTRY_KERNEL_FD_TABLE_H_
#define SENTRY_KERNEL_FD_TABLE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class FDTable final : public RefCounted {
 public:
  FDTable() = default;
  ~FDTable() override;

  // EBADF. O_PATH descriptors are returned too; see Task::GetFile.
  Result<RefPtr<FileDescription>> Get(int fd, bool* close_on_exec = nullptr) const;
  // The lowest free number at or above `minimum`; EMFILE at `limit` (RLIMIT_NOFILE).
  Result<int> Add(RefPtr<FileDescription> file, bool close_on_exec, int minimum, uint64_t limit);
  // Reserves a number before an action that can't be undone; Install or Cancel follows. A reserved
  // number is not visible to Get.
  Result<int> Reserve(int minimum, uint64_t limit);
  void Install(int fd, RefPtr<FileDescription> file, bool close_on_exec);
  void Cancel(int fd);
  // dup2/dup3: puts it at exactly `fd`, and returns what was there (the caller closes it). EBADF at the
  // limit, EBUSY if the number is reserved.
  Result<RefPtr<FileDescription>> Replace(int fd, RefPtr<FileDescription> file, bool close_on_exec,
                                          uint64_t limit);
  // Takes it out; the caller finishes with CloseFile. EBADF.
  Result<RefPtr<FileDescription>> Remove(int fd);
  // close_range(2): [first, last]; sets close-on-exec instead if asked.
  void CloseRange(unsigned first, unsigned last, bool only_set_close_on_exec);
  Result<void> SetCloseOnExec(int fd, bool value);
  Result<bool> GetCloseOnExec(int fd) const;
  void CloseOnExec();  // execve(2)
  void CloseAll();     // exit

  RefPtr<FDTable> Fork() const;
  // /proc/pid/fd: numbers in order.
  std::vector<int> Numbers() const;
  size_t capacity() const;  // FDSize of /proc/pid/status

  // The end of a descriptor: Flush, and POSIX locks of this table on the file are released.
  Result<void> CloseFile(FileDescription& file);

 private:
  struct Entry {
    RefPtr<FileDescription> file;
    bool close_on_exec = false;
    bool reserved = false;
  };
  Result<int> ReserveLocked(int minimum, uint64_t limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CopyEntries(const std::vector<Entry>& from);
  void CloseIf(unsigned first, unsigned last, absl::FunctionRef<bool(Entry&)> close);

  mutable Mutex mu_{LockRank::kFDTable};
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mu_);
  int first_free_ ABSL_GUARDED_BY(mu_) = 0;  // no free number below it
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_FD_TABLE_H_
