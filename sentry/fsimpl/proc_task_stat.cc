// /proc/<pid>/{stat,statm,status}: proc(5).
#include <sched.h>

#include <algorithm>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/kernel/scheduling.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

constexpr int64_t kNanosecondsPerTick = 10'000'000;  // USER_HZ is 100

const char* StateName(char state) {
  switch (state) {
    case 'R':
      return "R (running)";
    case 'S':
      return "S (sleeping)";
    case 'D':
      return "D (disk sleep)";
    case 'T':
      return "T (stopped)";
    case 't':
      return "t (tracing stop)";
    case 'Z':
      return "Z (zombie)";
    default:
      return "X (dead)";
  }
}

struct SignalMasks {
  uint64_t ignored = 0, caught = 0;
};
SignalMasks MasksOf(const ThreadGroup& group) {
  SignalMasks masks;
  RefPtr<SignalHandlers> handlers = group.handlers();
  if (!handlers) return masks;
  for (int signal = 1; signal <= kSignalMax; ++signal) {
    SignalAction action = handlers->Get(signal);
    if (action.IsIgnored()) {
      masks.ignored |= SignalSet::Of(signal).bits();
    } else if (!action.IsDefault()) {
      masks.caught |= SignalSet::Of(signal).bits();
    }
  }
  return masks;
}

pid_t ParentPid(ProcFilesystem& filesystem, const ThreadGroup& group) {
  RefPtr<ThreadGroup> parent = group.parent();
  return parent ? filesystem.pid_namespace().IdOf(*parent) : 0;
}

std::string CpuList(uint64_t mask, unsigned count) {
  std::string list;
  for (unsigned cpu = 0; cpu < count && cpu < 64; ++cpu) {
    if ((mask >> cpu & 1) == 0) continue;
    unsigned last = cpu;
    while (last + 1 < count && last + 1 < 64 && (mask >> (last + 1) & 1) != 0) ++last;
    if (!list.empty()) list += ',';
    list += last == cpu ? fmt::format("{}", cpu) : fmt::format("{}-{}", cpu, last);
    cpu = last;
  }
  return list;
}

// proc(5), "priority": negative for real-time policies.
int ShownPriority(const Task& task) {
  const Scheduling scheduling = GetScheduling(task);
  if (scheduling.policy == SCHED_DEADLINE) return -101;
  return scheduling.priority != 0 ? -1 - scheduling.priority : 20 + task.nice.load();
}

}  // namespace

Result<std::string> TaskStatText(ProcFilesystem& filesystem, Task& task, bool is_process) {
  PidNamespace& pids = filesystem.pid_namespace();
  ThreadGroup& group = task.thread_group();
  bool may_look = true;
  if (Task* reader = Task::CurrentOrNull()) may_look = CheckTaskAccess(reader->creds(), task).ok();

  pid_t process_group = 0, session = 0, foreground = -1;
  uint64_t tty = 0;
  if (RefPtr<ProcessGroup> pgrp = group.process_group()) process_group = pids.IdOf(*pgrp);
  if (RefPtr<Session> owner = group.session()) {
    session = pids.IdOf(*owner);
    if (RefPtr<Terminal> terminal = owner->terminal()) {
      tty = terminal->device();
      foreground = terminal->ForegroundGroup(task).value_or(-1);
    }
  }
  RefPtr<MemoryManager> memory = task.GetMemory();
  MemoryManager::Usage usage;
  MemoryLayout layout;
  if (memory) {
    usage = memory->GetUsage();
    if (may_look) layout = memory->GetLayout();
  }
  CpuUsage cpu = is_process ? group.GetCpuUsage() : task.GetCpuUsage();
  CpuUsage children = is_process ? group.GetChildrenCpuUsage() : CpuUsage{};
  SignalMasks masks = MasksOf(group);
  uint64_t pending = task.PendingSignals().bits() & 0x7fffffff;
  constexpr uint64_t kOldSignals = 0x7fffffff;
  bool zombie = task.StateLetter() == 'Z';

  TextBuilder text;
  text.Add("{} ({}) {} {} {} {} {} {} {} ", pids.IdOf(task), task.name(), task.StateLetter(),
           ParentPid(filesystem, group), process_group, session, tty, foreground, zombie ? 4227084 : 4194304);
  text.Add("{} {} 0 0 {} {} {} {} ", cpu.minor_faults, children.minor_faults, cpu.user / kNanosecondsPerTick,
           cpu.system / kNanosecondsPerTick, children.user / kNanosecondsPerTick,
           children.system / kNanosecondsPerTick);
  text.Add("{} {} {} 0 {} {} {} {} ", ShownPriority(task), task.nice.load(),
           std::max<size_t>(group.task_count(), 1),
           std::max<int64_t>(
               0, task.start_time() - filesystem.kernel().boot_time_monotonic() + ReadersBootOffset()) /
               kNanosecondsPerTick,
           usage.virtual_bytes, usage.resident_bytes / kPageSize, group.Limit(RLIMIT_RSS));
  // kstkesp and kstkeip are 0 but for a task that is dumping core.
  text.Add("{} {} {} 0 0 ", layout.code_start.value(), layout.code_end.value(), layout.stack_start.value());
  text.Add("{} {} {} {} ", pending, task.blocked().bits() & kOldSignals, masks.ignored & kOldSignals,
           masks.caught & kOldSignals);
  const Scheduling scheduling = GetScheduling(task);
  text.Add("0 0 0 {} 0 {} {} 0 0 0 ", is_process ? group.exit_signal() : -1, scheduling.priority,
           scheduling.policy);
  text.Add("{} {} {} {} {} {} {} {}\n", layout.data_start.value(), layout.data_end.value(),
           layout.brk_start.value(), layout.args_start.value(), layout.args_end.value(),
           layout.env_start.value(), layout.env_end.value(), may_look && zombie ? group.exit_status() : 0);
  return text.Take();
}

Result<std::string> TaskStatmText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string("0 0 0 0 0 0 0\n");
  MemoryManager::Usage usage = memory->GetUsage();
  MemoryLayout layout = memory->GetLayout();
  uint64_t code = (layout.code_end - layout.code_start + kPageSize - 1) / kPageSize;
  return fmt::format("{} {} {} {} 0 {} 0\n", usage.virtual_bytes / kPageSize,
                     usage.resident_bytes / kPageSize, usage.shared_bytes / kPageSize, code,
                     (usage.data_bytes + usage.stack_bytes) / kPageSize);
}

Result<std::string> TaskStatusText(ProcFilesystem& filesystem, Task& task) {
  PidNamespace& pids = filesystem.pid_namespace();
  ThreadGroup& group = task.thread_group();
  RefPtr<const Credentials> creds = task.GetCreds();
  if (!creds) return Errno(ESRCH);
  TextBuilder text;
  // The escapes of task_state(): a name may hold a newline.
  std::string name;
  for (char c : task.name()) {
    if (c == '\n') {
      name += "\\n";
    } else if (c == '\\') {
      name += "\\\\";
    } else {
      name += c;
    }
  }
  text.Add("Name:\t{}\n", name);
  if (RefPtr<FsContext> fs = task.GetFs()) text.Add("Umask:\t{:04o}\n", fs->Get().umask);
  text.Add("State:\t{}\n", StateName(task.StateLetter()));
  RefPtr<Task> tracer = task.tracee().GetTracer();
  text.Add("Tgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t{}\n", pids.IdOf(group), pids.IdOf(task),
           ParentPid(filesystem, group), tracer ? pids.IdOf(*tracer) : 0);
  const UserNamespace& viewer = ReaderNamespace();
  text.Add("Uid:\t{}\t{}\t{}\t{}\n", viewer.VisibleUid(creds->ruid), viewer.VisibleUid(creds->euid),
           viewer.VisibleUid(creds->suid), viewer.VisibleUid(creds->fsuid));
  text.Add("Gid:\t{}\t{}\t{}\t{}\n", viewer.VisibleGid(creds->rgid), viewer.VisibleGid(creds->egid),
           viewer.VisibleGid(creds->sgid), viewer.VisibleGid(creds->fsgid));
  RefPtr<FDTable> table = task.GetFDTable();
  text.Add("FDSize:\t{}\nGroups:\t", table ? table->capacity() : 0);
  for (Gid gid : creds->groups) text.Add("{} ", viewer.VisibleGid(gid));
  text.Append(creds->groups.empty() ? " \n" : "\n");

  // Numbers from this instance's namespace down to the task's own.
  std::vector<PidNamespace*> levels;
  for (PidNamespace* level = &task.pid_namespace(); level != nullptr; level = level->parent().get()) {
    levels.insert(levels.begin(), level);
    if (level == &pids) break;
  }
  RefPtr<ProcessGroup> process_group = group.process_group();
  RefPtr<Session> session = group.session();
  text.Append("NStgid:");
  for (PidNamespace* level : levels) text.Add("\t{}", level->IdOf(group));
  text.Append("\nNSpid:");
  for (PidNamespace* level : levels) text.Add("\t{}", level->IdOf(task));
  text.Append("\nNSpgid:");
  for (PidNamespace* level : levels) text.Add("\t{}", process_group ? level->IdOf(*process_group) : 0);
  text.Append("\nNSsid:");
  for (PidNamespace* level : levels) text.Add("\t{}", session ? level->IdOf(*session) : 0);
  text.Append("\nKthread:\t0\n");

  if (RefPtr<MemoryManager> memory = task.GetMemory()) {
    MemoryManager::Usage usage = memory->GetUsage();
    MemoryLayout layout = memory->GetLayout();
    uint64_t code = layout.code_end - layout.code_start;
    uint64_t anonymous =
        usage.resident_bytes > usage.shared_bytes ? usage.resident_bytes - usage.shared_bytes : 0;
    auto line = [&text](const char* key, uint64_t bytes) { text.Add("{}:\t{:>8} kB\n", key, bytes >> 10); };
    line("VmPeak", std::max(usage.peak_virtual_bytes, usage.virtual_bytes));
    line("VmSize", usage.virtual_bytes);
    line("VmLck", usage.locked_bytes);
    line("VmPin", 0);
    line("VmHWM", std::max(usage.peak_resident_bytes, usage.resident_bytes));
    line("VmRSS", usage.resident_bytes);
    line("RssAnon", anonymous);
    line("RssFile", usage.resident_bytes - anonymous);
    line("RssShmem", 0);
    line("VmData", usage.data_bytes);
    line("VmStk", usage.stack_bytes);
    line("VmExe", code);
    line("VmLib", 0);
    line("VmPTE", 0);
    line("VmSwap", 0);
    line("HugetlbPages", 0);
    text.Append("CoreDumping:\t0\nTHP_enabled:\t0\n");
  }
  SignalMasks masks = MasksOf(group);
  text.Add("Threads:\t{}\n", std::max<size_t>(group.task_count(), 1));
  text.Add("SigQ:\t0/{}\n", group.Limit(RLIMIT_SIGPENDING));
  uint64_t shared = group.PendingSignals().bits();
  text.Add("SigPnd:\t{:016x}\nShdPnd:\t{:016x}\n", task.PendingSignals().bits() & ~shared, shared);
  text.Add("SigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n", task.blocked().bits(), masks.ignored,
           masks.caught);
  text.Add("CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\n",
           creds->inheritable.bits(), creds->permitted.bits(), creds->effective.bits(),
           creds->bounding.bits(), creds->ambient.bits());
  RefPtr<SeccompFilter> filter = task.seccomp().GetFilter();
  text.Add("NoNewPrivs:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\n", task.HasNoNewPrivs() ? 1 : 0,
           task.seccomp().mode(), filter ? filter->depth() : 0);
  text.Append("Speculation_Store_Bypass:\tunknown\nSpeculationIndirectBranch:\tunknown\n");
  unsigned cpus = filesystem.kernel().cpu_count();
  uint64_t all = cpus >= 64 ? ~uint64_t{0} : (uint64_t{1} << cpus) - 1;
  uint64_t affinity = task.cpu_affinity.load() & all;
  text.Add("Cpus_allowed:\t{:x}\nCpus_allowed_list:\t{}\n", affinity, CpuList(affinity, cpus));
  text.Append("Mems_allowed:\t1\nMems_allowed_list:\t0\n");
  CpuUsage cpu = task.GetCpuUsage();
  text.Add("voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t0\n", cpu.voluntary_switches);
  return text.Take();
}

}  // namespace runsc
