// Finding files: Attach, Walk, StatAt, ReadLink.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {

Result<AttachReply> Connection::Do(const Attach& request, UniqueFd& donated) {
  if (request.root >= context_.roots.size()) return Errno(EINVAL);
  const ServedRoot& root = context_.roots[request.root];
  int fd = fcntl(root.path.get(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return HostErrno();
  ASSIGN_OR_RETURN(NodeReply made, AddNode(UniqueFd(fd), request.root));
  return AttachReply{made.node, made.attributes, root.owners};
}

Result<WalkReply> Connection::Do(const Walk& request, UniqueFd& donated) {
  if (request.names.empty() || request.names.size() > kMaxWalk) return Errno(EINVAL);
  for (const std::string& name : request.names) RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(Node * parent, Directory(request.parent));
  if (nodes_.full()) return Errno(ENFILE);

  WalkReply reply;
  uint32_t root = parent->root;
  int directory = parent->path.get();
  for (const std::string& name : request.names) {
    int fd = -1;
    auto found = AddNode(directory, root, name, &fd);
    if (!found.ok()) {
      reply.stop = static_cast<uint32_t>(found.error().value());
      break;
    }
    reply.found.push_back(*found);
    uint32_t type = found->attributes.mode & S_IFMT;
    if (type == S_IFLNK) {
      auto target = ReadLinkOf(fd);
      if (target.ok()) reply.link_target = std::move(target).value();
      break;
    }
    Node* node = *nodes_.Get(found->node);
    directory = fd;
    if (type != S_IFDIR) break;
    if (node->pseudo) {
      reply.stop = ENOENT;
      break;
    }
  }
  if (request.open != 0 && reply.found.size() == request.names.size() &&
      (reply.found.back().attributes.mode & S_IFMT) == S_IFREG) {
    auto file = Reopen(context_.proc_fds.get(), directory, O_RDONLY);
    if (file.ok()) donated = std::move(file).value();
  }
  // Out of nodes or descriptors before the first answer is an error of the request.
  if (reply.found.empty() && (reply.stop == ENFILE || reply.stop == EMFILE)) return Errno(ENFILE);
  if (reply.found.size() == request.names.size()) reply.stop = 0;
  return reply;
}

Result<OpenEachReply> Connection::Do(const OpenEach& request, std::vector<UniqueFd>& donated) {
  if (request.names.empty() || request.names.size() > kMaxOpenEach) return Errno(EINVAL);
  for (const std::string& name : request.names) RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(Node * parent, Directory(request.parent));
  if (nodes_.full()) return Errno(ENFILE);
  const int directory = parent->path.get();
  const uint32_t root = parent->root;
  OpenEachReply reply;
  for (const std::string& name : request.names) {
    OpenEachResult& result = reply.results.emplace_back();
    int fd = -1;
    auto found = AddNode(directory, root, name, &fd);
    if (!found.ok()) {
      result.error = static_cast<uint32_t>(found.error().value());
      continue;
    }
    result.node = found->node;
    result.attributes = found->attributes;
    if ((found->attributes.mode & S_IFMT) != S_IFREG) continue;
    auto file = Reopen(context_.proc_fds.get(), fd, O_RDONLY);
    if (!file.ok()) continue;
    result.opened = 1;
    donated.push_back(std::move(file).value());
  }
  // Out of nodes or descriptors before the first answer is an error of the request.
  if (uint32_t first = reply.results.front().error; first == ENFILE || first == EMFILE) {
    donated.clear();
    for (const OpenEachResult& result : reply.results)
      if (result.error == 0) nodes_.Remove(result.node);
    return Errno(ENFILE);
  }
  return reply;
}

Result<AttributesReply> Connection::Do(const StatAt& request, UniqueFd& donated) {
  RETURN_IF_ERROR(CheckName(request.name));
  ASSIGN_OR_RETURN(Node * parent, Directory(request.parent));
  ASSIGN_OR_RETURN(PathStatus status, Stat(parent->path.get(), request.name));
  return AttributesReply{status.attributes};
}

Result<std::string> Connection::ReadLinkOf(int path) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(path, "", target, sizeof(target));
  if (size < 0) return HostErrno();
  return std::string(target, static_cast<size_t>(size));
}

Result<ReadLinkReply> Connection::Do(const ReadLink& request, UniqueFd& donated) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  if (node->type != S_IFLNK) return Errno(EINVAL);
  ReadLinkReply reply;
  ASSIGN_OR_RETURN(reply.target, ReadLinkOf(node->path.get()));
  return reply;
}

}  // namespace runsc::gofer
