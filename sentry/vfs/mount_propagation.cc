// Peer groups, and what is mounted and unmounted along with a mount.
#include <algorithm>

#include "sentry/vfs/mount_tree.h"

namespace runsc {

namespace {

int NextGroupId() {
  static std::atomic<uint32_t> last{0};
  return static_cast<int>((last.fetch_add(1, std::memory_order_relaxed) + 1) & INT32_MAX);
}

}  // namespace

PeerGroup::PeerGroup() : id_(NextGroupId()) {}

PeerGroup* PeerGroup::master() const {
  return members_.empty() ? nullptr : members_.begin()->second->master_.get();
}

void MountTree::Join(Mount& mount, Group group) {
  group->members_.emplace(mount.serial_, &mount);
  mount.group_ = std::move(group);
  mount.unbindable_ = false;
}

void MountTree::Follow(Mount& mount, Group master) {
  if (mount.master_ == master) return;
  if (mount.master_) mount.master_->slaves_.erase(mount.serial_);
  if (master) master->slaves_.emplace(mount.serial_, &mount);
  mount.master_ = std::move(master);
}

void MountTree::LeaveGroup(Mount& mount) {
  if (!mount.group_) return;
  Group group = std::move(mount.group_);
  group->members_.erase(mount.serial_);
  if (!group->members_.empty()) return;
  // All members had the same master, and this was the last one.
  while (!group->slaves_.empty()) Follow(*group->slaves_.begin()->second, mount.master_);
}

void MountTree::ChangePropagation(Mount& mount, uint64_t type) {
  if (type == MS_SHARED) {
    if (!mount.group_) Join(mount, MakeRef<PeerGroup>());
    return;
  }
  // A slave of those that were its peers; if there are none, of its master still.
  Group peers = mount.group_ && mount.group_->members_.size() > 1 ? mount.group_ : nullptr;
  LeaveGroup(mount);
  if (type == MS_SLAVE) {
    if (peers) Follow(mount, std::move(peers));
    return;
  }
  Follow(mount, nullptr);
  mount.unbindable_ = type == MS_UNBINDABLE;
}

void MountTree::ShareWith(Mount& mount, const Mount& model) {
  if (model.master_) Follow(mount, model.master_);
  if (model.group_) Join(mount, model.group_);
}

std::vector<Mount*> MountTree::Receivers(const Mount& mount) {
  std::vector<Mount*> receivers;
  if (!mount.group_) return receivers;
  // A mount in no namespace is a copy that is being made.
  auto add = [&](Mount* to) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu) {
    if (to != &mount && to->namespace_ != nullptr) receivers.push_back(to);
  };
  std::vector<const PeerGroup*> groups{mount.group_.get()};
  absl::flat_hash_set<const PeerGroup*> met{mount.group_.get()};
  for (const auto& [serial, peer] : mount.group_->members_) add(peer);
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const auto& [serial, slave] : groups[i]->slaves_) {
      add(slave);
      const PeerGroup* own = slave->group_.get();
      if (own != nullptr && met.insert(own).second) groups.push_back(own);
    }
  }
  return receivers;
}

int MountTree::DominatingGroup(const PeerGroup* group, const MountNamespace& space, const VfsPath& root,
                               absl::flat_hash_map<const PeerGroup*, bool>* known) {
  auto can_be_seen = [&](const PeerGroup* candidate) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu) {
    auto [place, is_new] = known->try_emplace(candidate, false);
    if (!is_new) return place->second;
    bool found = false;
    for (const auto& [serial, member] : candidate->members_) {
      if (member->namespace_ != &space) continue;
      found = !root || IsReachable(VfsPath{RefPtr<Mount>(member), member->root_}, root);
      if (found) break;
    }
    (*known)[candidate] = found;
    return found;
  };
  for (; group != nullptr; group = group->master()) {
    if (can_be_seen(group)) return group->id_;
  }
  return 0;
}

namespace {

// The groups of the copies at the members of one group: one for each mount of the tree.
using GroupsOfCopies = std::vector<RefPtr<PeerGroup>>;

}  // namespace

std::vector<MountTree::Node> MountTree::Snapshot(const Mounts& tree) {
  std::vector<Node> nodes;
  absl::flat_hash_map<const Mount*, size_t> index;
  for (const RefPtr<Mount>& mount : tree) {
    nodes.push_back({mount.get(), nodes.empty() ? 0 : index.at(mount->parent_.get()), mount->mount_point_});
    index.emplace(mount.get(), index.size());
  }
  return nodes;
}

void MountTree::MountCopy(const std::vector<Node>& tree, const std::vector<Group>& groups,
                          const std::vector<Group>& masters, bool locks, const VfsPath& where,
                          Dropped* dropped) {
  Mounts made;
  for (size_t i = 0; i < tree.size(); ++i) {
    const Mount& old = *tree[i].mount;
    auto copy = MakeRef<Mount>(old.filesystem_, old.root_, old.flags(), old.source_);
    copy->locked_flags_ = old.locked_flags_;
    copy->locked_ = old.locked_ && i > 0;
    if (i > 0) Link(*copy, VfsPath{made[tree[i].parent], tree[i].point});
    if (!groups.empty()) Join(*copy, groups[i]);
    Follow(*copy, masters[i]);
    made.push_back(std::move(copy));
  }
  if (locks) Lock(made);
  // What is mounted there already stays what is seen.
  Mount* over = MountedOn(*where.mount, *where.dentry);
  RefPtr<Mount> kept(over);
  if (over != nullptr) Unlink(*over, dropped);
  Link(*made[0], where);
  AddTo(*where.mount->namespace_, made);
  if (over != nullptr) Link(*over, Uppermost(VfsPath{made[0], made[0]->root_}));
}

Result<void> MountTree::Attach(MountNamespace& space, const Mounts& tree, const VfsPath& where,
                               Dropped* dropped) {
  if (where.mount->namespace_ != &space) return Errno(EINVAL);
  if (where.dentry->IsDeleted()) return Errno(ENOENT);
  const VfsPath top = Uppermost(where);
  Mount& parent = *top.mount;

  std::vector<Mount*> receivers = Receivers(parent);
  std::erase_if(receivers, [&](Mount* receiver) { return !top.dentry->IsBelow(*receiver->root_); });
  absl::flat_hash_map<const MountNamespace*, size_t> needed;
  if (tree[0]->namespace_ != &space) needed[&space] += tree.size();
  for (Mount* receiver : receivers) needed[receiver->namespace_] += tree.size();
  size_t all = receivers.size() * tree.size() + (tree[0]->namespace_ == nullptr ? tree.size() : 0);
  for (const auto& [in, count] : needed) RETURN_IF_ERROR(CheckRoom(in, count));
  RETURN_IF_ERROR(CheckRoom(nullptr, all));

  // From here on nothing fails.
  if (parent.group_) {
    // The tree that is moved may be a receiver itself, and is not shared before it is mounted.
    std::vector<Group> groups_before;
    for (const Mount* receiver : receivers) groups_before.push_back(receiver->group_);
    const std::vector<Node> nodes = Snapshot(tree);
    GroupsOfCopies own;
    for (const RefPtr<Mount>& mount : tree) {
      ChangePropagation(*mount, MS_SHARED);
      own.push_back(mount->group_);
    }
    absl::flat_hash_map<const PeerGroup*, GroupsOfCopies> groups{{parent.group_.get(), own}};
    for (size_t i = 0; i < receivers.size(); ++i) {
      Mount* receiver = receivers[i];
      const bool locks = receiver->namespace_->user_ns() != space.user_ns();
      GroupsOfCopies masters;
      if (groups_before[i] == parent.group_) {
        for (const RefPtr<Mount>& mount : tree) masters.push_back(mount->master_);
        MountCopy(nodes, own, masters, locks, VfsPath{RefPtr<Mount>(receiver), top.dentry}, dropped);
        continue;
      }
      // Where no member of the master's group shows the place, its own master's copies are followed.
      const PeerGroup* master = receiver->master_.get();
      while (!groups.contains(master)) master = master->master();
      masters = groups[master];
      GroupsOfCopies shared;
      if (groups_before[i]) {
        GroupsOfCopies& known = groups[groups_before[i].get()];
        while (known.size() < tree.size()) known.push_back(MakeRef<PeerGroup>());
        shared = known;
      }
      MountCopy(nodes, shared, masters, locks, VfsPath{RefPtr<Mount>(receiver), top.dentry}, dropped);
    }
  }
  Link(*tree[0], top);
  if (tree[0]->namespace_ != &space) AddTo(space, tree);
  return Ok();
}

bool MountTree::IsBusy(Mount& mount) {
  // One reference is the namespace's, one the caller's.
  if (!mount.children_.empty() || mount.ref_count() > 2) return true;
  if (!mount.parent_) return false;
  for (Mount* receiver : Receivers(*mount.parent_)) {
    Mount* child = MountedOn(*receiver, *mount.mount_point_);
    if (child == nullptr) continue;
    // One that others are mounted on stays, unless they cover it as a whole.
    size_t covers = child->children_.contains(child->root_.get()) ? 1 : 0;
    if (child->children_.size() > covers) continue;
    if (child->ref_count() > static_cast<int64_t>(1 + covers)) return true;
  }
  return false;
}

void MountTree::AddReceivers(std::vector<Mount*>* set) {
  absl::flat_hash_set<const Mount*> going(set->begin(), set->end());
  std::vector<Mount*> candidates;
  // What is found depends on the parent's group and the place alone, which many of the set may have in
  // common.
  absl::flat_hash_set<std::pair<const PeerGroup*, const Dentry*>> looked_at;
  for (const Mount* mount : *set) {
    if (!mount->parent_ || !mount->parent_->group_) continue;
    if (!looked_at.emplace(mount->parent_->group_.get(), mount->mount_point_.get()).second) continue;
    for (Mount* receiver : Receivers(*mount->parent_)) {
      if (receiver->children_.empty()) continue;
      Mount* child = MountedOn(*receiver, *mount->mount_point_);
      if (child != nullptr && going.insert(child).second) candidates.push_back(child);
    }
  }
  // Something that stays below a candidate keeps it, unless it covers it as a whole: then it moves to where
  // the candidate was mounted, and so counts for the mount there in the same way.
  absl::flat_hash_set<const Mount*> keeps;
  auto keep_from = [&](const Mount* stays) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu) {
    while (stays->parent_ && going.contains(stays->parent_.get())) {
      const Mount* below = stays->parent_.get();
      if (stays->mount_point_ != below->root_) going.erase(below);
      if (!keeps.insert(below).second) break;
      stays = below;
    }
  };
  for (const Mount* candidate : candidates) {
    for (const auto& [dentry, child] : candidate->children_) {
      if (!going.contains(child)) keep_from(child);
    }
  }
  for (Mount* candidate : candidates) {
    if (going.contains(candidate)) set->push_back(candidate);
  }
}

}  // namespace runsc
