#include "platform/host/security_label.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace runsc {
namespace {

// Since Linux 5.8 each security module has a directory; `current` itself is of the first one that wants it.
std::string ApparmorFile(const std::string& attributes) {
  std::string own = attributes + "/apparmor/current";
  return ::access(own.c_str(), F_OK) == 0 ? own : attributes + "/current";
}

std::string Write(const UniqueFd& file, const std::string& path, const std::string& text) {
  if (::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return "";
  return fmt::format("write {}: {}", path, HostErrno().message());
}

std::string Open(const std::string& path, UniqueFd& file) {
  file.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file ? "" : fmt::format("open {}: {}", path, HostErrno().message());
}

std::string Apparmor(const std::string& profile, const std::string& wrong) {
  return wrong.empty() ? "" : fmt::format("unable to apply apparmor profile '{}': {}", profile, wrong);
}

std::string Selinux(const std::string& label, const std::string& wrong) {
  return wrong.empty() ? "" : fmt::format("unable to apply selinux label '{}': {}", label, wrong);
}

}  // namespace

bool HasApparmor(const std::string& attributes) {
  const std::string path = ApparmorFile(attributes);
  const bool is_its_own = path.ends_with("/apparmor/current");
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[256];
  // EINVAL: it is switched off.
  return file && ::read(file.get(), text, sizeof(text)) > 0 && (is_its_own || !HasSelinux());
}

bool HasSelinux(const std::string& filesystem) {
  struct statfs status {};
  // One that can be read only is another's, shown by a container.
  return ::statfs(filesystem.c_str(), &status) == 0 && status.f_type == SELINUX_MAGIC &&
         (static_cast<unsigned long>(status.f_flags) & ST_RDONLY) == 0;
}

std::string LabelChange::Prepare(SecurityLabel label, const std::string& attributes) {
  label_ = std::move(label);
  if (!label_.apparmor.empty()) {
    apparmor_path_ = ApparmorFile(attributes);
    std::string wrong = Open(apparmor_path_, apparmor_);
    if (!wrong.empty()) return Apparmor(label_.apparmor, wrong);
  }
  if (label_.selinux.empty()) return "";
  selinux_path_ = attributes + "/current";
  return Selinux(label_.selinux, Open(selinux_path_, selinux_));
}

std::string LabelChange::Commit() {
  std::string wrong;
  if (apparmor_)
    wrong = Apparmor(label_.apparmor, Write(apparmor_, apparmor_path_, "changeprofile " + label_.apparmor));
  if (wrong.empty() && selinux_)
    wrong = Selinux(label_.selinux, Write(selinux_, selinux_path_, label_.selinux));
  apparmor_.reset();
  selinux_.reset();
  return wrong;
}

}  // namespace runsc
