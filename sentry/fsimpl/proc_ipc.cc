// /proc/sysvipc and the sysctls of System V IPC and POSIX message queues, of the reader's IPC namespace; and
// those of asynchronous I/O.
#include "sentry/fsimpl/aio_context.h"
#include "sentry/fsimpl/mqueue.h"
#include "sentry/fsimpl/proc_internal.h"
#include "sentry/ipc/ipc_namespace.h"

namespace runsc {
namespace {

constexpr const char* kMessageHeading =
    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
    "rtime  "
    "    ctime\n";
constexpr const char* kSemaphoreHeading =
    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
constexpr const char* kSharedHeading =
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime "
    "     "
    "dtime      ctime                   rss                  swap\n";

std::string MessageText(ProcFilesystem& filesystem) {
  TextBuilder text;
  text.Append(kMessageHeading);
  PidNamespace& pids = filesystem.pid_namespace();
  for (const auto& [id, queue] : filesystem.kernel().current_ipc_namespace()->message_queues().List()) {
    const ipc_perm perm = VisibleIpcPerm(queue.msg_perm, ReaderNamespace());
    text.Add("{:10} {:10}  {:4o}  {:10} {:10} {:5} {:5} {:5} {:5} {:5} {:5} {:10} {:10} {:10}\n", perm.__key,
             id, perm.mode, queue.__msg_cbytes, queue.msg_qnum, pids.FromRoot(queue.msg_lspid),
             pids.FromRoot(queue.msg_lrpid), perm.uid, perm.gid, perm.cuid, perm.cgid, queue.msg_stime,
             queue.msg_rtime, queue.msg_ctime);
  }
  return text.Take();
}

std::string SemaphoreText(ProcFilesystem& filesystem) {
  TextBuilder text;
  text.Append(kSemaphoreHeading);
  for (const auto& [id, set] : filesystem.kernel().current_ipc_namespace()->semaphores().List()) {
    const ipc_perm perm = VisibleIpcPerm(set.sem_perm, ReaderNamespace());
    text.Add("{:10} {:10}  {:4o} {:10} {:5} {:5} {:5} {:5} {:10} {:10}\n", perm.__key, id, perm.mode,
             set.sem_nsems, perm.uid, perm.gid, perm.cuid, perm.cgid, set.sem_otime, set.sem_ctime);
  }
  return text.Take();
}

std::string SharedText(ProcFilesystem& filesystem) {
  TextBuilder text;
  text.Append(kSharedHeading);
  PidNamespace& pids = filesystem.pid_namespace();
  for (const SharedMemory::Listed& listed :
       filesystem.kernel().current_ipc_namespace()->shared_memory().List()) {
    const shmid_ds& segment = listed.status.description;
    const ipc_perm perm = VisibleIpcPerm(segment.shm_perm, ReaderNamespace());
    text.Add("{:10} {:10}  {:4o} {:21} {:5} {:5}  {:5} {:5} {:5} {:5} {:5} {:10} {:10} {:10} {:21} {:21}\n",
             perm.__key, listed.status.id, perm.mode, segment.shm_segsz, pids.FromRoot(segment.shm_cpid),
             pids.FromRoot(segment.shm_lpid), segment.shm_nattch, perm.uid, perm.gid, perm.cuid, perm.cgid,
             segment.shm_atime, segment.shm_dtime, segment.shm_ctime, listed.resident_bytes, 0);
  }
  return text.Take();
}

// Non-negative decimal numbers with white space between them. EINVAL.
Result<std::vector<uint64_t>> ParseNumbers(std::string_view text) {
  std::vector<uint64_t> numbers;
  constexpr std::string_view kSpace = " \t\n";
  while (true) {
    size_t start = text.find_first_not_of(kSpace);
    if (start == std::string_view::npos || text[start] == '\0') return numbers;
    text.remove_prefix(start);
    std::string_view word = text.substr(0, text.find_first_of(kSpace));
    uint64_t number = 0;
    for (char c : word) {
      if (c == '\0') break;
      if (c < '0' || c > '9') return Errno(EINVAL);
      if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, c - '0', &number))
        return Errno(EINVAL);
    }
    numbers.push_back(number);
    text.remove_prefix(word.size());
  }
}

struct Setting {
  const char* name;
  std::vector<uint64_t> (*get)(IpcNamespace& ipc);
  void (*set)(IpcNamespace& ipc, const std::vector<uint64_t>& values);  // as many as get() gives
  uint64_t maximum;
};

constexpr uint64_t kIntMax = INT32_MAX;
constexpr Setting kSettings[] = {
    {"shmmax", [](IpcNamespace& ipc) { return std::vector{ipc.shared_memory().limits.max_bytes.load()}; },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) { ipc.shared_memory().limits.max_bytes = v[0]; },
     UINT64_MAX},
    {"shmall", [](IpcNamespace& ipc) { return std::vector{ipc.shared_memory().limits.all_pages.load()}; },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) { ipc.shared_memory().limits.all_pages = v[0]; },
     UINT64_MAX},
    {"shmmni",
     [](IpcNamespace& ipc) { return std::vector<uint64_t>(1, ipc.shared_memory().limits.segments.load()); },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       ipc.shared_memory().limits.segments = static_cast<int>(v[0]);
     },
     kIpcMaxObjects},
    {"shm_rmid_forced",
     [](IpcNamespace& ipc) {
       return std::vector<uint64_t>(1, ipc.shared_memory().limits.remove_forced.load());
     },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       ipc.shared_memory().limits.remove_forced = v[0] != 0;
     },
     1},
    {"msgmax",
     [](IpcNamespace& ipc) { return std::vector<uint64_t>(1, ipc.message_queues().limits.max_bytes.load()); },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       ipc.message_queues().limits.max_bytes = static_cast<int>(v[0]);
     },
     kIntMax},
    {"msgmnb",
     [](IpcNamespace& ipc) {
       return std::vector<uint64_t>(1, ipc.message_queues().limits.queue_bytes.load());
     },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       ipc.message_queues().limits.queue_bytes = static_cast<int>(v[0]);
     },
     kIntMax},
    {"msgmni",
     [](IpcNamespace& ipc) { return std::vector<uint64_t>(1, ipc.message_queues().limits.queues.load()); },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       ipc.message_queues().limits.queues = static_cast<int>(v[0]);
     },
     kIpcMaxObjects},
    {"sem",
     [](IpcNamespace& ipc) {
       const SemaphoreLimits& limits = ipc.semaphores().limits;
       std::vector<uint64_t> values;
       for (const std::atomic<int>* limit :
            {&limits.per_set, &limits.total, &limits.operations, &limits.sets})
         values.push_back(static_cast<uint64_t>(limit->load()));
       return values;
     },
     [](IpcNamespace& ipc, const std::vector<uint64_t>& v) {
       SemaphoreLimits& limits = ipc.semaphores().limits;
       limits.per_set = static_cast<int>(std::min<uint64_t>(v[0], 65536));
       limits.total = static_cast<int>(v[1]);
       limits.operations = static_cast<int>(std::min<uint64_t>(v[2], 65536));
       limits.sets = static_cast<int>(std::min<uint64_t>(v[3], kIpcMaxObjects));
     },
     kIntMax},
};

Result<void> Write(const Setting& setting, Kernel& kernel, std::string_view text) {
  RefPtr<IpcNamespace> ipc = kernel.current_ipc_namespace();
  ASSIGN_OR_RETURN(std::vector<uint64_t> values, ParseNumbers(text));
  std::vector<uint64_t> all = setting.get(*ipc);
  if (values.empty() || values.size() > all.size()) return Errno(EINVAL);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > setting.maximum) return Errno(EINVAL);
    all[i] = values[i];
  }
  setting.set(*ipc, all);
  return Ok();
}

void AddAioSettings(ProcFilesystem& filesystem, StaticDirectory& directory) {
  directory.Add("aio-nr", MakeRef<FunctionInode>(filesystem, 0444, []() -> Result<std::string> {
                  return fmt::format("{}\n", AioContext::total_requests.load());
                }));
  auto reader = []() -> Result<std::string> { return fmt::format("{}\n", AioContext::max_requests.load()); };
  auto writer = [](std::string_view text) -> Result<void> {
    ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
    if (value < 0) return Errno(EINVAL);
    AioContext::max_requests = static_cast<uint64_t>(value);
    return Ok();
  };
  directory.Add("aio-max-nr", MakeRef<FunctionInode>(filesystem, 0644, reader, writer));
}

struct QueueSetting {
  const char* name;
  std::atomic<int> MqueueFilesystem::Limits::*limit;
  int minimum, maximum;
};
constexpr QueueSetting kQueueSettings[] = {
    {"queues_max", &MqueueFilesystem::Limits::queues, 0, INT32_MAX},
    {"msg_max", &MqueueFilesystem::Limits::messages, 1, MqueueFilesystem::kHardMessages},
    {"msg_default", &MqueueFilesystem::Limits::default_messages, 1, MqueueFilesystem::kHardMessages},
    {"msgsize_max", &MqueueFilesystem::Limits::message_size, 128, MqueueFilesystem::kHardMessageSize},
    {"msgsize_default", &MqueueFilesystem::Limits::default_message_size, 128,
     MqueueFilesystem::kHardMessageSize},
};

void AddQueueSettings(ProcFilesystem& filesystem, StaticDirectory& directory) {
  Kernel& kernel = filesystem.kernel();
  for (const QueueSetting& setting : kQueueSettings) {
    auto limit = [&setting, &kernel]() -> std::atomic<int>& {
      return MqueueFilesystemOf(*kernel.current_ipc_namespace()).limits.*setting.limit;
    };
    auto reader = [limit]() -> Result<std::string> { return fmt::format("{}\n", limit().load()); };
    auto writer = [limit, &setting](std::string_view text) -> Result<void> {
      ASSIGN_OR_RETURN(int64_t value, ParseNumber(text));
      if (value < setting.minimum || value > setting.maximum) return Errno(EINVAL);
      limit() = static_cast<int>(value);
      return Ok();
    };
    directory.Add(setting.name, MakeRef<FunctionInode>(filesystem, 0644, reader, writer));
  }
}

}  // namespace

void AddIpcFiles(ProcFilesystem& filesystem, StaticDirectory& root) {
  StaticDirectory& sysvipc = root.Subdirectory("sysvipc");
  auto add = [&](const char* name, std::string (*text)(ProcFilesystem&)) {
    sysvipc.Add(name, MakeRef<FunctionInode>(filesystem, 0444, [&filesystem, text] {
                  return Result<std::string>(text(filesystem));
                }));
  };
  add("msg", MessageText);
  add("sem", SemaphoreText);
  add("shm", SharedText);
  StaticDirectory& sysctls = root.Subdirectory("sys").Subdirectory("kernel");
  Kernel& kernel = filesystem.kernel();
  for (const Setting& setting : kSettings) {
    auto reader = [&setting, &kernel]() -> Result<std::string> {
      return fmt::format("{}\n", fmt::join(setting.get(*kernel.current_ipc_namespace()), "\t"));
    };
    auto writer = [&setting, &kernel](std::string_view text) { return Write(setting, kernel, text); };
    sysctls.Add(setting.name, MakeRef<FunctionInode>(filesystem, 0644, reader, writer));
  }
  AddAioSettings(filesystem, root.Subdirectory("sys").Subdirectory("fs"));
  AddQueueSettings(filesystem, root.Subdirectory("sys").Subdirectory("fs/mqueue"));
}

}  // namespace runsc
