#include "sentry/vfs/dentry.h"

#include "sentry/vfs/dentry_cache.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

namespace {

// Dropping a dentry drops its parent, and a pinned tree its children: kept flat
// here, because the guest chooses how deep a tree is.
thread_local std::vector<Dentry*>* dying = nullptr;

}  // namespace

Dentry::Dentry(Filesystem& filesystem, RefPtr<Inode> inode, std::string name)
    : Dentry(filesystem, std::move(inode), std::move(name), nullptr) {}

Dentry::Dentry(Filesystem& filesystem, RefPtr<Inode> inode, std::string name, RefPtr<Dentry> parent)
    : filesystem_(filesystem), parent_(std::move(parent)), name_(std::move(name)), inode_(inode.release()) {}

Dentry::~Dentry() {
  if (Inode* inode = borrow_inode()) inode->Release();
}

RefPtr<Dentry> Dentry::Unlinked(Dentry& parent, RefPtr<Inode> inode, std::string name) {
  auto dentry = RefPtr<Dentry>::Adopt(
      new Dentry(parent.filesystem_, std::move(inode), std::move(name), RefPtr<Dentry>(&parent)));
  dentry->deleted_.store(true, std::memory_order_release);
  dentry->never_named_ = true;
  return dentry;
}

void Dentry::OnLastRelease() {
  if (dying != nullptr) {
    dying->push_back(this);
    return;
  }
  std::vector<Dentry*> list{this};
  dying = &list;
  while (!list.empty()) {
    Dentry* dentry = list.back();
    list.pop_back();
    RefPtr<Dentry> parent = dentry->parent();
    if (parent) parent->Remove(dentry->name(), *dentry);
    delete dentry;
  }
  dying = nullptr;
}

RefPtr<Dentry> Dentry::parent() const {
  MutexLock lock(mu_);
  return parent_;
}

std::string Dentry::name() const {
  MutexLock lock(mu_);
  return name_;
}

bool Dentry::IsRoot() const {
  MutexLock lock(mu_);
  return !parent_ && (name_.empty() || name_ == "/");
}

bool Dentry::IsBelow(const Dentry& ancestor) const {
  if (this == &ancestor) return true;
  for (RefPtr<Dentry> at = parent(); at; at = at->parent()) {
    if (at == &ancestor) return true;
  }
  return false;
}

RefPtr<Dentry> Dentry::FindChild(std::string_view name) const {
  MutexLock lock(mu_);
  auto it = children_.find(name);
  if (it == children_.end()) return nullptr;
  auto child = RefPtr<Dentry>::TryFrom(it->second.dentry);
  if (child) DentryCache::Touch(*child);
  return child;
}

void Dentry::Insert(std::string_view name, Dentry& child) {
  bool pinned = filesystem_.pins_dentries() && !child.IsNegative();
  bool hold_root = false;
  RefPtr<Dentry> replaced;
  {
    MutexLock lock(mu_);
    hold_root = pinned && !parent_ && children_.empty();
    if (pinned) child.AddRef();
    Child& slot = children_[name];
    if (slot.pinned) replaced = RefPtr<Dentry>::Adopt(slot.dentry);
    slot = Child{&child, pinned};
  }
  if (hold_root) filesystem_.HoldPinnedRoot(*this);
}

void Dentry::Remove(std::string_view name, const Dentry& child) {
  RefPtr<Dentry> removed;
  MutexLock lock(mu_);
  auto it = children_.find(name);
  if (it == children_.end() || it->second.dentry != &child) return;
  if (it->second.pinned) removed = RefPtr<Dentry>::Adopt(it->second.dentry);
  children_.erase(it);
}

RefPtr<Dentry> Dentry::AddChild(std::string_view name, RefPtr<Inode> inode) {
  auto child = RefPtr<Dentry>::Adopt(
      new Dentry(filesystem_, std::move(inode), std::string(name), RefPtr<Dentry>(this)));
  Insert(name, *child);
  if (!filesystem_.pins_dentries() || child->IsNegative()) filesystem_.cache_->Add(*child);
  return child;
}

void Dentry::Instantiate(RefPtr<Inode> inode) {
  CHECK(IsNegative());
  inode_.store(inode.release(), std::memory_order_release);
  if (!filesystem_.pins_dentries()) return;
  if (RefPtr<Dentry> parent = this->parent()) parent->Insert(name(), *this);
}

void Dentry::MarkDeleted() {
  deleted_.store(true, std::memory_order_release);
  RefPtr<Dentry> self(this);
  if (RefPtr<Dentry> parent = this->parent()) parent->Remove(name(), *this);
  filesystem_.cache_->Remove(*this);
}

void Dentry::MoveTo(Dentry& parent, std::string_view name) {
  RefPtr<Dentry> self(this);
  RefPtr<Dentry> old_parent = this->parent();
  if (old_parent) old_parent->Remove(this->name(), *this);
  if (RefPtr<Dentry> there = parent.FindChild(name); there && there != this) there->MarkDeleted();
  {
    MutexLock lock(mu_);
    parent_ = RefPtr<Dentry>(&parent);
    name_ = std::string(name);
  }
  parent.Insert(name, *this);
}

void Dentry::Exchange(Dentry& a, Dentry& b) {
  RefPtr<Dentry> keep_a(&a), keep_b(&b);
  RefPtr<Dentry> parent_a = a.parent(), parent_b = b.parent();
  std::string name_a = a.name(), name_b = b.name();
  parent_a->Remove(name_a, a);
  parent_b->Remove(name_b, b);
  {
    MutexLock lock(a.mu_);
    a.parent_ = parent_b;
    a.name_ = name_b;
  }
  {
    MutexLock lock(b.mu_);
    b.parent_ = parent_a;
    b.name_ = name_a;
  }
  parent_b->Insert(name_b, a);
  parent_a->Insert(name_a, b);
}

std::vector<RefPtr<Dentry>> Dentry::Children() const {
  std::vector<RefPtr<Dentry>> all;
  MutexLock lock(mu_);
  all.reserve(children_.size());
  for (const auto& [name, child] : children_) {
    if (child.dentry->IsNegative()) continue;
    if (auto dentry = RefPtr<Dentry>::TryFrom(child.dentry)) all.push_back(std::move(dentry));
  }
  return all;
}

void Dentry::DropChild(std::string_view name) {
  if (RefPtr<Dentry> child = FindChild(name)) Remove(name, *child);
}

void Dentry::Unpin() {
  std::vector<RefPtr<Dentry>> pending{RefPtr<Dentry>(this)};
  while (!pending.empty()) {
    RefPtr<Dentry> dentry = std::move(pending.back());
    pending.pop_back();
    MutexLock lock(dentry->mu_);
    for (auto& [name, child] : dentry->children_) {
      if (child.pinned) pending.push_back(RefPtr<Dentry>::Adopt(child.dentry));
      child.pinned = false;
    }
  }
}

}  // namespace runsc
