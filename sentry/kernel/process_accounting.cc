#include "sentry/kernel/process_accounting.h"

#include <linux/acct.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/terminal.h"

namespace runsc {
namespace {

static_assert(sizeof(acct_v3) == 64);
constexpr char kVersion = 3;
constexpr int64_t kTick = kNanosecondsPerSecond / 100;  // AHZ

// Few namespaces have a file, so it is here. A namespace without processes has none.
struct Table {
  Mutex mu{LockRank::kLeaf};
  absl::flat_hash_map<RefPtr<PidNamespace>, RefPtr<FileDescription>> files ABSL_GUARDED_BY(mu);
  std::atomic<size_t> size{0};
};
Table& TheTable() {
  static auto* const table = new Table;
  return *table;
}

RefPtr<FileDescription> FileOf(PidNamespace& space) {
  Table& table = TheTable();
  MutexLock lock(table.mu);
  auto found = table.files.find(RefPtr<PidNamespace>(&space));
  return found == table.files.end() ? nullptr : found->second;
}

// A number with 13 significant bits and an exponent to the base of 8.
comp_t Compress(uint64_t value) {
  constexpr int kFractionBits = 13;
  constexpr uint64_t kMaxFraction = (1 << kFractionBits) - 1, kMaxExponent = 7;
  uint64_t exponent = 0;
  while (value > kMaxFraction) {
    value = (value >> 3) + (value >> 2 & 1);  // rounded
    ++exponent;
  }
  if (exponent > kMaxExponent) return UINT16_MAX;
  return static_cast<comp_t>(exponent << kFractionBits | value);
}

acct_v3 RecordOf(Task& task) {
  ThreadGroup& group = task.thread_group();
  const int status = group.exit_status();
  const CpuUsage usage = group.GetCpuUsage();
  RefPtr<Task> leader = group.leader();
  const int64_t age = MonotonicNow() - (leader ? leader->start_time() : task.start_time());
  acct_v3 record{};
  record.ac_version = kVersion | ACCT_BYTEORDER;
  if (!group.has_execed.load()) record.ac_flag |= AFORK;
  if (WIFSIGNALED(status)) record.ac_flag |= AXSIG;
  if (RefPtr<Session> session = group.session()) {
    if (RefPtr<Terminal> terminal = session->terminal())
      record.ac_tty = static_cast<uint16_t>(terminal->device());
  }
  record.ac_exitcode = static_cast<uint32_t>(status);
  record.ac_uid = task.creds().ruid;
  record.ac_gid = task.creds().rgid;
  record.ac_btime = static_cast<uint32_t>((ClockNow(CLOCK_REALTIME) - age) / kNanosecondsPerSecond);
  record.ac_etime = static_cast<float>(age / kTick);
  record.ac_utime = Compress(static_cast<uint64_t>(usage.user / kTick));
  record.ac_stime = Compress(static_cast<uint64_t>(usage.system / kTick));
  record.ac_mem = Compress(task.memory().GetUsage().virtual_bytes >> 10);
  record.ac_minflt = Compress(usage.minor_faults);
  const std::string name = task.name();
  std::memcpy(record.ac_comm, name.data(), std::min(name.size(), sizeof(record.ac_comm) - 1));
  return record;
}

}  // namespace

void SetAccountingFile(PidNamespace& space, RefPtr<FileDescription> file) {
  const RefPtr<PidNamespace> key(&space);
  Table& table = TheTable();
  MutexLock lock(table.mu);
  if (file) {
    std::swap(table.files[key], file);  // the old one goes after the lock
  } else if (auto found = table.files.find(key); found != table.files.end()) {
    file = std::move(found->second);
    table.files.erase(found);
  }
  table.size.store(table.files.size(), std::memory_order_relaxed);
}

void AccountForProcess(Task& task) {
  if (TheTable().size.load(std::memory_order_relaxed) == 0) return;
  ThreadGroup& group = task.thread_group();
  acct_v3 record = RecordOf(task);
  for (RefPtr<PidNamespace> space(&group.pid_namespace()); space; space = space->parent()) {
    RefPtr<FileDescription> file = FileOf(*space);
    if (!file) continue;
    RefPtr<ThreadGroup> parent = group.parent();
    record.ac_pid = static_cast<uint32_t>(space->IdOf(group));
    record.ac_ppid = parent ? static_cast<uint32_t>(space->IdOf(*parent)) : 0;
    IoSequence from(std::as_bytes(std::span(&record, 1)));
    (void)file->Write(from);  // a full disk loses it, as acct(2) says
  }
  if (group.IsInit()) SetAccountingFile(group.pid_namespace(), nullptr);
}

}  // namespace runsc
