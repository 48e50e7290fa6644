#include "gofer/server/node_table.h"

namespace runsc::gofer {

Result<NodeId> NodeTable::Add(Node node) {
  if (full()) return Errno(ENFILE);
  node.used = true;
  ++size_;
  if (!free_.empty()) {
    NodeId id = free_.back();
    free_.pop_back();
    nodes_[id] = std::move(node);
    return id;
  }
  nodes_.push_back(std::move(node));
  return static_cast<NodeId>(nodes_.size() - 1);
}

Result<Node*> NodeTable::Get(NodeId id) {
  if (id >= nodes_.size() || !nodes_[id].used) return Errno(EBADF);
  return &nodes_[id];
}

void NodeTable::Remove(NodeId id) {
  if (id >= nodes_.size() || !nodes_[id].used) return;
  nodes_[id] = Node{};
  free_.push_back(id);
  --size_;
}

}  // namespace runsc::gofer
