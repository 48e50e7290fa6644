// /proc/<pid> and /proc/<pid>/task/<tid>: their directories and the small files in them.
#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "sentry/fsimpl/proc_internal.h"

namespace runsc {
namespace {

constexpr unsigned kPartRoot = 0, kPartTask = 4;

// --- texts ---

constexpr uint64_t kMaxArguments = 32 << 20;

Result<std::string> ReadRange(MemoryManager& memory, UserAddr start, UserAddr end) {
  if (end <= start) return std::string();
  std::string text(std::min(end - start, kMaxArguments), '\0');
  text.resize(memory.CopyInForced(start, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<std::string> CmdlineText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string();
  MemoryLayout layout = memory->GetLayout();
  ASSIGN_OR_RETURN(std::string text, ReadRange(*memory, layout.args_start, layout.args_end));
  // setproctitle(3): a title that has overwritten the last NUL goes on over the environment.
  if (!text.empty() && text.back() != '\0') {
    ASSIGN_OR_RETURN(std::string rest, ReadRange(*memory, layout.args_end, layout.env_end));
    text += rest;
    text.resize(std::min(text.size(), text.find('\0')));
  }
  return text;
}

Result<std::string> EnvironText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string();
  MemoryLayout layout = memory->GetLayout();
  return ReadRange(*memory, layout.env_start, layout.env_end);
}

Result<std::string> AuxvText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string();
  std::vector<uint64_t> auxv = memory->GetLayout().auxv;
  return std::string(reinterpret_cast<const char*>(auxv.data()), auxv.size() * sizeof(uint64_t));
}

Result<std::string> CommText(ProcFilesystem& filesystem, Task& task) { return task.name() + "\n"; }

Result<std::string> LimitsText(ProcFilesystem& filesystem, Task& task) {
  static constexpr struct {
    const char* name;
    const char* unit;
  } kNames[ResourceLimits::kCount] = {
      {"Max cpu time", "seconds"},    {"Max file size", "bytes"},      {"Max data size", "bytes"},
      {"Max stack size", "bytes"},    {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
      {"Max processes", "processes"}, {"Max open files", "files"},     {"Max locked memory", "bytes"},
      {"Max address space", "bytes"}, {"Max file locks", "locks"},     {"Max pending signals", "signals"},
      {"Max msgqueue size", "bytes"}, {"Max nice priority", ""},       {"Max realtime priority", ""},
      {"Max realtime timeout", "us"},
  };
  auto show = [](uint64_t value) {
    return value == RLIM_INFINITY ? std::string("unlimited") : fmt::format("{}", value);
  };
  TextBuilder text;
  text.Add("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
  auto limits = task.thread_group().limits().GetAll();
  for (int i = 0; i < ResourceLimits::kCount; ++i) {
    text.Add("{:<25} {:<20} {:<20} {:<10}\n", kNames[i].name, show(limits[i].current),
             show(limits[i].maximum), kNames[i].unit);
  }
  return text.Take();
}

Result<std::string> CgroupText(ProcFilesystem& filesystem, Task& task) { return std::string("0::/\n"); }
Result<std::string> ZeroText(ProcFilesystem& filesystem, Task& task) { return std::string("0\n"); }
Result<std::string> BareZeroText(ProcFilesystem& filesystem, Task& task) { return std::string("0"); }
Result<std::string> LoginUidText(ProcFilesystem& filesystem, Task& task) {
  return std::to_string(task.login_uid.load());
}
Result<std::string> LoginSessionText(ProcFilesystem& filesystem, Task& task) {
  return std::to_string(task.login_session.load());
}
Result<std::string> CoredumpFilterText(ProcFilesystem& filesystem, Task& task) {
  return std::string("00000033\n");
}
Result<std::string> CpusetText(ProcFilesystem& filesystem, Task& task) { return std::string("/\n"); }

Result<std::string> PersonalityText(ProcFilesystem& filesystem, Task& task) {
  return fmt::format("{:08x}\n", static_cast<unsigned>(task.personality.load()));
}

Result<std::string> TimerSlackText(ProcFilesystem& filesystem, Task& task) {
  return fmt::format("{}\n", task.timer_slack.load());
}

Result<std::string> TimeOffsetsText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<TimeNamespace> space = task.GetTimeNamespace(true);
  if (!space) return Errno(ESRCH);
  const TimeOffsets offsets = space->offsets();
  TextBuilder text;
  for (auto [name, offset] : {std::pair("monotonic", offsets.monotonic), {"boottime", offsets.boottime}}) {
    const timespec value = ToTimespec(offset);
    text.Add("{:<10} {:>10} {:>9}\n", name, value.tv_sec, value.tv_nsec);
  }
  return text.Take();
}

Result<std::string> OomScoreText(ProcFilesystem& filesystem, Task& task) {
  // oom_badness(): thousandths of memory used, moved by oom_score_adj.
  uint64_t total = std::max<uint64_t>(filesystem.kernel().memory_file().limit(), 1);
  RefPtr<MemoryManager> memory = task.GetMemory();
  int64_t points = memory ? static_cast<int64_t>(memory->GetUsage().resident_bytes / (total / 1000 + 1)) : 0;
  int64_t adjustment = task.thread_group().oom_score_adj.load();
  if (adjustment == -1000) return std::string("0\n");
  return fmt::format("{}\n", std::max<int64_t>(0, (1000 + points + adjustment) * 2 / 3));
}

Result<std::string> OomScoreAdjText(ProcFilesystem& filesystem, Task& task) {
  return fmt::format("{}\n", task.thread_group().oom_score_adj.load());
}

Result<std::string> OomAdjText(ProcFilesystem& filesystem, Task& task) {
  int value = task.thread_group().oom_score_adj.load();
  return fmt::format("{}\n", value == 1000 ? 15 : value * 17 / 1000);
}

// Bytes are not counted a task.
Result<std::string> IoText(ProcFilesystem& filesystem, Task& task) {
  return std::string(
      "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
}

Result<std::string> SchedText(ProcFilesystem& filesystem, Task& task) {
  CpuUsage usage = task.GetCpuUsage();
  TextBuilder text;
  text.Add("{} ({}, #threads: {})\n{}\n", task.name(), filesystem.pid_namespace().IdOf(task),
           task.thread_group().task_count(), std::string(67, '-'));
  int64_t total = usage.user + usage.system;
  text.Add("{:<45}:{:>14}.{:06}\n", "se.sum_exec_runtime", total / 1000000, total % 1000000);
  text.Add("{:<45}:{:>21}\n", "nr_switches", usage.voluntary_switches);
  text.Add("{:<45}:{:>21}\n", "nr_voluntary_switches", usage.voluntary_switches);
  text.Add("{:<45}:{:>21}\n", "nr_involuntary_switches", 0);
  text.Add("{:<45}:{:>21}\n", "policy", 0);
  text.Add("{:<45}:{:>21}\n", "prio", 120 + task.nice.load());
  return text.Take();
}

Result<std::string> SchedstatText(ProcFilesystem& filesystem, Task& task) {
  CpuUsage usage = task.GetCpuUsage();
  return fmt::format("{} 0 {}\n", usage.user + usage.system, usage.voluntary_switches);
}

Result<std::string> SyscallText(ProcFilesystem& filesystem, Task& task) {
  if (task.StateLetter() == 'R') return std::string("running\n");
  return fmt::format("{} 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", task.current_syscall.load());
}

Result<std::string> ChildrenText(ProcFilesystem& filesystem, Task& task) {
  std::string text;
  if (task.thread_group().leader().get() != &task) return text;
  for (const RefPtr<ThreadGroup>& child : task.thread_group().Children())
    text += fmt::format("{} ", filesystem.pid_namespace().IdOf(*child));
  return text;
}

Result<std::string> ProcessStat(ProcFilesystem& filesystem, Task& task) {
  return TaskStatText(filesystem, task, true);
}
Result<std::string> ThreadStat(ProcFilesystem& filesystem, Task& task) {
  return TaskStatText(filesystem, task, false);
}

// --- writers ---

using TaskWriter = Result<void> (*)(Task& task, std::string_view text);

Result<void> WriteComm(Task& task, std::string_view text) {
  Task* writer = Task::CurrentOrNull();
  if (writer == nullptr || &writer->thread_group() != &task.thread_group()) return Errno(EINVAL);
  text = text.substr(0, text.find_first_of(std::string_view("\0\n", 2)));
  task.SetName(text.substr(0, 15));
  return Ok();
}

Result<void> SetOomScoreAdj(Task& task, int64_t value) {
  if (value < -1000 || value > 1000) return Errno(EINVAL);
  Task* writer = Task::CurrentOrNull();
  std::atomic<int>& score = task.thread_group().oom_score_adj;
  if (value < score.load() && writer != nullptr && !writer->creds().HasCapability(CAP_SYS_RESOURCE))
    return Errno(EACCES);
  score.store(static_cast<int>(value));
  return Ok();
}

Result<void> WriteOomScoreAdj(Task& task, std::string_view text) {
  ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
  return SetOomScoreAdj(task, value);
}

Result<void> WriteOomAdj(Task& task, std::string_view text) {
  ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
  if (value < -17 || value > 15) return Errno(EINVAL);
  return SetOomScoreAdj(task, value == 15 ? 1000 : value * 1000 / 17);
}

Result<void> WriteTimerSlack(Task& task, std::string_view text) {
  ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
  if (value < 0) return Errno(EINVAL);
  task.timer_slack.store(value != 0 ? static_cast<uint64_t>(value) : 50000);
  return Ok();
}

// Linux: proc_loginuid_write(), audit_set_loginuid(). pam_loginuid(8) lets nobody in if it fails.
Result<void> WriteLoginUid(Task& task, std::string_view text) {
  Task* writer = Task::CurrentOrNull();
  if (writer != &task) return Errno(EPERM);
  ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
  if (value < 0 || value > UINT32_MAX) return Errno(EINVAL);
  constexpr uint32_t kUnset = UINT32_MAX;
  if (task.login_uid.load() != kUnset && !task.creds().HasCapability(CAP_AUDIT_CONTROL)) return Errno(EPERM);
  static std::atomic<uint32_t> last_session{0};
  const auto uid = static_cast<uint32_t>(value);
  uint32_t session = kUnset;
  if (uid != kUnset) {
    do {
      session = last_session.fetch_add(1, std::memory_order_relaxed) + 1;
    } while (session == kUnset);
  }
  task.login_session.store(session);
  task.login_uid.store(uid);
  return Ok();
}

// 1 to 5: what is to be forgotten of the pages (proc(5)); nobody has remembered it.
Result<void> WriteClearRefs(Task& task, std::string_view text) {
  ASSIGN_OR_RETURN(int64_t what, ParseNumber(text));
  return what >= 1 && what <= 5 ? Ok() : Result<void>(Errno(EINVAL));
}

// Linux: timens_offsets_write().
Result<void> WriteTimeOffsets(Task& task, std::string_view text) {
  if (text.size() >= kPageSize) return Errno(EINVAL);
  text = text.substr(0, text.find('\0'));
  TimeNamespace::Change changes[2];
  size_t count = 0;
  do {
    const size_t end = std::min(text.find('\n'), text.size());
    char clock[10];
    unsigned long nanoseconds = 0;
    TimeNamespace::Change& change = changes[count];
    long long seconds = 0;
    if (std::sscanf(std::string(text.substr(0, end)).c_str(), "%9s %lld %lu", clock, &seconds,
                    &nanoseconds) != 3 ||
        nanoseconds >= static_cast<unsigned long>(kNanosecondsPerSecond))
      return Errno(EINVAL);
    const std::string_view name(clock);
    if (name == "monotonic" || name == "1") {
      change.clock = CLOCK_MONOTONIC;
    } else if (name == "boottime" || name == "7") {
      change.clock = CLOCK_BOOTTIME;
    } else {
      return Errno(EINVAL);
    }
    change.seconds = seconds;
    change.nanoseconds = static_cast<int64_t>(nanoseconds);
    ++count;
    text.remove_prefix(std::min(end + 1, text.size()));
  } while (!text.empty() && count < std::size(changes));
  Task* writer = Task::CurrentOrNull();
  RefPtr<TimeNamespace> space = task.GetTimeNamespace(true);
  if (!space) return Errno(ESRCH);
  if (writer != nullptr && !writer->creds().HasCapabilityIn(*space->user_ns(), CAP_SYS_TIME))
    return Errno(EPERM);
  return space->Set(changes, count);
}

Result<void> AcceptWrite(Task& task, std::string_view text) { return Ok(); }

// --- the table ---

struct TaskFile {
  const char* name;
  uint32_t mode;
  TaskText text;
  TaskWriter writer = nullptr;
  bool checked = false;  // CheckTaskAccess when it is opened
  enum { kBoth, kProcess, kThread } where = kBoth;
  bool polls_mounts = false;
};

constexpr TaskFile kTaskFiles[] = {
    {"status", 0444, TaskStatusText},
    {"personality", 0400, PersonalityText, nullptr, true},
    {"limits", 0444, LimitsText},
    {"sched", 0644, SchedText, AcceptWrite},
    {"comm", 0644, CommText, WriteComm},
    {"syscall", 0400, SyscallText, nullptr, true},
    {"cmdline", 0444, CmdlineText},
    {"stat", 0444, ProcessStat, nullptr, false, TaskFile::kProcess},
    {"stat", 0444, ThreadStat, nullptr, false, TaskFile::kThread},
    {"statm", 0444, TaskStatmText},
    {"maps", 0444, TaskMapsText, nullptr, true},
    {"smaps", 0444, TaskSmapsText, nullptr, true},
    {"smaps_rollup", 0444, TaskSmapsRollupText, nullptr, true, TaskFile::kProcess},
    {"environ", 0400, EnvironText, nullptr, true},
    {"auxv", 0400, AuxvText, nullptr, true},
    {"mounts", 0444, TaskMountsText, nullptr, false, TaskFile::kBoth, true},
    {"mountinfo", 0444, TaskMountInfoText, nullptr, false, TaskFile::kBoth, true},
    {"mountstats", 0400, TaskMountStatsText, nullptr, false, TaskFile::kProcess},
    {"wchan", 0444, BareZeroText},
    {"schedstat", 0444, SchedstatText},
    {"cpuset", 0444, CpusetText},
    {"cgroup", 0444, CgroupText},
    {"oom_score", 0444, OomScoreText},
    {"oom_adj", 0644, OomAdjText, WriteOomAdj},
    {"oom_score_adj", 0644, OomScoreAdjText, WriteOomScoreAdj},
    {"loginuid", 0644, LoginUidText, WriteLoginUid},
    {"sessionid", 0444, LoginSessionText},
    {"coredump_filter", 0644, CoredumpFilterText, AcceptWrite, false, TaskFile::kProcess},
    {"io", 0400, IoText, nullptr, true},
    {"timerslack_ns", 0666, TimerSlackText, WriteTimerSlack, false, TaskFile::kProcess},
    {"clear_refs", 0200, ZeroText, WriteClearRefs, false, TaskFile::kProcess},
    {"timens_offsets", 0644, TimeOffsetsText, WriteTimeOffsets, false, TaskFile::kProcess},
    {"children", 0444, ChildrenText, nullptr, false, TaskFile::kThread},
};

class TaskTextInode final : public TaskInode<TextInode> {
 public:
  TaskTextInode(ProcFilesystem& filesystem, RefPtr<Task> task, const TaskFile& file, uint64_t ino)
      : TaskInode<TextInode>(filesystem, std::move(task), file.mode, Uid{0}, Gid{0}, ino), file_(file) {}
  Result<std::string> Generate() override {
    if (IsStale()) return Errno(ESRCH);
    return file_.text(proc_, *task_);
  }
  Result<void> WriteText(std::string_view text) override {
    if (file_.writer == nullptr) return Errno(EINVAL);  // Linux: a file without a write operation
    if (IsStale()) return Errno(ESRCH);
    return file_.writer(*task_, text);
  }
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    if (!file_.polls_mounts) return TaskInode<TextInode>::Open(path, options);
    return OpenMounts(path, options.flags, *task_, RefPtr<TextInode>(this));
  }
  Result<void> CheckOpen(const OpenOptions& options) override {
    return file_.checked ? CheckTaskAccess(*options.creds, *task_) : Ok();
  }

 private:
  const TaskFile& file_;
};

// cwd, root, exe.
class TaskLinkInode final : public TaskInode<SymlinkInode> {
 public:
  using Getter = Result<VfsPath> (*)(Task& task);
  TaskLinkInode(ProcFilesystem& filesystem, RefPtr<Task> task, Getter getter, uint64_t ino)
      : TaskInode<SymlinkInode>(filesystem, std::move(task), "", ino), getter_(getter) {}
  Result<std::string> ReadLink(const Credentials& creds) override {
    ASSIGN_OR_RETURN(VfsPath path, FollowLink(creds));
    return ShownPath(*task_, path);
  }
  Result<VfsPath> FollowLink(const Credentials& creds) override {
    RETURN_IF_ERROR(CheckTaskAccess(creds, *task_));
    return getter_(*task_);
  }

 private:
  const Getter getter_;
};

Result<VfsPath> CwdOf(Task& task) {
  RefPtr<FsContext> fs = task.GetFs();
  if (!fs) return Errno(ENOENT);
  return fs->Get().cwd;
}
Result<VfsPath> RootOf(Task& task) {
  RefPtr<FsContext> fs = task.GetFs();
  if (!fs) return Errno(ENOENT);
  return fs->Get().root;
}
Result<VfsPath> ExeOf(Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return Errno(ENOENT);
  RefPtr<RefCounted> file = memory->executable();
  auto* description = dynamic_cast<FileDescription*>(file.get());
  if (description == nullptr) return Errno(ENOENT);
  return description->path();
}

// /proc/<pid>/task.
class ThreadsDirectory final : public TaskInode<SyntheticDirectory> {
 public:
  ThreadsDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino)
      : TaskInode<SyntheticDirectory>(filesystem, std::move(task), 0555u, Uid{0}, Gid{0}, ino) {}
  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    pid_t id = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc() || end != name.data() + name.size() || id <= 0 || name[0] == '0')
      return Errno(ENOENT);
    RefPtr<Task> thread = proc_.pid_namespace().FindTask(id);
    if (!thread || &thread->thread_group() != &task_->thread_group()) return Errno(ENOENT);
    return RefPtr<Inode>(MakeTaskDirectory(proc_, std::move(thread), false));
  }
  Result<std::vector<SyntheticEntry>> Entries() override {
    if (IsStale()) return Errno(ENOENT);
    std::vector<pid_t> ids;
    for (const RefPtr<Task>& thread : task_->thread_group().Tasks())
      ids.push_back(proc_.pid_namespace().IdOf(*thread));
    std::sort(ids.begin(), ids.end());
    std::vector<SyntheticEntry> entries;
    for (pid_t id : ids) {
      if (id == 0) continue;
      entries.push_back(
          {fmt::format("{}", id), TaskFileIno(id, kPartTask, 0), DT_DIR, static_cast<uint64_t>(id)});
    }
    return entries;
  }
  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, TaskInode<SyntheticDirectory>::Attributes());
    attributes.nlink += task_->thread_group().task_count();
    return attributes;
  }
};

// What stands in a task's directory besides the text files.
struct SpecialEntry {
  const char* name;
  uint8_t type;
  bool process_only;
  RefPtr<SyntheticInode> (*make)(ProcFilesystem&, const RefPtr<Task>&, uint64_t ino);
};

template <TaskLinkInode::Getter getter>
RefPtr<SyntheticInode> MakeLink(ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
  return MakeRef<TaskLinkInode>(filesystem, task, getter, ino);
}

template <UserNamespace::Kind kind>
RefPtr<SyntheticInode> MakeIdMap(ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
  return MakeIdMapInode(filesystem, task, kind, ino);
}

constexpr SpecialEntry kSpecialEntries[] = {
    {"task", DT_DIR, true,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return RefPtr<SyntheticInode>(MakeRef<ThreadsDirectory>(filesystem, task, ino));
     }},
    {"fd", DT_DIR, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return MakeFdDirectory(filesystem, task, false, ino);
     }},
    {"fdinfo", DT_DIR, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return MakeFdDirectory(filesystem, task, true, ino);
     }},
    {"ns", DT_DIR, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return MakeNamespaceDirectory(filesystem, task, ino);
     }},
    {"net", DT_DIR, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) { return filesystem.net(); }},
    {"mem", DT_REG, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return MakeMemInode(filesystem, task, ino);
     }},
    {"uid_map", DT_REG, false, MakeIdMap<UserNamespace::Kind::kUser>},
    {"gid_map", DT_REG, false, MakeIdMap<UserNamespace::Kind::kGroup>},
    {"projid_map", DT_REG, false, MakeIdMap<UserNamespace::Kind::kProject>},
    {"setgroups", DT_REG, false,
     [](ProcFilesystem& filesystem, const RefPtr<Task>& task, uint64_t ino) {
       return MakeIdMapInode(filesystem, task, std::nullopt, ino);
     }},
    {"cwd", DT_LNK, false, MakeLink<CwdOf>},
    {"root", DT_LNK, false, MakeLink<RootOf>},
    {"exe", DT_LNK, false, MakeLink<ExeOf>},
};

class TaskDirectory final : public TaskInode<SyntheticDirectory> {
 public:
  TaskDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool is_process, uint64_t ino)
      : TaskInode<SyntheticDirectory>(filesystem, std::move(task), 0555u, Uid{0}, Gid{0}, ino),
        is_process_(is_process) {}
  bool is_process() const { return is_process_; }
  RefPtr<ThreadGroup> process() const { return RefPtr<ThreadGroup>(&task_->thread_group()); }

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    if (IsStale()) return Errno(ENOENT);
    unsigned index = 1;
    for (const SpecialEntry& entry : kSpecialEntries) {
      if (name == entry.name && Shows(entry)) return RefPtr<Inode>(entry.make(proc_, task_, Ino(index)));
      ++index;
    }
    for (const TaskFile& file : kTaskFiles) {
      if (name == file.name && Shows(file))
        return RefPtr<Inode>(MakeRef<TaskTextInode>(proc_, task_, file, Ino(index)));
      ++index;
    }
    return Errno(ENOENT);
  }

  Result<std::vector<SyntheticEntry>> Entries() override {
    if (IsStale()) return Errno(ENOENT);
    std::vector<SyntheticEntry> entries;
    unsigned index = 1;
    for (const SpecialEntry& entry : kSpecialEntries) {
      if (Shows(entry)) entries.push_back({entry.name, Ino(index), entry.type, index});
      ++index;
    }
    for (const TaskFile& file : kTaskFiles) {
      if (Shows(file)) entries.push_back({file.name, Ino(index), DT_REG, index});
      ++index;
    }
    return entries;
  }

  Result<InodeAttributes> Attributes() override {
    ASSIGN_OR_RETURN(InodeAttributes attributes, TaskInode<SyntheticDirectory>::Attributes());
    attributes.nlink = is_process_ ? 9 : 7;
    return attributes;
  }

 private:
  bool Shows(const SpecialEntry& entry) const { return is_process_ || !entry.process_only; }
  bool Shows(const TaskFile& file) const {
    return file.where == TaskFile::kBoth || (file.where == TaskFile::kProcess) == is_process_;
  }
  uint64_t Ino(unsigned index) const {
    return TaskFileIno(task_->root_tid(), is_process_ ? kPartRoot : kPartTask, index);
  }
  const bool is_process_;
};

}  // namespace

RefPtr<SyntheticInode> MakeTaskDirectory(ProcFilesystem& filesystem, RefPtr<Task> task, bool is_process) {
  uint64_t ino = TaskFileIno(filesystem.pid_namespace().IdOf(*task), is_process ? kPartRoot : kPartTask, 0);
  return MakeRef<TaskDirectory>(filesystem, std::move(task), is_process, ino);
}

Result<RefPtr<ThreadGroup>> ProcessOfProcDirectory(FileDescription& file) {
  RefPtr<Inode> inode = file.inode();
  auto* directory = dynamic_cast<TaskDirectory*>(inode.get());
  if (directory == nullptr || !directory->is_process()) return Errno(EBADF);
  return directory->process();
}

std::string ShownPath(const Task& target, const VfsPath& path) {
  // A file without a place in a tree has its whole name in its dentry.
  if (!path.dentry->IsRoot() && !path.dentry->parent()) {
    std::string name = path.dentry->name();
    // memfd_create(2), shared memory: files of a tmpfs that never had a name there.
    if (name[0] == '/') name += " (deleted)";
    return name;
  }
  RefPtr<FsContext> fs = target.GetFs();
  Task* reader = Task::CurrentOrNull();
  if (reader != nullptr) fs = reader->GetFs();
  if (!fs) return "(unreachable)";
  FsContext::View view = fs->Get();
  return MountNamespace::PathText(path, view.root);
}

}  // namespace runsc
