// StateDirectory: where the commands of runsc keep what they know of containers: ROOT/ID/ has a file
// state.json, replaced atomically, and a file that is locked (flock(2)) while a command changes the
// container. Reading needs no lock. A directory without state.json was left by a command that died early: it
// is no container, and the next one of that id takes it over.
//
// Not to be used by several threads at once; by several processes it is.
#ifndef RUNSC_CONTAINER_STATE_DIRECTORY_H_
#define RUNSC_CONTAINER_STATE_DIRECTORY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/container/state.h"

namespace runsc {

// The directory of one container, locked until this object goes.
class ContainerDirectory {
 public:
  ContainerDirectory(ContainerDirectory&&) = default;
  ContainerDirectory& operator=(ContainerDirectory&&) = default;

  const std::string& id() const { return id_; }
  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

  // NotFound if there is no state yet.
  absl::StatusOr<ContainerState> Load() const;
  absl::Status Save(const ContainerState& state) const;
  // A further file of the container.
  absl::Status SaveText(std::string_view name, std::string_view text) const;
  // Removes the directory and all that is in it, at once for everybody else.
  absl::Status Remove();
  void Unlock() { lock_.reset(); }

 private:
  friend class StateDirectory;
  ContainerDirectory(std::string root, std::string id, UniqueFd lock);

  std::string root_;
  std::string id_;
  std::string path_;
  UniqueFd lock_;
};

class StateDirectory {
 public:
  explicit StateDirectory(std::string root) : root_(std::move(root)) {}

  // Whether `id` can be a container's: letters, digits, and _ + - . in it, at most 255 of them.
  static absl::Status CheckId(std::string_view id);

  // A new container's. AlreadyExists if there is one of that id, or one being made at this moment.
  absl::StatusOr<ContainerDirectory> Create(const std::string& id) const;
  // An existing one's, half-made ones included; waits for another command to be done with it. NotFound.
  absl::StatusOr<ContainerDirectory> Open(const std::string& id) const;
  // The state alone, without lock. NotFound.
  absl::StatusOr<ContainerState> Load(const std::string& id) const;

  struct Entry {
    std::string id;
    absl::StatusOr<ContainerState> state;  // an error if the file cannot be read
  };
  // All containers, sorted by id. None if there is no ROOT.
  std::vector<Entry> List() const;

 private:
  std::string root_;
};

}  // namespace runsc

#endif  // RUNSC_CONTAINER_STATE_DIRECTORY_H_
