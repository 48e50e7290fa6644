#include "runsc/sandbox/root_trees.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "gofer/server/sandbox.h"
#include "platform/host/clone_process.h"

namespace runsc {
namespace {

// The Gofer's own id on this host.
uint32_t GofersId(const std::vector<IdMapping>& container) {
  for (const IdMapping& mapping : container)
    if (mapping.inside == 0) return mapping.outside;
  return 0;
}

bool MapsTo(const std::vector<IdMapping>& map, uint32_t id) {
  return std::any_of(map.begin(), map.end(), [&](const IdMapping& mapping) {
    return id >= mapping.outside && id - mapping.outside < mapping.count;
  });
}

// There is one: a map that does not map to some id cannot map from all of them.
uint32_t SpareId(const std::vector<IdMapping>& map) {
  uint32_t spare = UINT32_MAX - 1;
  for (bool moved = true; moved;) {
    moved = false;
    for (const IdMapping& mapping : map) {
      if (spare < mapping.inside || spare - mapping.inside >= mapping.count) continue;
      spare = mapping.inside - 1;
      moved = true;
    }
  }
  return spare;
}

std::vector<IdMapping> WithGofer(std::vector<IdMapping> map, uint32_t gofer) {
  if (!MapsTo(map, gofer)) map.push_back({.inside = SpareId(map), .outside = gofer, .count = 1});
  return map;
}

// The guest's ids that a mount has: those that are on this host what the mount maps to.
std::vector<gofer::IdRange> GuestIds(const std::vector<IdMapping>& mount,
                                     const std::vector<IdMapping>& container) {
  std::vector<gofer::IdRange> ids;
  if (container.empty()) {
    for (const IdMapping& mapping : mount) ids.push_back({mapping.outside, mapping.count});
    return ids;
  }
  for (const IdMapping& mapping : mount) {
    for (const IdMapping& guest : container) {
      const uint64_t begin = std::max(mapping.outside, guest.outside);
      const uint64_t end =
          std::min(uint64_t{mapping.outside} + mapping.count, uint64_t{guest.outside} + guest.count);
      if (begin >= end) continue;
      ids.push_back({static_cast<uint32_t>(guest.inside + (begin - guest.outside)),
                     static_cast<uint32_t>(end - begin)});
    }
  }
  return ids;
}

}  // namespace

Result<std::vector<UniqueFd>> CloneRootTrees(const SandboxOptions& options, std::string* why) {
  std::vector<UniqueFd> trees;
  for (const SandboxOptions::Root& root : options.roots) {
    trees.emplace_back();
    if (root.recursive && root.uid_map.empty()) continue;
    UniqueFd id_map;
    if (!root.uid_map.empty()) {
      const SandboxContainer& container = *options.container;
      auto made = MakeUserNamespace(WithGofer(root.uid_map, GofersId(container.uid_mappings)),
                                    WithGofer(root.gid_map, GofersId(container.gid_mappings)));
      if (!made.ok()) {
        *why = fmt::format("cannot make the id mappings of the mount of {}: {}", root.path,
                           made.error().message());
        return made.error();
      }
      id_map = std::move(*made);
    }
    ASSIGN_OR_RETURN(trees.back(), gofer::CloneRootTree({.path = root.path,
                                                         .read_only = root.read_only,
                                                         .recursive = root.recursive,
                                                         .id_map = id_map.get(),
                                                         .id_map_below = root.map_below},
                                                        *why));
  }
  return trees;
}

gofer::OwnerIds OwnerIdsOf(const SandboxOptions& options, const SandboxOptions::Root& root) {
  if (root.uid_map.empty()) return {};
  const SandboxContainer& container = *options.container;
  return {.limited = 1,
          .users = GuestIds(root.uid_map, container.uid_mappings),
          .groups = GuestIds(root.gid_map, container.gid_mappings)};
}

}  // namespace runsc
