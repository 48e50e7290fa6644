#include "runsc/cgroup/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "platform/base/unique_fd.h"
#include "runsc/oci/json_reader.h"

namespace runsc::cgroup_files {
namespace {

absl::Status Failed(const std::string& text, int error) {
  std::string message = fmt::format("{}: {}", text, ErrorText(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EBUSY:
      return absl::UnavailableError(message);
    case EINVAL:
      return absl::InvalidArgumentError(message);
    default:
      return absl::FailedPreconditionError(message);
  }
}

}  // namespace

absl::Status Write(const std::string& path, std::string_view value) {
  std::string what = fmt::format("{}: cannot write '{}'", path, value);
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY));
  if (!fd) return Failed(what, errno);
  ssize_t count;
  do {
    count = ::write(fd.get(), value.data(), value.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return Failed(what, errno);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Read(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return Failed(path, errno);
  std::string text;
  char buffer[4096];
  while (true) {
    ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed(path, errno);
    if (count == 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

uint64_t ReadNumber(const std::string& path, uint64_t fallback) {
  absl::StatusOr<std::string> text = Read(path);
  if (!text.ok()) return fallback;
  if (*text == "max") return UINT64_MAX;
  uint64_t number = 0;
  return absl::SimpleAtoi(*text, &number) ? number : fallback;
}

std::map<std::string, uint64_t> ReadTable(const std::string& path) {
  std::map<std::string, uint64_t> table;
  absl::StatusOr<std::string> text = Read(path);
  if (!text.ok()) return table;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t number = 0;
    if (fields.size() == 2 && absl::SimpleAtoi(fields[1], &number)) table[std::string(fields[0])] = number;
  }
  return table;
}

absl::Status MakeDirectories(const std::string& top, const std::string& path,
                             std::vector<std::string>* made) {
  for (size_t slash = path.find('/', top.size() + 1);; slash = path.find('/', slash + 1)) {
    std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0755) == 0) {
      made->push_back(part);
    } else if (errno != EEXIST) {
      return Failed("mkdir " + part, errno);
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

std::vector<std::string> Tree(const std::string& path) {
  std::vector<std::string> tree;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
  if (stream == nullptr) return tree;
  while (dirent* entry = ::readdir(stream.get())) {
    std::string name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    std::vector<std::string> below = Tree(path + "/" + name);
    tree.insert(tree.end(), below.begin(), below.end());
  }
  tree.push_back(path);
  return tree;
}

std::vector<int> Processes(const std::string& path) {
  std::vector<int> processes;
  for (const std::string& directory : Tree(path)) {
    absl::StatusOr<std::string> text = Read(directory + "/cgroup.procs");
    if (!text.ok()) continue;
    for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
      int pid = 0;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) processes.push_back(pid);
    }
  }
  return processes;
}

}  // namespace runsc::cgroup_files
