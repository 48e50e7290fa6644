// /proc/<pid>/{maps,smaps,smaps_rollup} and mem.
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "sentry/fsimpl/proc_internal.h"

namespace runsc {
namespace {

constexpr size_t kNameColumn = 73;

// A mapped file's place as the reader sees it; mm knows its last name only.
std::string MappingName(const Task& task, const VmaInfo& vma) {
  auto* file = dynamic_cast<FileDescription*>(vma.object.get());
  if (file == nullptr || vma.name != file->Name()) return vma.name;
  return ShownPath(task, file->path());
}

std::string MapLine(const VmaInfo& vma, std::string_view name) {
  TextBuilder line;
  line.Add("{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ", vma.range.start.value(), vma.range.end.value(),
           (vma.prot & PROT_READ) != 0 ? 'r' : '-', (vma.prot & PROT_WRITE) != 0 ? 'w' : '-',
           (vma.prot & PROT_EXEC) != 0 ? 'x' : '-', vma.shared ? 's' : 'p', vma.offset, major(vma.device),
           minor(vma.device), vma.inode_number);
  if (!name.empty()) {
    line.PadTo(kNameColumn);
    for (char c : name) {
      if (c == '\n') {
        line.Append("\\012");
      } else {
        line.Append(std::string_view(&c, 1));
      }
    }
  }
  line.Append("\n");
  return line.Take();
}

struct SmapsNumbers {
  uint64_t resident = 0, anonymous = 0, shared_clean = 0, private_dirty = 0, locked = 0;
  void Add(const VmaInfo& vma) {
    resident += vma.resident_bytes;
    anonymous += vma.anonymous_bytes;
    private_dirty += vma.anonymous_bytes;
    shared_clean += vma.resident_bytes - std::min(vma.resident_bytes, vma.anonymous_bytes);
    if (vma.locked) locked += vma.resident_bytes;
  }
};

void AddLine(TextBuilder& text, const char* key, uint64_t bytes) {
  text.Add("{:<16}{:>8} kB\n", fmt::format("{}:", key), bytes >> 10);
}

void AddUsage(TextBuilder& text, const SmapsNumbers& numbers, bool rollup) {
  AddLine(text, "Rss", numbers.resident);
  AddLine(text, "Pss", numbers.resident);
  AddLine(text, "Pss_Dirty", numbers.private_dirty);
  if (rollup) {
    AddLine(text, "Pss_Anon", numbers.anonymous);
    AddLine(text, "Pss_File", numbers.resident - std::min(numbers.resident, numbers.anonymous));
    AddLine(text, "Pss_Shmem", 0);
  }
  AddLine(text, "Shared_Clean", numbers.shared_clean);
  AddLine(text, "Shared_Dirty", 0);
  AddLine(text, "Private_Clean", 0);
  AddLine(text, "Private_Dirty", numbers.private_dirty);
  AddLine(text, "Referenced", numbers.resident);
  AddLine(text, "Anonymous", numbers.anonymous);
  for (const char* key : {"KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped",
                          "Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss"})
    AddLine(text, key, 0);
  AddLine(text, "Locked", numbers.locked);
}

// Reads and writes another task's memory at its own addresses.
class MemFile final : public FileDescription {
 public:
  MemFile(VfsPath path, int flags, RefPtr<MemoryManager> memory)
      : FileDescription(std::move(path), flags), memory_(std::move(memory)) {}

  Result<size_t> Read(IoSequence& to) override {
    uint64_t offset = offset_.load();
    ASSIGN_OR_RETURN(size_t done, PRead(to, offset));
    offset_.store(offset + done);
    return done;
  }
  Result<size_t> Write(IoSequence& from) override {
    uint64_t offset = offset_.load();
    ASSIGN_OR_RETURN(size_t done, PWrite(from, offset));
    offset_.store(offset + done);
    return done;
  }
  // Through a buffer: the two address spaces may be one.
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override {
    std::byte buffer[4096];
    size_t done = 0;
    while (!to.empty()) {
      size_t want = std::min(to.size(), sizeof(buffer));
      size_t got = memory_->CopyInForced(UserAddr(offset + done), std::span(buffer, want));
      if (got == 0) break;
      Result<size_t> moved = to.CopyOut(std::span<const std::byte>(buffer, got));
      if (!moved.ok()) return done > 0 ? Result<size_t>(done) : moved;
      done += *moved;
      if (*moved < want) break;
    }
    if (done == 0 && !to.empty()) return Errno(EIO);
    return done;
  }
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override {
    std::byte buffer[4096];
    size_t done = 0;
    while (!from.empty()) {
      Result<size_t> got = from.CopyIn(std::span(buffer));
      if (!got.ok()) return done > 0 ? Result<size_t>(done) : got;
      size_t put = memory_->CopyOutForced(UserAddr(offset + done), std::span<const std::byte>(buffer, *got));
      done += put;
      if (put < *got) return done > 0 ? Result<size_t>(done) : Result<size_t>(Errno(EIO));
    }
    return done;
  }
  Result<void> Sync(bool data_only) override { return Errno(EINVAL); }
  Result<int64_t> Seek(int64_t offset, int whence) override {
    if (whence != SEEK_SET && whence != SEEK_CUR) return Errno(EINVAL);
    // Addresses above the middle are valid offsets here, so this wraps.
    uint64_t target = static_cast<uint64_t>(offset) + (whence == SEEK_CUR ? offset_.load() : 0);
    offset_.store(target);
    return static_cast<int64_t>(target);
  }

 private:
  const RefPtr<MemoryManager> memory_;
  std::atomic<uint64_t> offset_{0};
};

class MemInode final : public TaskInode<SyntheticInode> {
 public:
  MemInode(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino)
      : TaskInode<SyntheticInode>(filesystem, std::move(task), S_IFREG | 0600u, Uid{0}, Gid{0}, ino) {}
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override {
    RETURN_IF_ERROR(CheckTaskAccess(*options.creds, *task_));
    RefPtr<MemoryManager> memory = task_->GetMemory();
    if (!memory) return Errno(ESRCH);
    return RefPtr<FileDescription>(MakeRef<MemFile>(path, options.flags, std::move(memory)));
  }
};

}  // namespace

Result<std::string> TaskMapsText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string();
  std::string text;
  for (const VmaInfo& vma : memory->Vmas(false)) text += MapLine(vma, MappingName(task, vma));
  return text;
}

Result<std::string> TaskSmapsText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return std::string();
  TextBuilder text;
  for (const VmaInfo& vma : memory->Vmas(true)) {
    text.Append(MapLine(vma, MappingName(task, vma)));
    AddLine(text, "Size", vma.range.length());
    AddLine(text, "KernelPageSize", kPageSize);
    AddLine(text, "MMUPageSize", kPageSize);
    SmapsNumbers numbers;
    numbers.Add(vma);
    AddUsage(text, numbers, false);
    text.Append("THPeligible:           0\nVmFlags:");
    if ((vma.prot & PROT_READ) != 0) text.Append(" rd");
    if ((vma.prot & PROT_WRITE) != 0) text.Append(" wr");
    if ((vma.prot & PROT_EXEC) != 0) text.Append(" ex");
    if (vma.shared) text.Append(" sh");
    text.Append(" mr mw me");
    if (vma.grows_down) text.Append(" gd");
    if (vma.locked) text.Append(" lo");
    text.Append(" \n");
  }
  return text.Take();
}

Result<std::string> TaskSmapsRollupText(ProcFilesystem& filesystem, Task& task) {
  RefPtr<MemoryManager> memory = task.GetMemory();
  if (!memory) return Errno(ESRCH);
  std::vector<VmaInfo> vmas = memory->Vmas(true);
  SmapsNumbers numbers;
  for (const VmaInfo& vma : vmas) numbers.Add(vma);
  VmaInfo whole;
  if (!vmas.empty()) whole.range = {vmas.front().range.start, vmas.back().range.end};
  TextBuilder text;
  text.Append(MapLine(whole, "[rollup]"));
  AddUsage(text, numbers, true);
  return text.Take();
}

RefPtr<SyntheticInode> MakeMemInode(ProcFilesystem& filesystem, RefPtr<Task> task, uint64_t ino) {
  return MakeRef<MemInode>(filesystem, std::move(task), ino);
}

}  // namespace runsc
