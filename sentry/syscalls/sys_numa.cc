// All memory is on node 0, so that a policy decides nothing; it is checked, kept for the task and given back.
#include "sentry/syscalls/sys_numa.h"

#include <linux/mempolicy.h>

#include <algorithm>
#include <vector>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/ptrace_permission.h"

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

namespace runsc {
namespace {

constexpr int kWeightedInterleave = 6;  // MPOL_WEIGHTED_INTERLEAVE
constexpr int kModeFlags = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
constexpr uint64_t kMaxNodeBits = kPageSize * 8;

// Which nodes a mask names; bit 0 is the only one that there is.
struct NodeSet {
  bool has_node0 = false, has_others = false;
  bool empty() const { return !has_node0 && !has_others; }
};

// get_nodes(): of `max_node` the last bit does not count. EINVAL, EFAULT.
Result<NodeSet> ReadNodes(Task& task, UserAddr from, uint64_t max_node) {
  NodeSet nodes;
  if (max_node == 0) return nodes;
  const uint64_t bits = max_node - 1;
  if (bits == 0 || from.is_null()) return nodes;
  if (bits > kMaxNodeBits) return Errno(EINVAL);
  std::vector<uint64_t> words((bits + 63) / 64);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const uint64_t>(from), std::span(words)));
  if (bits % 64 != 0) words.back() &= (uint64_t{1} << bits % 64) - 1;
  nodes.has_node0 = (words[0] & 1) != 0;
  words[0] &= ~uint64_t{1};
  nodes.has_others = std::any_of(words.begin(), words.end(), [](uint64_t word) { return word != 0; });
  return nodes;
}

// A policy as Task::memory_policy keeps it: the mode with its flags, and whether it names node 0.
constexpr uint32_t kNamesNode = uint32_t{1} << 31;

// mpol_new() and mpol_set_nodemask(). EINVAL.
Result<uint32_t> MakePolicy(int mode_and_flags, const NodeSet& nodes) {
  const int flags = mode_and_flags & kModeFlags;
  const int mode = mode_and_flags & ~kModeFlags;
  if (mode < 0 || mode > kWeightedInterleave || flags == kModeFlags) return Errno(EINVAL);
  if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL) {
    if (!nodes.empty() || flags != 0) return Errno(EINVAL);
    return static_cast<uint32_t>(mode);
  }
  if (nodes.empty()) {
    if (mode != MPOL_PREFERRED || flags != 0) return Errno(EINVAL);
    return uint32_t{MPOL_LOCAL};
  }
  // Relative nodes are counted round the nodes that there are.
  const bool names_node = nodes.has_node0 || (flags & MPOL_F_RELATIVE_NODES) != 0;
  if (!names_node) return Errno(EINVAL);
  return static_cast<uint32_t>(mode_and_flags) | kNamesNode;
}

Result<void> WriteNodes(Task& task, UserAddr to, uint64_t max_node, bool has_node0) {
  if (to.is_null() || max_node == 0) return Ok();
  const uint64_t bytes = std::min<uint64_t>((max_node - 1 + 63) / 64 * 8, kPageSize);
  std::vector<uint64_t> words(bytes / 8);
  if (words.empty()) return Ok();
  words[0] = has_node0 ? 1 : 0;
  return task.memory().WriteArray(UserPtr<uint64_t>(to), std::span<const uint64_t>(words));
}

// EFAULT: a page of the range is not mapped.
Result<void> CheckMapped(Task& task, UserAddr addr, uint64_t length) {
  uint64_t at = addr.value();
  uint64_t end;
  if (__builtin_add_overflow(at, length, &end)) return Errno(EINVAL);
  for (const VmaInfo& vma : task.memory().Vmas(false)) {
    if (at >= end) break;
    if (vma.range.end.value() <= at) continue;
    if (vma.range.start.value() > at) return Errno(EFAULT);
    at = vma.range.end.value();
  }
  if (at < end) return Errno(EFAULT);
  return Ok();
}

Result<RefPtr<Task>> FindTarget(Task& task, pid_t pid) {
  RefPtr<Task> target = pid == 0 ? RefPtr<Task>(&task) : task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  return target;
}

// What move_pages tells of a page: its node, or an errno.
int32_t PageStatus(MemoryManager& memory, UserAddr page) {
  Result<bool> resident = memory.IsResident(page);
  if (!resident.ok()) return -EFAULT;
  return *resident ? 0 : -ENOENT;
}

}  // namespace

Result<int64_t> SysSetMempolicy(Task& task, int mode, UserAddr user_nodes, uint64_t max_node) {
  ASSIGN_OR_RETURN(NodeSet nodes, ReadNodes(task, user_nodes, max_node));
  ASSIGN_OR_RETURN(uint32_t policy, MakePolicy(mode, nodes));
  task.memory_policy.store(policy);
  return 0;
}

Result<int64_t> SysGetMempolicy(Task& task, UserPtr<int32_t> user_mode, UserAddr nodes, uint64_t max_node,
                                UserAddr addr, uint64_t flags) {
  if ((flags & ~uint64_t{MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED}) != 0) return Errno(EINVAL);
  if (!nodes.is_null() && max_node < 1) return Errno(EINVAL);
  uint32_t policy = task.memory_policy.load();
  int32_t mode;
  bool names_node = (policy & kNamesNode) != 0;
  if ((flags & MPOL_F_MEMS_ALLOWED) != 0) {
    if ((flags & (MPOL_F_NODE | MPOL_F_ADDR)) != 0) return Errno(EINVAL);
    mode = 0;
    names_node = true;
  } else if ((flags & MPOL_F_ADDR) != 0) {
    RETURN_IF_ERROR(CheckMapped(task, addr.PageRoundDown(), kPageSize));
    // A range has no policy of its own; with MPOL_F_NODE it is the number of the page's node.
    mode = MPOL_DEFAULT;
    names_node = false;
  } else {
    if (!addr.is_null()) return Errno(EINVAL);
    mode = static_cast<int32_t>(policy & ~kNamesNode);
    if ((flags & MPOL_F_NODE) != 0) {
      // The node that comes next in interleaving.
      const int kind = mode & ~kModeFlags;
      if (kind != MPOL_INTERLEAVE && kind != kWeightedInterleave) return Errno(EINVAL);
      mode = 0;
    }
  }
  if (user_mode) RETURN_IF_ERROR(task.memory().Write(user_mode, mode));
  RETURN_IF_ERROR(WriteNodes(task, nodes, max_node, names_node));
  return 0;
}

Result<int64_t> SysMbind(Task& task, UserAddr addr, uint64_t length, int mode, UserAddr user_nodes,
                         uint64_t max_node, uint32_t flags) {
  ASSIGN_OR_RETURN(NodeSet nodes, ReadNodes(task, user_nodes, max_node));
  if ((flags & ~uint32_t{MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL}) != 0) return Errno(EINVAL);
  if ((flags & MPOL_MF_MOVE_ALL) != 0 && !task.creds().HasCapability(CAP_SYS_NICE)) return Errno(EPERM);
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  std::optional<uint64_t> rounded = PageRoundUp(length);
  if (!rounded || !addr.Add(*rounded)) return Errno(EINVAL);
  if (*rounded == 0) return 0;
  RETURN_IF_ERROR(MakePolicy(mode, nodes));
  RETURN_IF_ERROR(CheckMapped(task, addr, *rounded));
  return 0;
}

Result<int64_t> SysSetMempolicyHomeNode(Task& task, UserAddr addr, uint64_t length, uint64_t node,
                                        uint64_t flags) {
  if (!addr.IsPageAligned() || flags != 0 || node != 0) return Errno(EINVAL);
  std::optional<uint64_t> rounded = PageRoundUp(length);
  if (!rounded || !addr.Add(*rounded)) return Errno(EINVAL);
  return 0;  // as for a range that mbind(2) has given a policy
}

Result<int64_t> SysMigratePages(Task& task, pid_t pid, uint64_t max_node, UserAddr from, UserAddr to) {
  RETURN_IF_ERROR(ReadNodes(task, from, max_node));
  ASSIGN_OR_RETURN(NodeSet targets, ReadNodes(task, to, max_node));
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  RETURN_IF_ERROR(MemoryToLookAt(task, *target));
  if (targets.has_others && !task.creds().HasCapability(CAP_SYS_NICE)) return Errno(EPERM);
  if (!targets.has_node0) return Errno(EINVAL);
  return 0;  // nothing has to move
}

Result<int64_t> SysMovePages(Task& task, pid_t pid, uint64_t count, UserPtr<const uint64_t> pages,
                             UserPtr<const int32_t> nodes, UserPtr<int32_t> status, int flags) {
  if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) != 0) return Errno(EINVAL);
  if ((flags & MPOL_MF_MOVE_ALL) != 0 && !task.creds().HasCapability(CAP_SYS_NICE)) return Errno(EPERM);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  ASSIGN_OR_RETURN(RefPtr<MemoryManager> memory, MemoryToLookAt(task, *target));
  for (uint64_t i = 0; i < count; ++i) {
    if (task.HasPendingWork()) return Errno(ERESTARTNOINTR);
    ASSIGN_OR_RETURN(uint64_t page, task.memory().Read(pages.At(i)));
    if (nodes) {
      ASSIGN_OR_RETURN(int32_t node, task.memory().Read(nodes.At(i)));
      if (node != 0) return Errno(ENODEV);
    }
    RETURN_IF_ERROR(task.memory().Write(status.At(i), PageStatus(*memory, UserAddr(page))));
  }
  return 0;
}

}  // namespace runsc
