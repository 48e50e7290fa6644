// NodeTable: the files that one connection holds, each by an O_PATH descriptor: they
// cannot be read or written, and go on to mean the same file when it is renamed or
// its name is taken by another.
//
// Owned by one Connection; one thread.
#ifndef GOFER_SERVER_NODE_TABLE_H_
#define GOFER_SERVER_NODE_TABLE_H_

#include <cstdint>
#include <vector>

#include "gofer/protocol/messages.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc::gofer {

struct Node {
  UniqueFd path;        // O_PATH
  UniqueFd directory;   // an open listing, while one is under way
  uint64_t cookie = 0;  // where `directory` stands
  uint32_t root = 0;    // index of the root it was reached from
  uint32_t type = 0;    // S_IFMT
  int watch = -1;       // in the root's queue of events
  uint64_t device = 0;  // what it is stored on
  // The root of a mounted proc, sysfs, …: shown, but as an empty directory.
  bool pseudo = false;
  bool used = false;
};

class NodeTable {
 public:
  explicit NodeTable(size_t limit) : limit_(limit) {}
  // ENFILE when the table is full.
  Result<NodeId> Add(Node node);
  // EBADF. Valid until the next Add.
  Result<Node*> Get(NodeId id);
  void Remove(NodeId id);
  bool full() const { return size_ >= limit_; }
  size_t size() const { return size_; }

 private:
  const size_t limit_;
  size_t size_ = 0;
  std::vector<Node> nodes_;
  std::vector<NodeId> free_;
};

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_NODE_TABLE_H_
