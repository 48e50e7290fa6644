// EpollNesting: what would become of epoll files in epoll files, for one EPOLL_CTL_ADD. A nest is a graph in
// which there can be far more ways than files; so each file is looked at once.
//
// Threading: one nesting change at a time; made before that lock is taken, for it lets go of the files it has
// seen when it ends. Linux counterpart: ep_loop_check() and reverse_path_check() in fs/eventpoll.c.
#ifndef SENTRY_FSIMPL_EPOLL_NESTING_H_
#define SENTRY_FSIMPL_EPOLL_NESTING_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sentry/fsimpl/epoll.h"

namespace runsc {

class EpollNesting {
 public:
  // ELOOP: with `added` in `into` there would be a circle, or more than five epoll files in a chain.
  Result<void> CheckDepth(EpollFile& into, EpollFile& added);
  // EINVAL: an event of `file`, which was added, or of a file below it would go too many ways up: each of
  // its notifications walks all of them.
  Result<void> CheckPaths(FileDescription& file);

 private:
  static constexpr int kMaxChain = 5;
  // Ways to epoll files that are in no other, by how many steps they take.
  using Paths = std::array<uint32_t, kMaxChain>;

  // How many epoll files are in the longest chain below, or above, `epoll`, itself included; more than
  // kMaxChain: it meets `forbidden`, or is too long.
  int ChainBelow(EpollFile& epoll, const EpollFile& forbidden);
  int ChainAbove(EpollFile& epoll);
  Paths PathsAbove(EpollFile& epoll);
  Result<void> CheckPathsOf(FileDescription& file);
  // The epoll files that `file` is in, as often as it is.
  std::vector<EpollFile*> Above(FileDescription& file);

  std::vector<RefPtr<FileDescription>> held_;
  absl::flat_hash_map<const EpollFile*, int> below_;
  absl::flat_hash_map<const EpollFile*, int> above_;
  absl::flat_hash_map<const EpollFile*, Paths> paths_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_EPOLL_NESTING_H_
