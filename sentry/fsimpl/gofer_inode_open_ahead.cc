// Opening ahead: a program that reads one file after the other of a directory, as tar and grep -r do, gets
// them from a few calls to the Gofer. Only where nobody else changes the files: what is opened is what will
// be there.
#include <errno.h>

#include <algorithm>

#include "sentry/fsimpl/gofer_inode.h"

namespace runsc {
namespace {

// So many entries may be left out (directories, what a pattern does not match) between two that are opened in
// turn.
constexpr size_t kMostSkipped = 8;

}  // namespace

bool GoferInode::OfferAhead(UniqueFd fd) {
  auto opened = MakeRef<HostBackingFile>(std::move(fd), /*writable=*/false);  // released after the lock
  MutexLock lock(data_mu_);
  if (read_only_ || open_files_ > 0 || idle_ || !gofer_.ReserveFileAhead()) return false;
  idle_ = ahead_of_use_ = true;
  read_only_ = std::move(opened);
  return true;
}

bool GoferInode::IsUnusedAhead() {
  MutexLock lock(data_mu_);
  return ahead_of_use_;
}

std::vector<const gofer::DirectoryEntry*> GoferInode::EntriesInTurn(const std::string& name,
                                                                    const GoferListing& listing) {
  const std::vector<gofer::DirectoryEntry>& entries = listing.entries();
  const gofer::DirectoryEntry* at = listing.Find(name);
  if (at == nullptr) return {};
  const auto index = static_cast<size_t>(at - entries.data());
  std::vector<RefPtr<GoferInode>> last;
  {
    MutexLock lock(attributes_mu_);
    if (opens_) last.swap(opens_->ahead);
  }
  const auto unused =
      std::count_if(last.begin(), last.end(), [](const auto& inode) { return inode->IsUnusedAhead(); });
  std::vector<const gofer::DirectoryEntry*> chosen{at};
  MutexLock lock(attributes_mu_);
  if (!opens_) opens_ = std::make_unique<OpensInTurn>();
  const bool in_turn = index >= opens_->next && index - opens_->next <= kMostSkipped;
  if (!in_turn) {
    opens_->window = 1;
  } else if (static_cast<size_t>(unused) * 2 > last.size()) {
    opens_->window = std::max<size_t>(opens_->window / 4, 1);
  } else {
    opens_->window = std::min(opens_->window * 2, gofer::kMaxOpenEach);
  }
  size_t next = index + 1;
  for (; chosen.size() < opens_->window && next < entries.size(); ++next) {
    const gofer::DirectoryEntry& entry = entries[next];
    if (!entry.attributes.empty() && (entry.attributes[0].mode & S_IFMT) == S_IFREG) chosen.push_back(&entry);
  }
  opens_->next = next;
  return chosen;
}

Result<void> GoferInode::OpenInTurn(GoferInode& child, const std::string& name, UniqueFd* opened) {
  RefPtr<const GoferListing> listing = gofer_.keeps_listings() ? AnyListing() : nullptr;
  if (!listing) return Ok();
  const std::vector<const gofer::DirectoryEntry*> entries = EntriesInTurn(name, *listing);
  if (entries.size() < 2) return Ok();
  gofer::OpenEach request;
  ASSIGN_OR_RETURN(request.parent, Node());
  for (const gofer::DirectoryEntry* entry : entries) request.names.push_back(entry->name);
  std::vector<UniqueFd> files;
  ASSIGN_OR_RETURN(gofer::OpenEachReply reply, gofer_.Call(request, files));
  const auto came = std::count_if(reply.results.begin(), reply.results.end(),
                                  [](const gofer::OpenEachResult& result) { return result.opened != 0; });
  if (reply.results.size() != entries.size() || static_cast<size_t>(came) != files.size()) return Errno(EIO);
  std::vector<RefPtr<GoferInode>> ahead;
  auto file = files.begin();
  for (size_t i = 0; i < entries.size(); ++i) {
    const gofer::OpenEachResult& result = reply.results[i];
    UniqueFd fd = result.opened != 0 ? std::move(*file++) : UniqueFd();
    if (result.error != 0) continue;
    RefPtr<GoferInode> inode = i == 0 ? RefPtr<GoferInode>(&child) : gofer_.InodeFor(*this, *entries[i]);
    if (gofer_.KeyOf(result.attributes) != inode->key() ||
        (result.attributes.mode & S_IFMT) != inode->file_type()) {
      gofer_.client().CloseLater(result.node);
      continue;
    }
    inode->TakeNode({result.node, result.attributes}, {});
    if (i == 0) {
      *opened = std::move(fd);
    } else if (fd && inode->OfferAhead(std::move(fd))) {
      ahead.push_back(std::move(inode));
    }
  }
  MutexLock lock(attributes_mu_);
  // (Of two threads that go through the directory at once one keeps what it has opened.)
  if (opens_) ahead.swap(opens_->ahead);
  return Ok();
}

}  // namespace runsc
