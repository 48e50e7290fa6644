// LimitWriter: sets one limit after the other, until one cannot be set.
#ifndef RUNSC_CGROUP_LIMIT_WRITER_H_
#define RUNSC_CGROUP_LIMIT_WRITER_H_

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "runsc/cgroup/files.h"

namespace runsc {

class LimitWriter {
 public:
  // The directory of each controller; in version 2 they are all in "".
  explicit LimitWriter(const std::map<std::string, std::string>& paths) : paths_(paths) {}

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  void Refuse(std::string_view field, std::string_view why) {
    Fail(absl::UnimplementedError(fmt::format("linux.resources.{}: {}", field, why)));
  }

  // The controller's directory; "" (and an error) if it is not there.
  std::string Directory(const std::string& controller, std::string_view field) {
    auto found = paths_.find(controller);
    if (found == paths_.end()) found = paths_.find("");
    if (found != paths_.end()) return found->second;
    Refuse(field, fmt::format("there is no {} controller of cgroups that could set it", controller));
    return "";
  }

  // `field` is config.json's, below linux.resources.
  void Set(const std::string& controller, const std::string& file, std::string_view value,
           std::string_view field) {
    if (!ok()) return;
    std::string directory = Directory(controller, field);
    if (!ok()) return;
    absl::Status status = cgroup_files::Write(directory + "/" + file, value);
    if (!status.ok())
      Fail(absl::Status(status.code(),
                        fmt::format("linux.resources.{}: {}", field, std::string(status.message()))));
  }

 private:
  const std::map<std::string, std::string>& paths_;
  absl::Status status_;
};

}  // namespace runsc

#endif  // RUNSC_CGROUP_LIMIT_WRITER_H_
