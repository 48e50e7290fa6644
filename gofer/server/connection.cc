#include "gofer/server/connection.h"

#include <sys/stat.h>

#include "gofer/server/host_path.h"
#include "platform/base/log.h"

namespace runsc::gofer {

Connection::Connection(const ServerContext& context, UniqueFd socket)
    : context_(context),
      socket_(std::move(socket)),
      nodes_(context.max_nodes),
      watch_queues_(context.roots.size()),
      request_buffer_(std::make_unique<std::byte[]>(kMaxMessage)) {}

template <typename Request>
bool Connection::Handle(const Header& header, std::span<const std::byte> packet) {
  Request request;
  if (!DecodeBody(packet, request)) return false;
  std::vector<UniqueFd> donated;
  auto answered = [&] {
    if constexpr (requires { Request::kDonatesMany; }) {
      return Do(request, donated);
    } else {
      UniqueFd one;
      auto reply = Do(request, one);
      if (one) donated.push_back(std::move(one));
      return reply;
    }
  };
  auto reply = answered();
  Header answer{.type = header.type, .tag = header.tag};
  if (reply.ok()) {
    answer.fds = static_cast<uint16_t>(donated.size());
    EncodePacket(answer, *reply, reply_);
  } else {
    donated.clear();
    answer.error = static_cast<uint32_t>(reply.error().value());
    EncodePacket(answer, Empty{}, reply_);
  }
  return SendPacket(socket_.get(), reply_, donated).ok();
}

bool Connection::Serve() {
  auto packet = ReceivePacket(socket_.get(), std::span(request_buffer_.get(), kMaxMessage), nullptr);
  if (!packet.ok()) {
    if (!packet.is(ECONNRESET)) LOG_WARNING("gofer: bad request: {}", packet.error().name());
    return false;
  }
  Header header = HeaderOf(*packet);
  if (header.error != 0) return false;
  switch (static_cast<MessageType>(header.type)) {
    case MessageType::kAttach:
      return Handle<Attach>(header, *packet);
    case MessageType::kWalk:
      return Handle<Walk>(header, *packet);
    case MessageType::kStatAt:
      return Handle<StatAt>(header, *packet);
    case MessageType::kGetAttr:
      return Handle<GetAttr>(header, *packet);
    case MessageType::kSetAttr:
      return Handle<SetAttr>(header, *packet);
    case MessageType::kOpen:
      return Handle<Open>(header, *packet);
    case MessageType::kCreate:
      return Handle<Create>(header, *packet);
    case MessageType::kMkdir:
      return Handle<Mkdir>(header, *packet);
    case MessageType::kSymlink:
      return Handle<Symlink>(header, *packet);
    case MessageType::kMknod:
      return Handle<Mknod>(header, *packet);
    case MessageType::kLink:
      return Handle<Link>(header, *packet);
    case MessageType::kUnlink:
      return Handle<Unlink>(header, *packet);
    case MessageType::kRename:
      return Handle<Rename>(header, *packet);
    case MessageType::kReadLink:
      return Handle<ReadLink>(header, *packet);
    case MessageType::kReadDir:
      return Handle<ReadDir>(header, *packet);
    case MessageType::kStatFs:
      return Handle<StatFs>(header, *packet);
    case MessageType::kGetXattr:
      return Handle<GetXattr>(header, *packet);
    case MessageType::kSetXattr:
      return Handle<SetXattr>(header, *packet);
    case MessageType::kListXattr:
      return Handle<ListXattr>(header, *packet);
    case MessageType::kRemoveXattr:
      return Handle<RemoveXattr>(header, *packet);
    case MessageType::kFSync:
      return Handle<FSync>(header, *packet);
    case MessageType::kClose:
      return Handle<Close>(header, *packet);
    case MessageType::kConnect:
      return Handle<Connect>(header, *packet);
    case MessageType::kWatch:
      return Handle<Watch>(header, *packet);
    case MessageType::kWalkEach:
      return Handle<WalkEach>(header, *packet);
    case MessageType::kOpenEach:
      return Handle<OpenEach>(header, *packet);
  }
  LOG_WARNING("gofer: unknown request {}", header.type);
  return false;
}

Result<Node*> Connection::Directory(NodeId id) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(id));
  if (node->type != S_IFDIR) return Errno(ENOTDIR);
  if (node->pseudo) return Errno(ENOENT);
  return node;
}

Result<Node*> Connection::WritableDirectory(NodeId id, const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(Node * node, Directory(id));
  if (IsReadOnly(*node)) return Errno(EROFS);
  return node;
}

Result<Node*> Connection::WritableNode(NodeId id) {
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(id));
  if (IsReadOnly(*node)) return Errno(EROFS);
  if (node->pseudo) return Errno(EACCES);
  return node;
}

Result<void> Connection::CheckOwner(const Node& node, uint32_t uid, uint32_t gid) const {
  constexpr auto kKept = static_cast<uint32_t>(-1);
  const OwnerIds& owners = context_.roots[node.root].owners;
  if ((uid != kKept && !owners.HasUser(uid)) || (gid != kKept && !owners.HasGroup(gid)))
    return Errno(EOVERFLOW);
  return Ok();
}

Result<NodeReply> Connection::AddNode(UniqueFd path, uint32_t root) {
  ASSIGN_OR_RETURN(PathStatus status, Stat(path.get(), ""));
  Node node;
  node.root = root;
  node.type = status.attributes.mode & S_IFMT;
  node.device = uint64_t{status.attributes.dev_major} << 32 | status.attributes.dev_minor;
  // The root itself was chosen by whoever configured the Gofer; what is mounted below
  // it may be a host's /proc, through which the Gofer's own memory could be written.
  node.pseudo = status.mount_root && IsKernelInterface(path.get());
  node.path = std::move(path);
  NodeReply reply;
  reply.attributes = status.attributes;
  ASSIGN_OR_RETURN(reply.node, nodes_.Add(std::move(node)));
  return reply;
}

Result<NodeReply> Connection::AddNode(int directory, uint32_t root, const std::string& name, int* path) {
  ASSIGN_OR_RETURN(UniqueFd found, OpenPath(directory, name));
  *path = found.get();
  return AddNode(std::move(found), root);
}

Result<Empty> Connection::Do(const Close& request, UniqueFd& donated) {
  if (request.nodes.size() > kMaxClose) return Errno(EINVAL);
  for (NodeId id : request.nodes) {
    auto node = nodes_.Get(id);
    if (!node.ok()) continue;
    EndWatch(**node);
    nodes_.Remove(id);
  }
  return Empty{};
}

}  // namespace runsc::gofer
