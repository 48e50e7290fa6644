#include "sentry/kernel/fd_table.h"

#include <algorithm>
#include <utility>

#include "sentry/vfs/file_locks.h"

namespace runsc {
namespace {

// sysctl_nr_open: no table is larger, whatever the limit says.
constexpr uint64_t kMaxDescriptors = 1 << 20;

}  // namespace

FDTable::~FDTable() { CloseAll(); }

Result<RefPtr<FileDescription>> FDTable::Get(int fd, bool* close_on_exec) const {
  MutexLock lock(mu_);
  if (fd < 0 || static_cast<size_t>(fd) >= entries_.size() || !entries_[fd].file) return Errno(EBADF);
  if (close_on_exec != nullptr) *close_on_exec = entries_[fd].close_on_exec;
  return entries_[fd].file;
}

Result<int> FDTable::ReserveLocked(int minimum, uint64_t limit) {
  limit = std::min(limit, kMaxDescriptors);
  if (minimum < 0 || static_cast<uint64_t>(minimum) >= limit) return Errno(EMFILE);
  size_t fd = std::max(minimum, first_free_);
  while (fd < entries_.size() && (entries_[fd].file || entries_[fd].reserved)) ++fd;
  if (fd >= limit) return Errno(EMFILE);
  if (fd >= entries_.size()) entries_.resize(std::max<size_t>(fd + 1, 16));
  entries_[fd].reserved = true;
  if (minimum <= first_free_) first_free_ = static_cast<int>(fd) + 1;
  return static_cast<int>(fd);
}

Result<int> FDTable::Add(RefPtr<FileDescription> file, bool close_on_exec, int minimum, uint64_t limit) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(int fd, ReserveLocked(minimum, limit));
  entries_[fd] = Entry{std::move(file), close_on_exec, false};
  return fd;
}

Result<int> FDTable::Reserve(int minimum, uint64_t limit) {
  MutexLock lock(mu_);
  return ReserveLocked(minimum, limit);
}

void FDTable::Install(int fd, RefPtr<FileDescription> file, bool close_on_exec) {
  MutexLock lock(mu_);
  CHECK(entries_[fd].reserved);
  entries_[fd] = Entry{std::move(file), close_on_exec, false};
}

void FDTable::Cancel(int fd) {
  MutexLock lock(mu_);
  CHECK(entries_[fd].reserved);
  entries_[fd] = Entry{};
  first_free_ = std::min(first_free_, fd);
}

Result<RefPtr<FileDescription>> FDTable::Replace(int fd, RefPtr<FileDescription> file, bool close_on_exec,
                                                 uint64_t limit) {
  MutexLock lock(mu_);
  if (fd < 0 || static_cast<uint64_t>(fd) >= std::min(limit, kMaxDescriptors)) return Errno(EBADF);
  if (static_cast<size_t>(fd) >= entries_.size()) entries_.resize(fd + 1);
  Entry& entry = entries_[fd];
  if (entry.reserved) return Errno(EBUSY);
  entry.close_on_exec = close_on_exec;
  return std::exchange(entry.file, std::move(file));
}

Result<RefPtr<FileDescription>> FDTable::Remove(int fd) {
  MutexLock lock(mu_);
  if (fd < 0 || static_cast<size_t>(fd) >= entries_.size() || !entries_[fd].file) return Errno(EBADF);
  RefPtr<FileDescription> file = std::move(entries_[fd].file);
  entries_[fd] = Entry{};
  first_free_ = std::min(first_free_, fd);
  return file;
}

void FDTable::CloseRange(unsigned first, unsigned last, bool only_set_close_on_exec) {
  CloseIf(first, last, [only_set_close_on_exec](Entry& entry) {
    if (only_set_close_on_exec) entry.close_on_exec = true;
    return !only_set_close_on_exec;
  });
}

void FDTable::CloseOnExec() {
  CloseIf(0, UINT32_MAX, [](Entry& entry) { return entry.close_on_exec; });
}

void FDTable::CloseAll() {
  CloseIf(0, UINT32_MAX, [](Entry&) { return true; });
}

void FDTable::CloseIf(unsigned first, unsigned last, absl::FunctionRef<bool(Entry&)> close) {
  std::vector<RefPtr<FileDescription>> closed;
  {
    MutexLock lock(mu_);
    for (size_t fd = first; fd < entries_.size() && fd <= last; ++fd) {
      Entry& entry = entries_[fd];
      if (!entry.file || !close(entry)) continue;
      closed.push_back(std::move(entry.file));
      entry = Entry{};
      first_free_ = std::min(first_free_, static_cast<int>(fd));
    }
  }
  for (auto& file : closed) (void)CloseFile(*file);
}

Result<void> FDTable::SetCloseOnExec(int fd, bool value) {
  MutexLock lock(mu_);
  if (fd < 0 || static_cast<size_t>(fd) >= entries_.size() || !entries_[fd].file) return Errno(EBADF);
  entries_[fd].close_on_exec = value;
  return Ok();
}

Result<bool> FDTable::GetCloseOnExec(int fd) const {
  bool value = false;
  RETURN_IF_ERROR(Get(fd, &value));
  return value;
}

RefPtr<FDTable> FDTable::Fork() const {
  auto copy = MakeRef<FDTable>();
  MutexLock lock(mu_);
  copy->CopyEntries(entries_);
  return copy;
}

void FDTable::CopyEntries(const std::vector<Entry>& from) {
  // Nobody else knows the new table yet, and locks of one rank may not nest.
  mu_.AssertHeld();
  entries_ = from;
  for (Entry& entry : entries_) entry.reserved = false;
  first_free_ = 0;
}

std::vector<int> FDTable::Numbers() const {
  std::vector<int> numbers;
  MutexLock lock(mu_);
  for (size_t fd = 0; fd < entries_.size(); ++fd) {
    if (entries_[fd].file) numbers.push_back(static_cast<int>(fd));
  }
  return numbers;
}

size_t FDTable::capacity() const {
  MutexLock lock(mu_);
  return std::max<size_t>(64, (entries_.size() + 63) / 64 * 64);
}

Result<void> FDTable::CloseFile(FileDescription& file) {
  auto result = file.Flush();
  // close(2) of any descriptor of an inode drops the process's record locks on it.
  RefPtr<Inode> inode = file.IsPathOnly() ? nullptr : file.inode();
  if (inode) {
    if (FileLocks* locks = inode->locks_if_any(); locks != nullptr) locks->ReleaseOwner(this);
  }
  return result;
}

}  // namespace runsc
