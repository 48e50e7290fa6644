// Files that are opened, made and donated: Open, Create, Mkdir, Symlink, Mknod, Connect.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {

Result<AttributesReply> Connection::Do(const Open& request, UniqueFd& donated) {
  if ((request.flags & ~static_cast<uint32_t>(O_ACCMODE | O_TRUNC)) != 0) return Errno(EINVAL);
  uint32_t access = request.flags & O_ACCMODE;
  if (access == O_ACCMODE) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  if (node->type == S_IFDIR) return Errno(EISDIR);
  if (node->type == S_IFLNK) return Errno(ELOOP);
  // A host device or socket is never the sandbox's; it has its own /dev.
  if (node->type != S_IFREG && !(node->type == S_IFIFO && context_.allow_fifos)) return Errno(EACCES);
  if (IsReadOnly(*node) && (access != O_RDONLY || (request.flags & O_TRUNC) != 0)) return Errno(EROFS);
  int flags = static_cast<int>(request.flags) | (node->type == S_IFIFO ? O_NONBLOCK : 0);
  ASSIGN_OR_RETURN(donated, Reopen(context_.proc_fds.get(), node->path.get(), flags));
  ASSIGN_OR_RETURN(PathStatus status, Stat(node->path.get(), ""));
  return AttributesReply{status.attributes};
}

Result<NodeReply> Connection::Adopt(const Node& parent, const std::string& name, UniqueFd path, uint32_t mode,
                                    uint32_t uid, uint32_t gid) {
  uint32_t root = parent.root;
  int directory = parent.path.get();
  bool is_directory = S_ISDIR(mode);
  auto set_up = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(PathStatus status, Stat(path.get(), ""));
    const Attributes& made = status.attributes;
    if ((made.mode & S_IFMT) != (mode & S_IFMT)) return Errno(EEXIST);  // swapped meanwhile
    if (made.uid != uid || made.gid != gid) {
      if (fchownat(path.get(), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) return HostErrno();
    }
    // chown(2) takes the set-id bits away, and the umask may have taken others.
    if (!S_ISLNK(mode) &&
        fchmodat(context_.proc_fds.get(), std::to_string(path.get()).c_str(), mode & 07777, 0) < 0)
      return HostErrno();
    return Ok();
  };
  Result<void> status = set_up();
  if (status.ok()) {
    auto reply = AddNode(std::move(path), root);
    if (reply.ok()) return reply;
    status = reply.error();
  }
  unlinkat(directory, name.c_str(), is_directory ? AT_REMOVEDIR : 0);
  return status.error();
}

Result<NodeReply> Connection::Do(const Create& request, UniqueFd& donated) {
  if (request.flags > O_RDWR) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  RETURN_IF_ERROR(CheckOwner(*parent, request.uid, request.gid));
  if (nodes_.full()) return Errno(ENFILE);
  ASSIGN_OR_RETURN(UniqueFd file,
                   OpenBeneath(parent->path.get(), request.name.c_str(),
                               request.flags | O_CREAT | O_EXCL | O_NOCTTY, request.mode & 0777));
  auto path = Reopen(context_.proc_fds.get(), file.get(), O_PATH);
  if (!path.ok()) {
    unlinkat(parent->path.get(), request.name.c_str(), 0);
    return path.error();
  }
  ASSIGN_OR_RETURN(NodeReply reply, Adopt(*parent, request.name, std::move(path).value(),
                                          S_IFREG | (request.mode & 07777), request.uid, request.gid));
  donated = std::move(file);
  return reply;
}

Result<NodeReply> Connection::Do(const Mkdir& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  RETURN_IF_ERROR(CheckOwner(*parent, request.uid, request.gid));
  if (nodes_.full()) return Errno(ENFILE);
  if (mkdirat(parent->path.get(), request.name.c_str(), request.mode & 0777) < 0) return HostErrno();
  ASSIGN_OR_RETURN(UniqueFd path, OpenPath(parent->path.get(), request.name));
  return Adopt(*parent, request.name, std::move(path), S_IFDIR | (request.mode & 07777), request.uid,
               request.gid);
}

Result<NodeReply> Connection::Do(const Symlink& request, UniqueFd& donated) {
  if (request.target.empty() || request.target.find('\0') != std::string::npos) return Errno(ENOENT);
  if (request.target.size() >= PATH_MAX) return Errno(ENAMETOOLONG);
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  RETURN_IF_ERROR(CheckOwner(*parent, request.uid, request.gid));
  if (nodes_.full()) return Errno(ENFILE);
  if (symlinkat(request.target.c_str(), parent->path.get(), request.name.c_str()) < 0) return HostErrno();
  ASSIGN_OR_RETURN(UniqueFd path, OpenPath(parent->path.get(), request.name));
  return Adopt(*parent, request.name, std::move(path), S_IFLNK | 0777, request.uid, request.gid);
}

Result<NodeReply> Connection::Do(const Mknod& request, UniqueFd& donated) {
  uint32_t type = request.mode & S_IFMT;
  if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) return Errno(EPERM);
  ASSIGN_OR_RETURN(Node * parent, WritableDirectory(request.parent, request.name));
  RETURN_IF_ERROR(CheckOwner(*parent, request.uid, request.gid));
  if (nodes_.full()) return Errno(ENFILE);
  if (mknodat(parent->path.get(), request.name.c_str(), type | (request.mode & 0777), 0) < 0)
    return HostErrno();
  ASSIGN_OR_RETURN(UniqueFd path, OpenPath(parent->path.get(), request.name));
  return Adopt(*parent, request.name, std::move(path), type | (request.mode & 07777), request.uid,
               request.gid);
}

Result<Empty> Connection::Do(const Connect& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  if (node->type != S_IFSOCK || !context_.allow_connect) return Errno(ECONNREFUSED);
  if (request.type != SOCK_STREAM && request.type != SOCK_DGRAM && request.type != SOCK_SEQPACKET)
    return Errno(EINVAL);
  UniqueFd socket(::socket(AF_UNIX, static_cast<int>(request.type) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return HostErrno();
  // Relative: the working directory is /proc/self/fd, so this is the held socket itself.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = std::to_string(node->path.get());
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) return HostErrno();
  donated = std::move(socket);
  return Empty{};
}

}  // namespace runsc::gofer
