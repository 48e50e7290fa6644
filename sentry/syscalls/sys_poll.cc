#include "sentry/syscalls/sys_poll.h"

#include <algorithm>
#include <array>

#include "sentry/syscalls/poll_set.h"
#include "sentry/syscalls/signal_mask.h"
#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

constexpr EventMask kSelectRead = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
constexpr EventMask kSelectWrite = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
constexpr EventMask kSelectExcept = POLLPRI;

// Waits, and writes the events back. The count of entries with events, or what PollSet::Wait says.
Result<int64_t> Poll(Task& task, UserPtr<pollfd> fds, uint32_t count, bool immediate, Deadline deadline) {
  if (count > task.Limit(RLIMIT_NOFILE)) return Errno(EINVAL);
  std::vector<pollfd> entries(count);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const pollfd>(fds), std::span(entries)));
  PollSet set(task);
  std::vector<size_t> polled;  // entries that are in the set
  size_t invalid = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i].revents = 0;
    if (entries[i].fd < 0) continue;
    Result<RefPtr<FileDescription>> file = task.GetFile(entries[i].fd);
    if (!file.ok()) {
      entries[i].revents = POLLNVAL;
      ++invalid;
      continue;
    }
    set.Add(std::move(*file), static_cast<uint16_t>(entries[i].events) | EventMask{POLLERR | POLLHUP});
    polled.push_back(i);
  }
  ASSIGN_OR_RETURN(size_t ready, set.Wait(immediate || invalid > 0, deadline));
  for (size_t i = 0; i < polled.size(); ++i) entries[polled[i]].revents = static_cast<int16_t>(set.ready(i));
  // Only the results: another thread may have changed the rest.
  for (size_t i = 0; i < entries.size(); ++i) {
    UserPtr<int16_t> to(fds.At(i).addr() + offsetof(pollfd, revents));
    RETURN_IF_ERROR(task.memory().Write(to, entries[i].revents));
  }
  return static_cast<int64_t>(ready + invalid);
}

Result<int64_t> PollRestarting(Task& task, UserPtr<pollfd> fds, uint32_t count, bool immediate,
                               Deadline deadline) {
  Result<int64_t> result = Poll(task, fds, count, immediate, deadline);
  if (!result.is(ERESTARTSYS)) return result;
  task.SetRestartBlock([=](Task& again) { return PollRestarting(again, fds, count, immediate, deadline); });
  return Errno(ERESTART_RESTARTBLOCK);
}

struct SelectSets {
  std::array<UserPtr<uint64_t>, 3> user;
  std::array<std::vector<uint64_t>, 3> bits;
};
constexpr std::array<EventMask, 3> kSelectEvents{kSelectRead, kSelectWrite, kSelectExcept};

// The count of bits that are set in the results.
Result<int64_t> Select(Task& task, int count, SelectSets sets, bool immediate, Deadline deadline) {
  if (count < 0) return Errno(EINVAL);
  // Bits behind the table's end are not looked at; a table has at least NR_OPEN_DEFAULT entries.
  size_t capacity = std::max<size_t>(task.fd_table().capacity(), 64);
  count = static_cast<int>(std::min<size_t>(static_cast<size_t>(count), capacity));
  const size_t words = (static_cast<size_t>(count) + 63) / 64;
  for (size_t s = 0; s < 3; ++s) {
    sets.bits[s].resize(words);
    if (sets.user[s])
      RETURN_IF_ERROR(
          task.memory().ReadArray(UserPtr<const uint64_t>(sets.user[s]), std::span(sets.bits[s])));
  }
  PollSet set(task);
  std::vector<int> fds;
  for (int fd = 0; fd < count; ++fd) {
    EventMask wanted = 0;
    for (size_t s = 0; s < 3; ++s) {
      if ((sets.bits[s][static_cast<size_t>(fd) / 64] >> (fd % 64) & 1) != 0) wanted |= kSelectEvents[s];
    }
    if (wanted == 0) continue;
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
    set.Add(std::move(file), wanted);
    fds.push_back(fd);
  }
  RETURN_IF_ERROR(set.Wait(immediate, deadline));
  SelectSets results{sets.user, {}};
  for (auto& bits : results.bits) bits.resize(words);
  int64_t total = 0;
  for (size_t i = 0; i < fds.size(); ++i) {
    size_t word = static_cast<size_t>(fds[i]) / 64;
    uint64_t bit = uint64_t{1} << (fds[i] % 64);
    for (size_t s = 0; s < 3; ++s) {
      if ((sets.bits[s][word] & bit) == 0 || (set.ready(i) & kSelectEvents[s]) == 0) continue;
      results.bits[s][word] |= bit;
      ++total;
    }
  }
  for (size_t s = 0; s < 3; ++s) {
    if (sets.user[s])
      RETURN_IF_ERROR(task.memory().WriteArray(sets.user[s], std::span<const uint64_t>(results.bits[s])));
  }
  return total;
}

// What Linux does with the time that is left: it goes back to the caller, and so also to the
// restarted call. A timeout that cannot be written makes an interruption final.
template <typename T>
Result<int64_t> Finish(Task& task, Result<int64_t> result, UserPtr<T> timeout, Deadline deadline,
                       T (*convert)(int64_t)) {
  bool interrupted = result.is(ERESTARTSYS);
  if (!timeout || (task.personality & 0x4000000 /* STICKY_TIMEOUTS */) != 0)
    return interrupted ? Result<int64_t>(Errno(ERESTARTNOHAND)) : result;
  bool written = task.memory().Write(timeout, convert(deadline.Remaining())).ok();
  if (!interrupted) return result;
  return written ? Errno(ERESTARTNOHAND) : Errno(EINTR);
}

}  // namespace

Result<int64_t> SysPoll(Task& task, UserPtr<pollfd> fds, uint32_t count, int timeout_ms) {
  Deadline deadline = timeout_ms < 0 ? Deadline::Never() : Deadline::After(int64_t{timeout_ms} * 1'000'000);
  return PollRestarting(task, fds, count, timeout_ms == 0, deadline);
}

Result<int64_t> SysPpoll(Task& task, UserPtr<pollfd> fds, uint32_t count, UserPtr<timespec> timeout,
                         UserPtr<const uint64_t> mask, uint64_t mask_size) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
  RETURN_IF_ERROR(ApplyTemporaryMask(task, mask, mask_size));
  Deadline deadline = AfterOrNever(time);
  return Finish(task, Poll(task, fds, count, time == 0, deadline), timeout, deadline, &ToTimespec);
}

Result<int64_t> SysSelect(Task& task, int count, UserPtr<uint64_t> read, UserPtr<uint64_t> write,
                          UserPtr<uint64_t> except, UserPtr<timeval> timeout) {
  std::optional<int64_t> time;
  if (timeout) {
    ASSIGN_OR_RETURN(timeval value, task.memory().Read(timeout));
    if (value.tv_sec < 0 || value.tv_usec < 0) return Errno(EINVAL);
    timespec normal{value.tv_sec, value.tv_usec % 1'000'000 * 1000};
    if (__builtin_add_overflow(normal.tv_sec, value.tv_usec / 1'000'000, &normal.tv_sec))
      return Errno(EINVAL);
    ASSIGN_OR_RETURN(time, ToNanoseconds(normal));
  }
  Deadline deadline = AfterOrNever(time);
  Result<int64_t> result = Select(task, count, SelectSets{{read, write, except}, {}}, time == 0, deadline);
  return Finish(task, result, timeout, deadline, &ToTimeval);
}

Result<int64_t> SysPselect6(Task& task, int count, UserPtr<uint64_t> read, UserPtr<uint64_t> write,
                            UserPtr<uint64_t> except, UserPtr<timespec> timeout,
                            UserPtr<const uint64_t> mask) {
  std::array<uint64_t, 2> mask_and_size{};
  if (mask) RETURN_IF_ERROR(task.memory().ReadArray(mask, std::span<uint64_t>(mask_and_size)));
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
  RETURN_IF_ERROR(ApplyTemporaryMask(task, UserPtr<const uint64_t>(mask_and_size[0]), mask_and_size[1]));
  Deadline deadline = AfterOrNever(time);
  Result<int64_t> result = Select(task, count, SelectSets{{read, write, except}, {}}, time == 0, deadline);
  return Finish(task, result, timeout, deadline, &ToTimespec);
}

}  // namespace runsc
