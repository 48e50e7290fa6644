// Directory entries: Link, Unlink, Rename, ReadDir, FSync.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {
namespace {
// A DirectoryEntry without its name, and an Attributes, as they are encoded.
constexpr size_t kEntryWireSize = 25;
constexpr size_t kAttributesWireSize = 108;
}  // namespace

Result<AttributesReply> Connection::Do(const Link& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  // Also keeps a file of a read-only root from being written through a writable one.
  if (node->root != parent->root) return Errno(EXDEV);
  if (node->type == S_IFDIR) return Errno(EPERM);
  if (linkat(context_.proc_fds.get(), std::to_string(node->path.get()).c_str(), parent->path.get(),
             request.name.c_str(), AT_SYMLINK_FOLLOW) < 0)
    return HostErrno();
  ASSIGN_OR_RETURN(PathStatus status, Stat(node->path.get(), ""));
  return AttributesReply{status.attributes};
}

Result<Empty> Connection::Do(const Unlink& request, UniqueFd& donated) {
  if ((request.flags & ~static_cast<uint32_t>(AT_REMOVEDIR)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  if (unlinkat(parent->path.get(), request.name.c_str(), static_cast<int>(request.flags)) < 0)
    return HostErrno();
  return Empty{};
}

Result<Empty> Connection::Do(const Rename& request, UniqueFd& donated) {
  if ((request.flags & ~static_cast<uint32_t>(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * old_parent, WritableDirectory(request.old_parent, request.old_name));
  ASSIGN_OR_RETURN(Node * new_parent, WritableDirectory(request.new_parent, request.new_name));
  if (old_parent->root != new_parent->root) return Errno(EXDEV);
  // The C library would make a renameat(2) of it where there are no flags.
  if (syscall(SYS_renameat2, old_parent->path.get(), request.old_name.c_str(), new_parent->path.get(),
              request.new_name.c_str(), request.flags) < 0)
    return HostErrno();
  return Empty{};
}

Result<ReadDirReply> Connection::Do(const ReadDir& request, UniqueFd& donated) {
  if (request.cookie > static_cast<uint64_t>(INT64_MAX) || request.attributes > kAllAttributes)
    return Errno(EINVAL);
  ReadDirReply reply;
  NodeId id = request.node;
  if (!request.name.empty()) {
    RETURN_IF_ERROR(CheckName(request.name));
    ASSIGN_OR_RETURN(Node * parent, Directory(request.node));
    ASSIGN_OR_RETURN(UniqueFd path, OpenPath(parent->path.get(), request.name));
    ASSIGN_OR_RETURN(NodeReply found, AddNode(std::move(path), parent->root));
    id = found.node;
    reply.directory.push_back(found);
  }
  Result<void> listed = List(id, request, reply);
  if (listed.ok()) return reply;
  if (!request.name.empty()) nodes_.Remove(id);
  return listed.error();
}

Result<void> Connection::List(NodeId id, const ReadDir& request, ReadDirReply& reply) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(id));
  if (node->type != S_IFDIR) return Errno(ENOTDIR);
  if (node->pseudo) {
    reply.end = 1;
    return Ok();
  }
  const bool fresh = !node->directory;
  if (fresh) {
    ASSIGN_OR_RETURN(node->directory, OpenBeneath(node->path.get(), ".", O_RDONLY | O_DIRECTORY, 0));
    node->cookie = 0;
  }
  if (node->cookie != request.cookie || (request.cookie == 0 && !fresh)) {
    if (lseek(node->directory.get(), static_cast<off_t>(request.cookie), SEEK_SET) < 0) return HostErrno();
    node->cookie = request.cookie;
  }
  // What was read cannot be put back, so no more is read than the rest of the message
  // holds: the wire form of an entry is at most six times the host's.
  constexpr size_t kGrowth = 6;
  size_t room = kMaxReadDir;
  alignas(dirent64) char buffer[kMaxReadDir / kGrowth];
  while (room / kGrowth >= 1024) {
    long size = syscall(SYS_getdents64, node->directory.get(), buffer, room / kGrowth);
    if (size < 0) {
      if (reply.entries.empty()) return HostErrno();
      return Ok();  // the next request will say it
    }
    if (size == 0) {
      // The listing is over: its descriptor goes back.
      node->directory.reset();
      node->cookie = 0;
      reply.end = 1;
      return Ok();
    }
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      node->cookie = static_cast<uint64_t>(entry->d_off);
      if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
      DirectoryEntry& added = reply.entries.emplace_back();
      added.ino = entry->d_ino;
      added.next = static_cast<uint64_t>(entry->d_off);
      added.type = entry->d_type;
      added.name = entry->d_name;
      if (request.attributes == kAllAttributes ||
          (request.attributes == kDirectoryAttributes && entry->d_type == DT_DIR)) {
        auto status = Stat(node->path.get(), added.name);
        if (status.ok() && !status->mount_root) added.attributes.push_back(status->attributes);
      }
      room -= std::min(
          room, kEntryWireSize + added.name.size() + (added.attributes.empty() ? 0 : kAttributesWireSize));
    }
  }
  return Ok();
}

Result<Empty> Connection::Do(const FSync& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  ASSIGN_OR_RETURN(UniqueFd file, OpenForMetadata(*node));
  if (fsync(file.get()) < 0) return HostErrno();
  return Empty{};
}

}  // namespace runsc::gofer
