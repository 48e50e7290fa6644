#include "sentry/fsimpl/epoll_nesting.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace runsc {
namespace {

// By steps; ways of no further step are not limited.
constexpr uint32_t kUnlimited = UINT32_MAX;
constexpr std::array<uint32_t, 5> kPathLimits = {kUnlimited, 500, 100, 50, 10};
constexpr uint32_t kSaturated = 1000;  // above all limits

void AddSaturated(uint32_t& sum, uint32_t more) { sum = std::min(sum + more, kSaturated); }

}  // namespace

std::vector<EpollFile*> EpollNesting::Above(FileDescription& file) {
  std::vector<EpollFile*> files;
  for (const RefPtr<FileReleaseListener>& listener : file.ReleaseListeners()) {
    auto* interest = dynamic_cast<EpollInterest*>(listener.get());
    RefPtr<EpollFile> above = interest != nullptr ? interest->file() : nullptr;
    if (!above) continue;
    files.push_back(above.get());
    held_.push_back(std::move(above));
  }
  return files;
}

int EpollNesting::ChainBelow(EpollFile& epoll, const EpollFile& forbidden) {
  if (&epoll == &forbidden) return kMaxChain + 1;
  auto [place, is_new] = below_.try_emplace(&epoll, kMaxChain + 1);  // met again before it is known: a circle
  if (!is_new) return place->second;
  // All of them are held before any is looked at: none may go while the nest is locked.
  std::vector<EpollFile*> nests;
  for (RefPtr<FileDescription>& file : epoll.Files()) {
    if (auto* nested = dynamic_cast<EpollFile*>(file.get())) nests.push_back(nested);
    held_.push_back(std::move(file));
  }
  int longest = 0;
  for (EpollFile* nested : nests) {
    longest = std::max(longest, ChainBelow(*nested, forbidden));
    if (longest >= kMaxChain) return kMaxChain + 1;
  }
  return below_[&epoll] = longest + 1;
}

int EpollNesting::ChainAbove(EpollFile& epoll) {
  auto [place, is_new] = above_.try_emplace(&epoll, kMaxChain + 1);
  if (!is_new) return place->second;
  int longest = 0;
  for (EpollFile* above : Above(epoll)) {
    longest = std::max(longest, ChainAbove(*above));
    if (longest >= kMaxChain) return kMaxChain + 1;
  }
  return above_[&epoll] = longest + 1;
}

Result<void> EpollNesting::CheckDepth(EpollFile& into, EpollFile& added) {
  if (ChainBelow(added, into) + ChainAbove(into) > kMaxChain) return Errno(ELOOP);
  return Ok();
}

EpollNesting::Paths EpollNesting::PathsAbove(EpollFile& epoll) {
  auto [place, is_new] = paths_.try_emplace(&epoll, Paths{});
  if (!is_new) return place->second;
  Paths paths{};
  std::vector<EpollFile*> files = Above(epoll);
  if (files.empty()) paths[0] = 1;
  for (EpollFile* above : files) {
    Paths further = PathsAbove(*above);
    for (size_t steps = 1; steps < paths.size(); ++steps) AddSaturated(paths[steps], further[steps - 1]);
  }
  return paths_[&epoll] = paths;
}

Result<void> EpollNesting::CheckPathsOf(FileDescription& file) {
  Paths sum{};
  for (EpollFile* above : Above(file)) {
    Paths paths = PathsAbove(*above);
    for (size_t steps = 0; steps < sum.size(); ++steps) AddSaturated(sum[steps], paths[steps]);
  }
  for (size_t steps = 0; steps < sum.size(); ++steps)
    if (sum[steps] > kPathLimits[steps]) return Errno(EINVAL);
  return Ok();
}

Result<void> EpollNesting::CheckPaths(FileDescription& file) {
  absl::flat_hash_set<FileDescription*> seen{&file};
  std::vector<FileDescription*> left{&file};
  while (!left.empty()) {
    FileDescription* next = left.back();
    left.pop_back();
    auto* epoll = dynamic_cast<EpollFile*>(next);
    if (epoll == nullptr) {
      RETURN_IF_ERROR(CheckPathsOf(*next));
      continue;
    }
    for (RefPtr<FileDescription>& below : epoll->Files()) {
      if (seen.insert(below.get()).second) left.push_back(below.get());
      held_.push_back(std::move(below));
    }
  }
  return Ok();
}

}  // namespace runsc
