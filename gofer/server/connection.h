// Connection: serves the requests of one Sentry connection, one at a time, each with
// one reply. The peer is taken for hostile: what it can reach is what lies beneath the
// roots, and a message that does not decode ends the connection.
//
// Owned by the Gofer's loop; one thread. Handlers are split by aspect:
// connection_{walk,attributes,files,directories,watches}.cc.
#ifndef GOFER_SERVER_CONNECTION_H_
#define GOFER_SERVER_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gofer/protocol/packet.h"
#include "gofer/server/node_table.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc::gofer {

// A directory (or a single file) that the Gofer may reach.
struct ServedRoot {
  UniqueFd path;  // O_PATH
  bool read_only = true;
  OwnerIds owners;  // GoferOptions::Root
};

// What all connections of one Gofer share; outlives them. The thread's working directory is /proc/self/fd:
// calls that take no directory descriptor name what the Gofer holds by its number.
struct ServerContext {
  std::vector<ServedRoot> roots;
  UniqueFd proc_fds;           // /proc/self/fd, see host_path.h
  size_t max_nodes = 4096;     // per connection
  size_t max_watches = 8192;   // per root of a connection
  bool allow_fifos = false;    // donate host fifos
  bool allow_connect = false;  // connect to host unix sockets
};

// The inotify(7) instance of one root, and how many nodes each of its watches is for.
struct WatchQueue {
  UniqueFd queue;
  bool donated = false;
  absl::flat_hash_map<int, uint32_t> nodes;
};

class Connection {
 public:
  Connection(const ServerContext& context, UniqueFd socket);

  // Receives one request and answers it. False: the connection is over.
  bool Serve();
  int socket() const { return socket_.get(); }

 private:
  template <typename Request>
  bool Handle(const Header& header, std::span<const std::byte> packet);

  Result<AttachReply> Do(const Attach& request, UniqueFd& donated);
  Result<WalkReply> Do(const Walk& request, UniqueFd& donated);
  Result<AttributesReply> Do(const StatAt& request, UniqueFd& donated);
  Result<AttributesReply> Do(const GetAttr& request, UniqueFd& donated);
  Result<AttributesReply> Do(const SetAttr& request, UniqueFd& donated);
  Result<AttributesReply> Do(const Open& request, UniqueFd& donated);
  Result<NodeReply> Do(const Create& request, UniqueFd& donated);
  Result<NodeReply> Do(const Mkdir& request, UniqueFd& donated);
  Result<NodeReply> Do(const Symlink& request, UniqueFd& donated);
  Result<NodeReply> Do(const Mknod& request, UniqueFd& donated);
  Result<AttributesReply> Do(const Link& request, UniqueFd& donated);
  Result<Empty> Do(const Unlink& request, UniqueFd& donated);
  Result<Empty> Do(const Rename& request, UniqueFd& donated);
  Result<ReadLinkReply> Do(const ReadLink& request, UniqueFd& donated);
  Result<ReadDirReply> Do(const ReadDir& request, UniqueFd& donated);
  Result<StatFsReply> Do(const StatFs& request, UniqueFd& donated);
  Result<GetXattrReply> Do(const GetXattr& request, UniqueFd& donated);
  Result<Empty> Do(const SetXattr& request, UniqueFd& donated);
  Result<ListXattrReply> Do(const ListXattr& request, UniqueFd& donated);
  Result<Empty> Do(const RemoveXattr& request, UniqueFd& donated);
  Result<Empty> Do(const FSync& request, UniqueFd& donated);
  Result<Empty> Do(const Close& request, UniqueFd& donated);
  Result<Empty> Do(const Connect& request, UniqueFd& donated);
  Result<WatchReply> Do(const Watch& request, UniqueFd& donated);
  Result<WalkEachReply> Do(const WalkEach& request, UniqueFd& donated);
  Result<OpenEachReply> Do(const OpenEach& request, std::vector<UniqueFd>& donated);

  // A directory that may be looked into. EBADF, ENOTDIR; ENOENT for a pseudo one.
  Result<Node*> Directory(NodeId id);
  // A directory in which the name may be made or removed: also EROFS and CheckName's.
  Result<Node*> WritableDirectory(NodeId id, const std::string& name);
  // A node that may be changed. EROFS.
  Result<Node*> WritableNode(NodeId id);
  bool IsReadOnly(const Node& node) const { return context_.roots[node.root].read_only; }
  // EOVERFLOW, as if the host had been asked by the guest: ids that the root's mount does not have. -1 is
  // none.
  Result<void> CheckOwner(const Node& node, uint32_t uid, uint32_t gid) const;
  // Makes a node of what `path` is, reached in `root`.
  Result<NodeReply> AddNode(UniqueFd path, uint32_t root);
  // Makes a node of a directory's entry. `path`: its descriptor, which stays the node's.
  Result<NodeReply> AddNode(int directory, uint32_t root, const std::string& name, int* path);
  // After a create: the new file's owner and mode, then a node of it. What cannot be
  // given its owner is removed again.
  Result<NodeReply> Adopt(const Node& parent, const std::string& name, UniqueFd path, uint32_t mode,
                          uint32_t uid, uint32_t gid);
  // Goes on with the listing of a node.
  Result<void> List(NodeId id, const ReadDir& request, ReadDirReply& reply);
  // An open descriptor for xattrs and fsync.
  Result<UniqueFd> OpenForMetadata(const Node& node);
  static Result<std::string> ReadLinkOf(int path);
  Result<WatchQueue*> QueueOf(uint32_t root);
  // Watches the node; its watch descriptor.
  Result<int> BeginWatch(Node& node);
  WalkEachResult LookUpAndWatch(int directory, uint32_t root, const std::string& name);
  // The node goes: its watch does, unless another node of the same file has it too.
  void EndWatch(Node& node);

  const ServerContext& context_;
  const UniqueFd socket_;
  NodeTable nodes_;
  std::vector<WatchQueue> watch_queues_;    // by root
  std::optional<uint64_t> watched_device_;  // known as one whose changes are all told of
  const std::unique_ptr<std::byte[]> request_buffer_;
  std::vector<std::byte> reply_;
};

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_CONNECTION_H_
