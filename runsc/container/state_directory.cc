#include "runsc/container/state_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

constexpr const char* kStateFile = "state.json";
constexpr const char* kLockFile = "lock";
constexpr char kRemovedPrefix = '~';  // no id starts like that

absl::Status Failed(const std::string& path, int error) {
  return absl::FailedPreconditionError(fmt::format("{}: {}", path, ErrorText(error)));
}

absl::Status DoesNotExist(const std::string& id) {
  return absl::NotFoundError(fmt::format("container does not exist: {}", id));
}

absl::Status MakeRoot(const std::string& root) {
  for (size_t slash = root.find('/', 1);; slash = root.find('/', slash + 1)) {
    std::string part = root.substr(0, slash);
    bool last = slash == std::string::npos;
    if (::mkdir(part.c_str(), last ? 0711 : 0755) != 0 && errno != EEXIST)
      return absl::FailedPreconditionError(
          fmt::format("mkdir {}: {} (--root names another directory for the state of containers)", part,
                      ErrorText(errno)));
    if (last) return absl::OkStatus();
  }
}

// The lock, taken; invalid if the directory is not (or no longer) there. errno tells.
UniqueFd OpenLock(const std::string& directory, int operation) {
  std::string path = directory + "/" + kLockFile;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fd;
  while (::flock(fd.get(), operation) != 0) {
    if (errno != EINTR) return UniqueFd();
  }
  // Somebody may have removed the directory, and made another, while we waited.
  struct stat ours {
  }, current{};
  if (::fstat(fd.get(), &ours) != 0) return UniqueFd();
  if (::stat(path.c_str(), &current) != 0) return UniqueFd();
  if (ours.st_dev != current.st_dev || ours.st_ino != current.st_ino) {
    errno = ENOENT;
    return UniqueFd();
  }
  return fd;
}

absl::Status WriteFile(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Failed(path, errno);
  while (!text.empty()) {
    ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed(path, errno);
    text.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerState> LoadFrom(const std::string& directory, const std::string& id) {
  std::string file = directory + "/" + kStateFile;
  absl::StatusOr<std::string> text = ReadTextFile(file);
  if (absl::IsNotFound(text.status())) return DoesNotExist(id);
  if (!text.ok()) return text.status();
  absl::StatusOr<ContainerState> state = ParseState(*text, file);
  if (state.ok() && state->id != id)
    return absl::InvalidArgumentError(fmt::format("{}: is of the container \"{}\"", file, state->id));
  return state;
}

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  while (stream != nullptr) {
    dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

ContainerDirectory::ContainerDirectory(std::string root, std::string id, UniqueFd lock)
    : root_(std::move(root)), id_(std::move(id)), path_(root_ + "/" + id_), lock_(std::move(lock)) {}

absl::StatusOr<ContainerState> ContainerDirectory::Load() const { return LoadFrom(path_, id_); }

absl::Status ContainerDirectory::Save(const ContainerState& state) const {
  return SaveText(kStateFile, SerializeState(state));
}

absl::Status ContainerDirectory::SaveText(std::string_view name, std::string_view text) const {
  std::string temporary = File(fmt::format("{}.{}", name, ::getpid()));
  absl::Status status = WriteFile(temporary, text);
  std::string file = File(name);
  if (status.ok() && ::rename(temporary.c_str(), file.c_str()) != 0) status = Failed(file, errno);
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

absl::Status ContainerDirectory::Remove() {
  std::string removed = fmt::format("{}/{}{}.{}", root_, kRemovedPrefix, id_, ::getpid());
  if (::rename(path_.c_str(), removed.c_str()) != 0 && errno != ENOENT) return Failed(path_, errno);
  // With those of commands that died here.
  for (const std::string& name : Names(root_)) {
    std::error_code ignored;
    if (name[0] == kRemovedPrefix) std::filesystem::remove_all(root_ + "/" + name, ignored);
  }
  return absl::OkStatus();
}

absl::Status StateDirectory::CheckId(std::string_view id) {
  // runc's words come first: callers look for them.
  auto invalid = [&](std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("invalid container ID format: \"{}\": {}", id, why));
  };
  if (id.empty()) return absl::InvalidArgumentError("container id cannot be empty");
  if (id.size() > NAME_MAX - 16)
    return invalid(fmt::format("file name too long: more than {} characters", NAME_MAX - 16));
  if (id == "." || id == "..") return invalid("it is no name of a directory of its own");
  for (char c : id) {
    bool right = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                 c == '+' || c == '-' || c == '.';
    if (!right) return invalid("only letters, digits and _ + - . may be in it");
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerDirectory> StateDirectory::Create(const std::string& id) const {
  if (absl::Status status = CheckId(id); !status.ok()) return status;
  if (absl::Status status = MakeRoot(root_); !status.ok()) return status;
  std::string path = root_ + "/" + id;
  absl::Status exists =
      absl::AlreadyExistsError(fmt::format("container with given ID already exists: {}", id));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("mkdir " + path, errno);
  UniqueFd lock = OpenLock(path, LOCK_EX | LOCK_NB);
  if (!lock) return errno == EWOULDBLOCK || errno == ENOENT ? exists : Failed(path, errno);
  if (::access((path + "/" + kStateFile).c_str(), F_OK) == 0) return exists;
  return ContainerDirectory(root_, id, std::move(lock));
}

absl::StatusOr<ContainerDirectory> StateDirectory::Open(const std::string& id) const {
  if (absl::Status status = CheckId(id); !status.ok()) return status;
  std::string path = root_ + "/" + id;
  UniqueFd lock = OpenLock(path, LOCK_EX);
  if (!lock) return errno == ENOENT || errno == ENOTDIR ? DoesNotExist(id) : Failed(path, errno);
  return ContainerDirectory(root_, id, std::move(lock));
}

absl::StatusOr<ContainerState> StateDirectory::Load(const std::string& id) const {
  if (absl::Status status = CheckId(id); !status.ok()) return status;
  return LoadFrom(root_ + "/" + id, id);
}

std::vector<StateDirectory::Entry> StateDirectory::List() const {
  std::vector<Entry> entries;
  for (const std::string& name : Names(root_)) {
    if (!CheckId(name).ok()) continue;
    absl::StatusOr<ContainerState> state = LoadFrom(root_ + "/" + name, name);
    if (!absl::IsNotFound(state.status())) entries.push_back({name, std::move(state)});
  }
  return entries;
}

}  // namespace runsc
