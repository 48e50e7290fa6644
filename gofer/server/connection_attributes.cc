// What a file is like: attributes, extended attributes, statfs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {
namespace {

constexpr uint32_t kAllSet =
    kSetMode | kSetUid | kSetGid | kSetSize | kSetAtime | kSetMtime | kSetAtimeNow | kSetMtimeNow;

timespec ToTimespec(uint32_t valid, uint32_t set, uint32_t now, const Timestamp& time) {
  if ((valid & now) != 0) return {0, UTIME_NOW};
  if ((valid & set) != 0) return {time.seconds, static_cast<long>(time.nanoseconds)};
  return {0, UTIME_OMIT};
}

Result<void> CheckXattrName(const std::string& name) {
  if (name.empty() || name.size() > 255) return Errno(ERANGE);
  if (name.find('\0') != std::string::npos) return Errno(EINVAL);
  return Ok();
}

}  // namespace

Result<AttributesReply> Connection::Do(const GetAttr& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  ASSIGN_OR_RETURN(PathStatus status, Stat(node->path.get(), ""));
  return AttributesReply{status.attributes};
}

Result<AttributesReply> Connection::Do(const SetAttr& request, UniqueFd& donated) {
  if ((request.valid & ~kAllSet) != 0) return Errno(EINVAL);
  if (request.atime.nanoseconds >= 1'000'000'000 || request.mtime.nanoseconds >= 1'000'000'000)
    return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * node, WritableNode(request.node));
  int path = node->path.get();

  if ((request.valid & kSetSize) != 0) {
    if (node->type == S_IFDIR) return Errno(EISDIR);
    if (node->type != S_IFREG) return Errno(EINVAL);
    if (request.size > static_cast<uint64_t>(INT64_MAX)) return Errno(EFBIG);
    ASSIGN_OR_RETURN(UniqueFd file, Reopen(context_.proc_fds.get(), path, O_WRONLY));
    if (ftruncate(file.get(), static_cast<off_t>(request.size)) < 0) return HostErrno();
  }
  if ((request.valid & (kSetUid | kSetGid)) != 0) {
    uid_t uid = (request.valid & kSetUid) != 0 ? request.uid : static_cast<uid_t>(-1);
    gid_t gid = (request.valid & kSetGid) != 0 ? request.gid : static_cast<gid_t>(-1);
    RETURN_IF_ERROR(CheckOwner(*node, uid, gid));
    if (fchownat(path, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) return HostErrno();
  }
  if ((request.valid & kSetMode) != 0) {
    if (node->type == S_IFLNK) return Errno(EOPNOTSUPP);
    // The last link of the path is the magic one, which means the held file itself.
    if (fchmodat(context_.proc_fds.get(), std::to_string(path).c_str(), request.mode & 07777, 0) < 0)
      return HostErrno();
  }
  timespec times[2] = {ToTimespec(request.valid, kSetAtime, kSetAtimeNow, request.atime),
                       ToTimespec(request.valid, kSetMtime, kSetMtimeNow, request.mtime)};
  if (times[0].tv_nsec != UTIME_OMIT || times[1].tv_nsec != UTIME_OMIT) {
    if (utimensat(path, "", times, AT_EMPTY_PATH) < 0) return HostErrno();
  }
  ASSIGN_OR_RETURN(PathStatus status, Stat(path, ""));
  return AttributesReply{status.attributes};
}

Result<StatFsReply> Connection::Do(const StatFs& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  struct statfs fs {};
  if (fstatfs(node->path.get(), &fs) < 0) return HostErrno();
  StatFsReply reply;
  reply.type = static_cast<uint64_t>(fs.f_type);
  reply.block_size = static_cast<uint64_t>(fs.f_bsize);
  reply.fragment_size = static_cast<uint64_t>(fs.f_frsize);
  reply.blocks = fs.f_blocks;
  reply.blocks_free = fs.f_bfree;
  reply.blocks_available = fs.f_bavail;
  reply.files = fs.f_files;
  reply.files_free = fs.f_ffree;
  reply.name_length = static_cast<uint64_t>(fs.f_namelen);
  reply.flags = static_cast<uint64_t>(fs.f_flags);
  return reply;
}

Result<UniqueFd> Connection::OpenForMetadata(const Node& node) {
  if (node.pseudo) return Errno(EACCES);
  if (node.type == S_IFDIR) return OpenBeneath(node.path.get(), ".", O_RDONLY | O_DIRECTORY, 0);
  if (node.type == S_IFREG) return Reopen(context_.proc_fds.get(), node.path.get(), O_RDONLY | O_NONBLOCK);
  return Errno(EOPNOTSUPP);
}

Result<GetXattrReply> Connection::Do(const GetXattr& request, UniqueFd& donated) {
  RETURN_IF_ERROR(CheckXattrName(request.name));
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  ASSIGN_OR_RETURN(UniqueFd file, OpenForMetadata(*node));
  GetXattrReply reply;
  reply.value.resize(kMaxXattr);
  ssize_t size = fgetxattr(file.get(), request.name.c_str(), reply.value.data(), reply.value.size());
  if (size < 0) return HostErrno();
  reply.value.resize(static_cast<size_t>(size));
  return reply;
}

Result<Empty> Connection::Do(const SetXattr& request, UniqueFd& donated) {
  RETURN_IF_ERROR(CheckXattrName(request.name));
  if (request.value.size() > kMaxXattr) return Errno(E2BIG);
  if ((request.flags & ~static_cast<uint32_t>(XATTR_CREATE | XATTR_REPLACE)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * node, WritableNode(request.node));
  ASSIGN_OR_RETURN(UniqueFd file, OpenForMetadata(*node));
  if (fsetxattr(file.get(), request.name.c_str(), request.value.data(), request.value.size(),
                static_cast<int>(request.flags)) < 0)
    return HostErrno();
  return Empty{};
}

Result<ListXattrReply> Connection::Do(const ListXattr& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  ASSIGN_OR_RETURN(UniqueFd file, OpenForMetadata(*node));
  // The encoded list is longer than the host's by three bytes a name; a list that does
  // not fit into a message is refused as Linux refuses one over XATTR_LIST_MAX.
  std::string names(kMaxXattr, '\0');
  ssize_t size = flistxattr(file.get(), names.data(), names.size());
  if (size < 0) return HostErrno();
  ListXattrReply reply;
  size_t encoded = 0;
  for (size_t at = 0; at < static_cast<size_t>(size);) {
    reply.names.emplace_back(names.c_str() + at);
    at += reply.names.back().size() + 1;
    encoded += reply.names.back().size() + 4;
  }
  if (encoded > kMaxXattr) return Errno(E2BIG);
  return reply;
}

Result<Empty> Connection::Do(const RemoveXattr& request, UniqueFd& donated) {
  RETURN_IF_ERROR(CheckXattrName(request.name));
  ASSIGN_OR_RETURN(Node * node, WritableNode(request.node));
  ASSIGN_OR_RETURN(UniqueFd file, OpenForMetadata(*node));
  if (fremovexattr(file.get(), request.name.c_str()) < 0) return HostErrno();
  return Empty{};
}

}  // namespace runsc::gofer
